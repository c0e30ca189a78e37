package main

import (
	"log/slog"
	"os"

	"parlor/protocol/chat"
	"parlor/transport/provider"
	"parlor/transport/tools"
)

// openTools makes the registry of what models may call.
func openTools(s Settings, log *slog.Logger) (*tools.Registry, error) {
	models := make(map[chat.ModelID]tools.Model)
	for _, m := range s.Models {
		models[provider.OneName(chat.ModelID(m.ModelID))] = tools.Model{Tools: m.Tools, Approval: m.Approval}
	}
	return tools.New(tools.Options{
		HTTP: s.Tools, Settings: s.ToolSettings, LookupEnv: os.LookupEnv, Logger: log,
		Model: func(id chat.ModelID) tools.Model { return models[provider.OneName(id)] },
	})
}
