package tools

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/getkin/kin-openapi/openapi3"

	"parlor/protocol/chat"
)

// Limits of OpenAPI documents.
const (
	maxDocument    = 8 << 20 // bytes
	maxOperations  = 500     // that are tools
	maxDescription = 2 << 10 // bytes of the description of a tool
	loadTimeout    = 10 * time.Second
)

// isURL reports whether the document lies behind a URL.
func isURL(location string) bool {
	return strings.HasPrefix(location, "http://") || strings.HasPrefix(location, "https://")
}

// document reads an OpenAPI document, and returns it with all that it refers to within itself.
func document(location string) (*openapi3.T, error) {
	text, err := readDocument(location)
	if err != nil {
		return nil, err
	}
	loader := openapi3.NewLoader()
	doc, err := loader.LoadFromData(text)
	if err != nil {
		return nil, err
	}
	if !strings.HasPrefix(doc.OpenAPI, "3.") {
		return nil, fmt.Errorf("openapi: the version must be 3.0 or 3.1, and is %.20q", doc.OpenAPI)
	}
	return doc, doc.Validate(context.Background(), openapi3.DisableExamplesValidation(), openapi3.DisableSchemaDefaultsValidation(), openapi3.DisableSchemaPatternValidation())
}

func readDocument(location string) ([]byte, error) {
	var body io.ReadCloser
	if isURL(location) {
		ctx, cancel := context.WithTimeout(context.Background(), loadTimeout)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, location, nil)
		if err != nil {
			return nil, err
		}
		resp, err := client.Do(req)
		if err != nil {
			return nil, err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return nil, fmt.Errorf("the answer was %d", resp.StatusCode)
		}
		body = resp.Body
	} else {
		file, err := os.Open(location)
		if err != nil {
			return nil, err
		}
		defer file.Close()
		body = file
	}
	text, err := io.ReadAll(io.LimitReader(body, maxDocument+1))
	if err == nil && len(text) > maxDocument {
		err = fmt.Errorf("is longer than %d bytes", maxDocument)
	}
	return text, err
}

// described returns the tools of a document, each of an operation.
func (h HTTP) described(name string) ([]Tool, error) {
	doc, err := document(h.OpenAPI)
	if err != nil {
		return nil, fmt.Errorf("openapi: %s: %w", h.OpenAPI, err)
	}
	base, err := h.base(doc)
	if err != nil {
		return nil, fmt.Errorf("openapi: %s: %w", h.OpenAPI, err)
	}
	components, err := componentsOf(doc)
	if err != nil {
		return nil, fmt.Errorf("openapi: %s: %w", h.OpenAPI, err)
	}
	var list []Tool
	var wrong []error
	found := make(map[string]bool)
	for _, at := range slices.Sorted(maps.Keys(doc.Paths.Map())) {
		item := doc.Paths.Value(at)
		operations := item.Operations()
		for _, method := range slices.Sorted(maps.Keys(operations)) {
			o := operations[method]
			wanted, named := h.wants(o.OperationID, found)
			if !wanted {
				continue
			}
			e := endpoint{http: h, method: method, url: base + at}
			t, err := e.tool(name, item, o, components)
			if err != nil && named {
				wrong = append(wrong, fmt.Errorf("openapi: %s: %s %s (%s): %w", h.OpenAPI, method, at, o.OperationID, err))
			}
			if err == nil {
				list = append(list, t)
			}
		}
	}
	for _, o := range h.Operations {
		if !found[o] {
			wrong = append(wrong, fmt.Errorf("operations: %s has no operation %q", h.OpenAPI, o))
		}
	}
	if len(list) > maxOperations {
		wrong = append(wrong, fmt.Errorf("openapi: %s: has %d operations, and %d may be tools: name those in operations", h.OpenAPI, len(list), maxOperations))
	}
	if len(list) == 0 && wrong == nil {
		wrong = append(wrong, fmt.Errorf("openapi: %s: has no operation with an operationId that can be a tool", h.OpenAPI))
	}
	return list, errors.Join(wrong...)
}

