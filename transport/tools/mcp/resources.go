package mcp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"parlor/protocol/chat"
)

// Limits of what is told of one resource in a list, in bytes.
const (
	maxURI   = 2048
	maxAbout = 300 // of a name or a description
)

const (
	listResources = "list_resources"
	readResource  = "read_resource"
)

// readers are tools with which models read the resources of the server, if it has any.
func (s *session) readers(ctx context.Context, log *slog.Logger) []found {
	begun := s.client.InitializeResult()
	if begun == nil || begun.Capabilities == nil || begun.Capabilities.Resources == nil {
		return nil
	}
	text, err := s.resources(ctx, "")
	if err != nil {
		log.Warn("an MCP server does not list its resources; they are left out", "err", err)
		return nil
	}
	if text == "" { // many servers say that they may have some, and have none
		return nil
	}
	return []found{{
		Tool: chat.Tool{
			Name:        listResources,
			Description: "Lists what " + readResource + " reads: files, records and the like, each with its URI.",
			Schema:      json.RawMessage(`{"type":"object","properties":{"cursor":{"type":"string","description":"The one that the list before has named. Without it the list begins."}}}`),
		},
		readOnly: true,
		read: func(ctx context.Context, s *session, arguments string) (string, error) {
			a, err := argumentsOf(arguments)
			if err != nil {
				return "", err
			}
			return s.resources(ctx, a.Cursor)
		},
	}, {
		Tool: chat.Tool{
			Name:        readResource,
			Description: "Reads what has a URI: one of " + listResources + ", one that fits a template there, or one in the result of another tool.",
			Schema:      json.RawMessage(`{"type":"object","properties":{"uri":{"type":"string"}},"required":["uri"]}`),
		},
		readOnly: true,
		read: func(ctx context.Context, s *session, arguments string) (string, error) {
			a, err := argumentsOf(arguments)
			if err != nil {
				return "", err
			}
			return s.resource(ctx, a.URI)
		},
	}}
}

type readerArguments struct {
	Cursor string `json:"cursor"`
	URI    string `json:"uri"`
}

func argumentsOf(text string) (a readerArguments, err error) {
	if strings.TrimSpace(text) == "" {
		return a, nil
	}
	if err := json.Unmarshal([]byte(text), &a); err != nil {
		return a, chat.Refuse(chat.CodeInvalid, fmt.Sprintf("not run: the arguments cannot be read: %v", err))
	}
	return a, nil
}

// resources lists a page of the resources, the first one with the templates. It is empty if
// there are none.
func (s *session) resources(ctx context.Context, cursor string) (string, error) {
	d := new(delivery)
	page, err := s.client.ListResources(d.with(ctx), &sdk.ListResourcesParams{Cursor: cursor})
	if err != nil {
		return "", s.failure(ctx, d, err)
	}
	var lines []string
	if next := page.NextCursor; next != "" && next != cursor { // it comes first, since the end of a long list is cut
		lines = append(lines, fmt.Sprintf("There are more: call this again with the cursor %q.", next))
	}
	for _, r := range page.Resources {
		if r != nil {
			lines = append(lines, about(r.URI, r.Name, r.MIMEType, r.Description))
		}
	}
	if cursor != "" {
		return strings.Join(lines, "\n"), nil
	}
	d = new(delivery)
	templates, err := s.client.ListResourceTemplates(d.with(ctx), new(sdk.ListResourceTemplatesParams))
	switch {
	case isUnknownMethod(err):
		return strings.Join(lines, "\n"), nil
	case err != nil:
		return "", s.failure(ctx, d, err)
	}
	for _, t := range templates.ResourceTemplates {
		if t != nil {
			lines = append(lines, "template "+about(t.URITemplate, t.Name, t.MIMEType, t.Description))
		}
	}
	return strings.Join(lines, "\n"), nil
}

// about describes a resource in a line.
func about(uri, name, mimeType, description string) string {
	if len(uri) > maxURI {
		uri = "(its URI is too long)"
	}
	line := oneLine(uri)
	for _, more := range []string{name, mimeType, description} {
		if more = oneLine(cut(more, maxAbout)); more != "" {
			line += " · " + more
		}
	}
	return line
}

// resource reads one.
func (s *session) resource(ctx context.Context, uri string) (string, error) {
	d := new(delivery)
	result, err := s.client.ReadResource(d.with(ctx), &sdk.ReadResourceParams{URI: uri})
	switch {
	case err != nil:
		return "", s.failure(ctx, d, err)
	case result.NeedsInput():
		return "", errNeedsInput
	}
	var parts []string
	for _, c := range result.Contents {
		if c != nil {
			parts = append(parts, described(&sdk.EmbeddedResource{Resource: c}))
		}
	}
	return strings.Join(parts, "\n"), nil
}

var errNeedsInput = chat.Refuse(chat.CodeInternal, "the tool asks for more input, which it cannot be given here")

// isUnknownMethod reports whether the server has no such method.
func isUnknownMethod(err error) bool {
	answer, answered := errors.AsType[*jsonrpc.Error](err)
	return answered && answer.Code == jsonrpc.CodeMethodNotFound
}

// cut returns the beginning of a text that is too long.
func cut(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	return strings.ToValidUTF8(text[:limit], "") + "…"
}

// oneLine returns a text on one line, without control characters.
func oneLine(text string) string {
	return strings.Join(strings.Fields(chat.WithoutControls(text)), " ")
}
