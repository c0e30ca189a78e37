package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"parlor/protocol/chat"
	"parlor/transport/api"
	"parlor/transport/control"
	"parlor/transport/outbound"
	"parlor/transport/provider"
	"parlor/transport/tools"
	"parlor/transport/tools/mcp"
	"parlor/transport/tools/mcp/oauth"
)

// openTools makes the registry of what models may call, and starts the servers of tools.
func (s *server) openTools() (err error) {
	s.setModelTools(s.Models)
	s.tools, err = tools.New(tools.Options{
		HTTP: s.Tools, Settings: s.ToolSettings, Servers: slices.Collect(maps.Keys(s.MCPServers)), LookupEnv: os.LookupEnv, Logger: s.log,
		Fetch:        tools.Fetch{Hosts: s.FetchHosts, MaxBytes: int(s.FetchMaxBytes), Timeout: s.FetchTimeout},
		MaxPageTools: s.MaxClientTools, MaxPageToolBytes: int(s.MaxClientToolBytes), PageTimeout: s.ClientToolTimeout,
		Model: func(id chat.ModelID) tools.Model { return (*s.modelTools.Load())[provider.OneName(id)] },
	})
	if err != nil {
		return err
	}
	owner, err := filepath.Abs(s.Data)
	if err != nil {
		return err
	}
	if err := s.openGrants(); err != nil {
		return err
	}
	s.servers, err = mcp.Start(mcp.Options{Servers: s.MCPServers, Grants: s.grants, Owner: owner, LookupEnv: os.LookupEnv, Put: s.tools.Put, Logger: s.log})
	if err != nil {
		return err
	}
	s.parts.add("MCP servers", func(context.Context) error { s.servers.Close(); return nil })
	return nil
}

// setModelTools says which tools the configured models are offered.
func (s *server) setModelTools(models []provider.Config) {
	of := make(map[chat.ModelID]tools.Model)
	for _, m := range models {
		of[provider.OneName(chat.ModelID(m.ModelID))] = tools.Model{Tools: m.Tools, Approval: m.Approval}
	}
	s.modelTools.Store(&of)
}

// openGrants opens what those have who have signed in to servers of tools.
func (s *server) openGrants() error {
	targets, err := outbound.ParseTargets(s.PrivateTargets)
	if err != nil {
		return err
	}
	servers := make(map[string]oauth.Server)
	for name, c := range s.MCPServers {
		if !c.SignsIn() {
			continue
		}
		client, err := c.OAuth.Expanded(os.LookupEnv)
		if err != nil {
			return fmt.Errorf("mcp_servers[%q]: %w", name, err)
		}
		servers[name] = oauth.Server{
			URL: c.URL, Members: c.Auth == mcp.AuthMember, ClientID: client.ClientID, ClientSecret: client.ClientSecret, Scopes: client.Scopes,
		}
	}
	s.grants, err = oauth.Open(oauth.Options{
		Servers: servers, Store: s.store, Targets: targets, Secret: []byte(s.JWTSecret), Logger: s.log,
		Changed: func(server string, user chat.UserID) { s.servers.SignedIn(server, user) },
	})
	return err
}

func grantRoutes(g *oauth.Grants) (map[string]api.Handler, map[string]api.OpenHandler) {
	routes, open := make(map[string]api.Handler), make(map[string]api.OpenHandler)
	for name, h := range g.Routes() {
		routes[name] = h
	}
	for name, h := range g.OpenRoutes() {
		open[name] = h
	}
	return routes, open
}

func promptRoutes(servers *mcp.Servers) map[string]api.Handler {
	routes := make(map[string]api.Handler)
	for name, h := range servers.Routes() {
		routes[name] = h
	}
	return routes
}

// A toolsResult is what the server tells about tools.
type (
	toolsResult struct {
		Servers []mcp.Status `json:"servers,omitempty"`
		Tools   []toolResult `json:"tools,omitempty"`
		URL     string       `json:"url,omitempty"` // where a person signs in
		Error   string       `json:"error,omitempty"`
	}
	toolResult struct {
		Name     string        `json:"name"`
		Approval chat.Approval `json:"approval"`
		Tokens   int           `json:"tokens"`
	}
)