// wants reports whether an operation is to be a tool, and whether it was named without a
// pattern. It notes in found which entries of Operations have led to one.
func (h HTTP) wants(id string, found map[string]bool) (wanted, named bool) {
	if id == "" {
		return false, false
	}
	for _, pattern := range h.Operations {
		if fits, _ := path.Match(pattern, id); fits {
			found[pattern], wanted = true, true
			named = named || pattern == id
		}
	}
	return wanted || h.Operations == nil, named
}

// base returns the URL before the paths of the document, without a slash at its end.
func (h HTTP) base(doc *openapi3.T) (string, error) {
	text := h.URL
	if text == "" && len(doc.Servers) > 0 {
		text = doc.Servers[0].URL
		for name, v := range doc.Servers[0].Variables {
			text = strings.ReplaceAll(text, "{"+name+"}", v.Default)
		}
	}
	u, err := url.Parse(text)
	if err == nil && isURL(h.OpenAPI) && h.URL == "" {
		if at, wrong := url.Parse(h.OpenAPI); wrong == nil {
			u = at.ResolveReference(u)
		}
	}
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return "", fmt.Errorf("servers: the first one, %q, is no absolute URL of http or https: name one in url", text)
	}
	u.RawQuery, u.Fragment = "", ""
	return strings.TrimRight(u.String(), "/"), nil
}

// tool returns the tool that an operation is.
func (e endpoint) tool(name string, item *openapi3.PathItem, o *openapi3.Operation, c components) (Tool, error) {
	schema, required, err := e.parameters(append(slices.Clone(item.Parameters), o.Parameters...), c)
	if err != nil {
		return Tool{}, err
	}
	body, must, err := c.bodyOf(o)
	if err != nil {
		return Tool{}, err
	}
	if body != nil {
		e.body = bodyName
		for schema[e.body] != nil {
			e.body += "_"
		}
		schema[e.body] = body
		if must {
			required = append(required, e.body)
		}
	}
	whole := map[string]any{"type": "object", "properties": schema, "additionalProperties": false}
	if required != nil {
		whole["required"] = required
	}
	text, err := json.Marshal(whole)
	if err != nil {
		return Tool{}, err
	}
	if len(text) > maxSchema {
		return Tool{}, fmt.Errorf("its schema has %d bytes, more than %d", len(text), maxSchema)
	}
	if _, err := newChecker(text); err != nil {
		return Tool{}, err
	}
	about := strings.TrimSpace(strings.Join([]string{o.Summary, o.Description}, "\n"))
	if len(about) > maxDescription {
		about = strings.ToValidUTF8(about[:maxDescription], "") + "…"
	}
	return Tool{
		Tool:     chat.Tool{Name: name + "/" + o.OperationID, Description: cmp.Or(about, e.method+" "+e.url), Schema: text, Guide: e.http.Guide},
		Approval: e.http.Approval, document: name, Run: e.run,
	}, nil
}

// parameters takes the parameters of an operation in, and returns the schemas of their
// arguments by name, and which of them are required.
func (e *endpoint) parameters(list openapi3.Parameters, c components) (schema map[string]any, required []string, err error) {
	schema = map[string]any{}
	for _, ref := range list {
		p := ref.Value
		a, taken, err := e.argument(p)
		if err != nil || a.name == "" {
			if err != nil {
				return nil, nil, err
			}
			continue
		}
		of, err := c.schemaOf(p)
		if err != nil {
			return nil, nil, fmt.Errorf("parameter %q: %w", p.Name, err)
		}
		if taken < 0 {
			e.arguments = append(e.arguments, a)
		} else {
			e.arguments[taken] = a // the operation's takes the place of the path's
		}
		schema[a.name] = of
		required = slices.DeleteFunc(required, func(r string) bool { return r == a.name })
		if p.Required {
			required = append(required, a.name)
		}
	}
	return schema, required, nil
}
