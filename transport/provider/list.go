package provider

import (
	"fmt"

	"parlor/protocol/chat"
	"parlor/transport/provider/openai"
)

// defaultModel is listed when OpenAI itself can be asked, but has not said which
// models it has, and no model is configured.
const defaultModel chat.ModelID = "aisuite.openai:gpt-4o-mini"

// List returns the models that clients may choose from: those configured, in
// their order, those that providers say they have, and eliza, unless the order has
// a place for her. It has them looked for again, and does not wait for that. The
// caller owns the slice.
func (m *Models) List() []chat.Model {
	found := m.found.list()
	list := make([]chat.Model, 0, len(m.order)+len(found)+2)
	for _, id := range m.order {
		list = append(list, m.entries[id].shown())
	}
	if !m.opts.ModelsOnly {
		list = m.addStates(append(list, found...), len(list))
	}
	if m.hasDefault && !m.found.lists(ProviderOpenAI) {
		e, _ := m.find(defaultModel)
		list = append(list, e.shown())
	}
	if !m.placed {
		list = append(list, elizaModel)
	}
	return list
}

// addStates says of the models from the one at from on how they fare.
func (m *Models) addStates(list []chat.Model, from int) []chat.Model {
	for i := from; i < len(list); i++ {
		one := &list[i]
		one.State = m.guard(m.hosts[one.Provider]).HealthOf(chat.ModelID(upstreamName(*one))).State
	}
	return list
}

// upstreamName is the provider's own name for a model that was found.
func upstreamName(m chat.Model) string {
	_, name, _ := suiteName(m.ID)
	return name
}

// wantsDefault reports whether defaultModel is listed until OpenAI says which
// models it has.
func (m *Models) wantsDefault() bool {
	h := m.hosts[ProviderOpenAI]
	return len(m.entries) == 1 && h.unset == "" && h.at.baseURL == openai.DefaultBaseURL && !m.opts.ModelsOnly
}

// Model returns the model named id, if it can be asked. That may be one that
// is not listed: [aisuite.]provider:model, when the provider can be reached.
func (m *Models) Model(id chat.ModelID) (chat.Model, bool) {
	e, err := m.allowed(id)
	if err != nil {
		return chat.Model{}, false
	}
	return e.shown(), true
}

// Refusal says why the model named id cannot be asked; it is nil if it can.
func (m *Models) Refusal(id chat.ModelID) *chat.Error {
	_, err := m.allowed(id)
	return err
}

var (
	errNoModel   = chat.Refuse(chat.CodeNotFound, "there is no such model")
	errNotListed = chat.Refuse(chat.CodeNotFound, "this server offers only the models that are configured (models-only)")
)

// allowed returns who answers for id, if people may ask for it.
func (m *Models) allowed(id chat.ModelID) (entry, *chat.Error) {
	if m.opts.ModelsOnly && !m.configured(id) {
		return entry{}, errNotListed
	}
	return m.find(id)
}

// configured reports whether id is that of a configured model, or eliza.
func (m *Models) configured(id chat.ModelID) bool {
	_, ok := m.spelled[OneName(id)]
	return ok
}

// find returns who answers for id.
func (m *Models) find(id chat.ModelID) (entry, *chat.Error) {
	if e, ok := m.entries[id]; ok {
		return e, nil
	}
	if is, ok := m.spelled[OneName(id)]; ok {
		e := m.entries[is]
		e.model.ID = id
		return e, nil
	}
	name, model, ok := suiteName(id)
	h, known := m.hosts[name]
	switch {
	case !ok || !known:
		return entry{}, errNoModel
	case h.unset != "":
		return entry{}, chat.Refuse(chat.CodeNotFound, fmt.Sprintf("the provider %s cannot be asked: %s", name, h.unset))
	case h.local && !h.explicit && !m.found.reaches(name):
		return entry{}, chat.Refuse(chat.CodeNotFound, fmt.Sprintf("the provider %s was not found on the server's computer", name))
	}
	e := entry{at: h.at, upstream: chat.ModelID(model), guard: m.guard(h)}
	if e.model, ok = m.found.model(OneName(id)); !ok {
		e.model = Config{Provider: name, UpstreamModel: model}.model()
	}
	e.model.ID = id
	return e, nil
}

// asked returns who answers for id, with its backend.
func (m *Models) asked(id chat.ModelID) (entry, *chat.Error) {
	e, refusal := m.find(id)
	if refusal == nil && e.backend == nil {
		e.backend = m.clients[e.at.forModel(e.upstream, m.opts)]
	}
	return e, refusal
}
