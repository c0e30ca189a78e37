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
	maxListText = 1 << 20   // of all of them
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
	params, size := new(sdk.ListToolsParams), 0
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
			case len(list) == maxTools || size+one.size() > maxListText:
				log.Warn("an MCP server has too many tools; the rest is left out", "limit", maxTools, "max_bytes", maxListText)
				return list, nil
			}
			if wrong != "" {
				log.Warn("a tool of an MCP server is left out", "tool", t.Name, "why", wrong)
				continue
			}
			names[t.Name] = true
			list = append(list, one)
			size += one.size()
		}
		if page.NextCursor == "" || page.NextCursor == params.Cursor {
			return list, nil
		}
		params = &sdk.ListToolsParams{Cursor: page.NextCursor}
	}
	log.Warn("the list of an MCP server's tools has too many pages; the rest is left out", "limit", maxPages)
	return list, nil
}

func (f found) size() int { return len(f.Name) + len(f.Description) + len(f.Schema) }

// foundOf returns a tool as it is offered, or what is wrong with it.
func foundOf(t *sdk.Tool) (found, string) {
	schema, ok := object(t.InputSchema)
	switch {
	case t.Name == "":
		return found{}, "it has no name"
	case len(t.Name) > maxName || !readable(t.Name):
		return found{}, "its name is too long, or has characters that cannot be seen"
	case !ok:
		return found{}, "its schema is not that of an object"
	case len(schema)+len(t.Description) > maxToolText:
		return found{}, "its description and its schema are too long"
	}
	return found{
		Tool:     chat.Tool{Name: t.Name, Description: chat.WithoutControls(t.Description), Schema: schema},
		readOnly: t.Annotations != nil && t.Annotations.ReadOnlyHint,
	}, ""
}

// readable reports whether people see all of a name: they decide by it.
func readable(name string) bool {
	return !strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsGraphic(r) })
}
