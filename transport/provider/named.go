package provider

import (
	"cmp"
	"net"
	"net/url"
	"path"
	"strings"

	"parlor/protocol/chat"
)

// Named returns the listed model that people address as @name, in whatever case.
func (m *Models) Named(name string) (chat.ModelID, bool) {
	id, ok := m.names[chat.Folded(name)]
	return id, ok
}

// OneName returns the same name for each of those by which a model of a
// provider may be asked: with aisuite. before it, or by another name of the
// provider.
func OneName(id chat.ModelID) chat.ModelID {
	if provider, model, ok := suiteName(id); ok {
		return chat.ModelID(provider + ":" + model)
	}
	return id
}

// Identity returns the provider of a model and what the model is there, the same for
// all its names: budgets are of that. A model_id that is configured means the model
// that it stands for. For a model that nobody knows it is id.
func (m *Models) Identity(id chat.ModelID) (provider string, model chat.ModelID) {
	e, ok := m.entries[cmp.Or(m.spelled[OneName(id)], id)]
	if ok {
		return e.model.Provider, e.identity
	}
	name, upstream, ok := suiteName(id)
	h, known := m.hosts[name]
	if !ok || !known {
		return "", id
	}
	return name, h.identity(chat.ModelID(upstream))
}

// Upstream returns the provider of a model, and the provider's own name for the model. For a
// model that nobody knows it is id.
func (m *Models) Upstream(id chat.ModelID) (provider string, model chat.ModelID) {
	if e, ok := m.entries[cmp.Or(m.spelled[OneName(id)], id)]; ok {
		return e.model.Provider, cmp.Or(e.upstream, id)
	}
	if name, upstream, ok := suiteName(id); ok && m.hosts[name].name != "" {
		return name, chat.ModelID(upstream)
	}
	return "", id
}

// Reaches reports whether a provider, by any of its names, can be asked.
func (m *Models) Reaches(provider string) bool {
	h, known := m.hosts[Name(provider)]
	return known && h.unset == "" || provider == ProviderEliza
}

// identity is one model of a host, under whatever names of both: providers that are
// configured twice, at one address, have the same models.
func (h host) identity(model chat.ModelID) chat.ModelID {
	return chat.ModelID(sameAddress(h.at.baseURL) + " " + sameToProviders(string(model)))
}

// sameAddress returns one form for all base URLs that lead to the same place, as far as
// that can be told without a name server.
func sameAddress(base string) string {
	u, err := url.Parse(strings.ToLower(base))
	if err != nil {
		return base
	}
	port := cmp.Or(u.Port(), map[string]string{"http": "80", "https": "443"}[u.Scheme])
	host := strings.TrimSuffix(u.Hostname(), ".")
	if thisComputer(host) {
		host = "localhost"
	}
	return u.Scheme + "://" + net.JoinHostPort(host, port) + path.Clean("/"+u.Path)
}

// The parts of a model's name that servers do not look at: Gemini and Ollama ignore a
// prefix, Ollama the tag of the latest one, OpenRouter how it is to be routed.
var (
	idlePrefixes = []string{"models/", "registry.ollama.ai/", "library/"}
	idleSuffixes = []string{":latest", ":nitro", ":floor", ":online"}
)

// sameToProviders returns one name for all that mean the same model to a server. Most
// do not look at the case either. If one does, two of its models share their budgets.
func sameToProviders(model string) string {
	model = strings.ToLower(model)
	for _, p := range idlePrefixes {
		model = strings.TrimPrefix(model, p)
	}
	for i := 0; i < len(idleSuffixes); { // OpenRouter takes several, in any order
		shorter, found := strings.CutSuffix(model, idleSuffixes[i])
		model, i = shorter, i+1
		if found {
			i = 0
		}
	}
	return model
}
