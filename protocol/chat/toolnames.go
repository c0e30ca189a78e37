package chat

import (
	"encoding/json"
	"slices"
	"strings"
	"unicode"
)

// Limits of a chat's list of tools that are not offered there.
const (
	MaxToolNames   = 100
	MaxToolNameLen = 128 // bytes
)

// ToolNames is a list of names of tools, written as a list, which can be compared: a line for each.
// A name is that of a tool, NAME/* for all tools of an MCP server, or * for all tools.
type ToolNames string

func (n ToolNames) list() []string {
	if n == "" {
		return []string{}
	}
	return strings.Split(string(n), "\n")
}

// MarshalJSON writes the list.
func (n ToolNames) MarshalJSON() ([]byte, error) { return json.Marshal(n.list()) }

// UnmarshalJSON reads a list.
func (n *ToolNames) UnmarshalJSON(b []byte) error {
	var list []string
	err := json.Unmarshal(b, &list)
	*n = ToolNames(strings.Join(list, "\n"))
	return err
}

// Has reports whether one of the names means the tool.
func (n ToolNames) Has(tool string) bool {
	return n != "" && slices.ContainsFunc(n.list(), func(name string) bool { return name == "*" || MeansTool(name, tool) })
}

// valid reports whether these can be names, and no more than there may be.
func (n ToolNames) valid() bool {
	names := n.list()
	return len(names) <= MaxToolNames && !slices.ContainsFunc(names, func(name string) bool {
		return name == "" || len(name) > MaxToolNameLen || strings.ContainsFunc(name, unicode.IsSpace)
	})
}

// MeansTool reports whether a name is that of the tool, or of the MCP server that has it.
func MeansTool(name, tool string) bool {
	server, _, _ := strings.Cut(tool, "/")
	return name == tool || strings.TrimSuffix(name, "/*") == server
}
