package main

import (
	"os"

	"parlor/protocol/chat"
	"parlor/transport/provider"
	"parlor/transport/tools"
)

// openTools makes the registry of what models may call.
func (s *server) openTools() (err error) {
	models := make(map[chat.ModelID]tools.Model)
	for _, m := range s.Models {
		models[provider.OneName(chat.ModelID(m.ModelID))] = tools.Model{Tools: m.Tools, Approval: m.Approval}
	}
	s.tools, err = tools.New(tools.Options{
		HTTP: s.Tools, Settings: s.ToolSettings, LookupEnv: os.LookupEnv, Logger: s.log,
		Model: func(id chat.ModelID) tools.Model { return models[provider.OneName(id)] },
	})
	return err
}
