package mcp

import (
	"context"
	"log/slog"
	"strings"
	"unicode"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"parlor/protocol/chat"
)

// Limits of the list of a server's tools.
const (
	maxTools    = 500
	maxPages    = 100
	maxName     = 256       // bytes
	maxToolText = 256 << 10 // of the description and the schema of one, in bytes
)

// A found tool is one that a server lists, or one that reads what the server has.
type found struct {
	chat.Tool
	readOnly bool // the server says so

	// read is what a tool does that the server does not list. Nil has the server run it.
	read func(ctx context.Context, s *session, arguments string) (string, error)
}

// list returns the tools of the server. It leaves out those that cannot be offered.
func (s *session) list(ctx context.Context, log *slog.Logger) ([]found, error) {
	var list []found
	names := make(map[string]bool)
	params := new(sdk.ListToolsParams)
	for range maxPages {
		d := new(delivery)
		page, err := s.client.ListTools(d.with(ctx), params)
		switch {
		case isUnknownMethod(err): // it may have resources, or prompts
			return list, nil
		case err != nil:
			return nil, d.explain(err)
		}
		for _, t := range page.Tools {
			if t == nil {
				continue
			}
			one, wrong := foundOf(t)
			switch {
			case names[t.Name]:
				wrong = "another one has its name"
			case len(list) == maxTools:
				log.Warn("an MCP server has too many tools; the rest is left out", "limit", maxTools)
				return list, nil
			}
			if wrong != "" {
				log.Warn("a tool of an MCP server is left out", "tool", t.Name, "why", wrong)
				continue
			}
			names[t.Name] = true
			list = append(list, one)
		}
		if page.NextCursor == "" || page.NextCursor == params.Cursor {
			return list, nil
		}
		params = &sdk.ListToolsParams{Cursor: page.NextCursor}
	}
	log.Warn("the list of an MCP server's tools has too many pages; the rest is left out", "limit", maxPages)
	return list, nil
}

// foundOf returns a tool as it is offered, or what is wrong with it.
func foundOf(t *sdk.Tool) (found, string) {
	schema, ok := object(t.InputSchema)
	switch {
	case t.Name == "":
		return found{}, "it has no name"
	case len(t.Name) > maxName || strings.ContainsFunc(t.Name, unicode.IsControl):
		return found{}, "its name is too long, or has control characters"
	case !ok:
		return found{}, "its schema is not that of an object"
	case len(schema)+len(t.Description) > maxToolText:
		return found{}, "its description and its schema are too long"
	}
	return found{
		Tool:     chat.Tool{Name: t.Name, Description: printable(t.Description), Schema: schema},
		readOnly: t.Annotations != nil && t.Annotations.ReadOnlyHint,
	}, ""
}

// printable leaves out control characters but for tabs and line ends.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return -1
		}
		return r
	}, text)
}
