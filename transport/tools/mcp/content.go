package mcp

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

// textOf returns the result of a tool for the model. What is no text is described.
func textOf(r *sdk.CallToolResult) string {
	var parts []string
	told := false // what is structured is there as text too
	for _, c := range r.Content {
		if c == nil {
			continue
		}
		if t, ok := c.(*sdk.TextContent); ok {
			told = told || same(t.Text, r.StructuredContent)
		}
		if part := described(c); part != "" {
			parts = append(parts, part)
		}
	}
	if r.StructuredContent != nil && !told {
		if structured, err := json.Marshal(r.StructuredContent); err == nil {
			parts = append(parts, string(structured))
		}
	}
	return strings.Join(parts, "\n")
}

// same reports whether text is the JSON of what is structured.
func same(text string, structured any) bool {
	var v, w any
	raw, err := json.Marshal(structured)
	return err == nil && json.Unmarshal([]byte(text), &v) == nil && json.Unmarshal(raw, &w) == nil && reflect.DeepEqual(v, w)
}

func described(c sdk.Content) string {
	switch c := c.(type) {
	case *sdk.TextContent:
		return c.Text
	case *sdk.ImageContent:
		return fmt.Sprintf("[an image, %s, %d bytes, which cannot be shown here]", c.MIMEType, len(c.Data))
	case *sdk.AudioContent:
		return fmt.Sprintf("[a sound, %s, %d bytes, which cannot be played here]", c.MIMEType, len(c.Data))
	case *sdk.ResourceLink:
		return strings.TrimSpace(fmt.Sprintf("[a link to %s: %s] %s", c.Name, c.URI, c.Description))
	case *sdk.EmbeddedResource:
		switch {
		case c.Resource == nil:
			return ""
		case c.Resource.Text != "":
			return fmt.Sprintf("[%s]\n%s", c.Resource.URI, c.Resource.Text)
		}
		return fmt.Sprintf("[the file %s, %s, %d bytes, which cannot be shown here]", c.Resource.URI, c.Resource.MIMEType, len(c.Resource.Blob))
	}
	return fmt.Sprintf("[something that cannot be shown here: %T]", c)
}
