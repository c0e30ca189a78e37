package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

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
	owner, err := filepath.Abs(s.Data)
	if err != nil {
		return err
	}
	s.servers, err = mcp.Start(mcp.Options{Servers: s.MCPServers, Owner: owner, LookupEnv: os.LookupEnv, Put: s.tools.Put, Logger: s.log})
	if err != nil {
		return err
	}
	s.parts.add("MCP servers", func(context.Context) error { s.servers.Close(); return nil })
	return nil
}

// A toolsResult is what the server tells about tools.
type (
	toolsResult struct {
		Servers []mcp.Status `json:"servers,omitempty"`
		Tools   []toolResult `json:"tools,omitempty"`
	}
	toolResult struct {
		Name     string        `json:"name"`
		Approval chat.Approval `json:"approval"`
		Tokens   int           `json:"tokens"`
	}
)

// answerTools answers what came through the control socket.
func (s *server) answerTools() ([]byte, error) {
	result := toolsResult{Servers: s.servers.Status()}
	for _, t := range s.tools.Tools() {
		result.Tools = append(result.Tools, toolResult{t.Name, s.tools.OwnApproval(t), mcp.Tokens(t.Tool)})
	}
	return json.Marshal(result)
}

// toolsCmd shows tools and their servers.
type toolsCmd struct{ Values }

// Help implements [kong.HelpProvider].
func (*toolsCmd) Help() string {
	return `Asks the server that runs with the data file. It shows the MCP servers of the setting mcp_servers, how each is, and about how many tokens the list of its tools takes in every prompt of a model that may call all of them; then all tools, and whether people are asked before they run.`
}

// Run asks the server.
func (*toolsCmd) Run(ctx context.Context, s *Settings, out *streams) error {
	client, err := dialServer(ctx, s)
	if err != nil {
		return err
	}
	defer client.Close()
	answer, err := client.Tools(ctx)
	if err != nil {
		return err
	}
	var result toolsResult
	if err := json.Unmarshal(answer, &result); err != nil {
		return err
	}
	return result.print(out.stdout)
}

// oneLine returns text on one line, and not all of it if it is long.
func oneLine(text string) string {
	const longest = 500
	return cmp.Or(strings.Join(strings.Fields(text[:min(len(text), longest)]), " "), "-")
}

func (r toolsResult) print(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if len(r.Servers) > 0 {
		fmt.Fprintln(table, "SERVER\tSTATE\tTOOLS\tTOKENS\tERROR")
		for _, s := range r.Servers {
			fmt.Fprintf(table, "%s\t%s\t%d\t%d\t%s\n", s.Server, s.State, s.Tools, s.Tokens, oneLine(s.Error))
		}
		fmt.Fprintln(table)
	}
	fmt.Fprintln(table, "TOOL\tAPPROVAL\tTOKENS")
	for _, t := range r.Tools {
		fmt.Fprintf(table, "%s\t%s\t%d\n", cell(t.Name), t.Approval, t.Tokens)
	}
	return table.Flush()
}
