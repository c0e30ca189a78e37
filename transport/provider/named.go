package provider

import "parlor/protocol/chat"

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
