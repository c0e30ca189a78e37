package main

import (
	"context"
	"maps"
	"os"
	"slices"

	"parlor/protocol/chat"
	"parlor/transport/provider"
	"parlor/transport/tools"
	"parlor/transport/tools/mcp"
)

// openTools makes the registry of what models may call, and starts the servers of tools.
func (s *server) openTools() (err error) {
	models := make(map[chat.ModelID]tools.Model)
	for _, m := range s.Models {
		models[provider.OneName(chat.ModelID(m.ModelID))] = tools.Model{Tools: m.Tools, Approval: m.Approval}
	}
	s.tools, err = tools.New(tools.Options{
		HTTP: s.Tools, Settings: s.ToolSettings, Servers: slices.Collect(maps.Keys(s.MCPServers)), LookupEnv: os.LookupEnv, Logger: s.log,
		Model: func(id chat.ModelID) tools.Model { return models[provider.OneName(id)] },
	})
	if err != nil {
		return err
	}
	servers, err := mcp.Start(mcp.Options{Servers: s.MCPServers, LookupEnv: os.LookupEnv, Put: s.tools.Put, Logger: s.log})
	if err != nil {
		return err
	}
	s.parts.add("MCP servers", func(context.Context) error { servers.Close(); return nil })
	return nil
}