// A toolsCommand is what toolsCmd asks the server for. Without an action that is which tools
// there are.
type toolsCommand struct {
	Action   string `json:"action"`
	Server   string `json:"server,omitempty"`
	Redirect string `json:"redirect,omitempty"` // of a sign-in that begins
	Query    string `json:"query,omitempty"`    // with which one ends
}

// answerTools answers what came through the control socket.
func (s *server) answerTools(ctx context.Context, command []byte) ([]byte, error) {
	var c toolsCommand
	if len(command) > 0 {
		if err := json.Unmarshal(command, &c); err != nil {
			return nil, err
		}
	}
	var result toolsResult
	var err error
	switch c.Action {
	case "":
		result.Servers = s.servers.Status()
		for _, t := range s.tools.Tools() {
			result.Tools = append(result.Tools, toolResult{t.Name, s.tools.OwnApproval(t), mcp.Tokens(t.Tool)})
		}
	case "login":
		result.URL, _, err = s.grants.Begin(ctx, c.Server, "", c.Redirect)
	case "complete":
		var query url.Values
		if query, err = url.ParseQuery(c.Query); err == nil {
			_, err = s.grants.Complete(ctx, query)
		}
	case "logout":
		err = s.grants.Revoke(ctx, c.Server, "")
	default:
		return nil, fmt.Errorf("there is no command %q", c.Action)
	}
	if err != nil {
		result.Error = chat.AsError(err).Message
	}
	return json.Marshal(result)
}

// toolsCmd shows tools and their servers, and signs in to servers.
type toolsCmd struct {
	Action string `arg:"" optional:"" enum:"list,login,logout" default:"list" help:"list, login or logout."`
	Server string `arg:"" optional:"" help:"The MCP server of a login or logout."`
	Port   int    `help:"Port of this computer to which the browser comes back from a login. 0 is any; a client that an operator has registered needs the one that was registered."`

	Values
}

// Help implements [kong.HelpProvider].
func (*toolsCmd) Help() string {
	return `Asks the server that runs with the data file. list shows the MCP servers of the setting mcp_servers, how each is, and about how many tokens the list of its tools takes in every prompt of a model that may call all of them; then all tools, and whether people are asked before they run.

login signs in to a server behind a URL that asks for it, on behalf of all who use its tools. It prints the address to open in a browser. The browser comes back to this computer; if it runs on another one, and shows that it cannot, paste the address that it shows. logout revokes that.

    parlor tools login tracker`
}

// Run asks the server.
func (c *toolsCmd) Run(ctx context.Context, s *Settings, out *streams) error {
	if c.Action != "list" && c.Server == "" {
		return usageError{fmt.Errorf("tools %s: <server> is missing: which MCP server", c.Action)}
	}
	client, err := dialServer(ctx, s)
	if err != nil {
		return err
	}
	defer client.Close()
	ask := func(c toolsCommand) (result toolsResult, err error) { return askTools(ctx, client, c) }
	switch c.Action {
	case "login":
		return logIn(ctx, ask, c.Server, c.Port, out)
	case "logout":
		if _, err := ask(toolsCommand{Action: "logout", Server: c.Server}); err != nil {
			return err
		}
		_, err := fmt.Fprintln(out.stdout, "revoked")
		return err
	}
	result, err := ask(toolsCommand{})
	if err != nil {
		return err
	}
	return result.print(out.stdout)
}

func askTools(ctx context.Context, client *control.Client, c toolsCommand) (result toolsResult, err error) {
	command, err := json.Marshal(c)
	if err != nil {
		return result, err
	}
	answer, err := client.Tools(ctx, command)
	if err != nil {
		return result, err
	}
	if err := json.Unmarshal(answer, &result); err != nil {
		return result, err
	}
	if result.Error != "" {
		return result, errors.New(result.Error)
	}
	return result, nil
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
