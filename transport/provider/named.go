package provider

import (
	"strings"

	"parlor/protocol/chat"
)

// Named returns the listed model that people address as @name, in whatever case.
func (m *Models) Named(name string) (chat.ModelID, bool) {
	for _, model := range m.List() {
		if model.Name != "" && strings.EqualFold(model.Name, name) {
			return model.ID, true
		}
	}
	return "", false
}
