package tools

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"

	"parlor/protocol/chat"
)

// An endpoint is an operation of an OpenAPI document, which a call asks.
type endpoint struct {
	http      HTTP
	method    string
	url       string     // with the names of parameters in braces
	arguments []argument // besides the body
	body      string     // the argument that is the body; empty: there is none
}

// An argument of a call is a parameter of the request.
type argument struct {
	name    string // for the model
	key     string // for the endpoint
	in      string // path, query or header
	joined  bool   // a list is one value, with commas
	written string // the media type of a value that is no plain one; empty: as it is
}

// reserved are the headers that are no parameters, as OpenAPI has it.
var reserved = []string{"accept", "content-type", "authorization"}

// argument returns what a parameter is for the model, which may be nothing, and the place
// of the one that it replaces, or -1.
func (e endpoint) argument(p *openapi3.Parameter) (a argument, taken int, err error) {
	a = argument{name: p.Name, key: p.Name, in: p.In, joined: p.In != openapi3.ParameterInQuery || p.Explode != nil && !*p.Explode}
	for kind := range p.Content {
		a.written = kind
	}
	set := p.In == openapi3.ParameterInHeader && (slices.Contains(reserved, strings.ToLower(p.Name)) || e.http.hasHeader(p.Name))
	if set || p.In == openapi3.ParameterInCookie && !p.Required {
		return argument{}, -1, nil
	}
	if p.In == openapi3.ParameterInCookie {
		return a, -1, fmt.Errorf("it needs the cookie %q, and none are sent", p.Name)
	}
	same := func(other argument) bool { return other.key == a.key && other.in == a.in }
	if taken = slices.IndexFunc(e.arguments, same); taken >= 0 {
		a.name = e.arguments[taken].name
		return a, taken, nil
	}
	if slices.ContainsFunc(e.arguments, func(other argument) bool { return other.name == a.name }) {
		a.name = a.in + "_" + a.name
	}
	return a, -1, nil
}

func (h HTTP) hasHeader(name string) bool {
	for key := range h.Headers {
		if strings.EqualFold(key, name) {
			return true
		}
	}
	return false
}

// run asks the endpoint.
func (e endpoint) run(ctx context.Context, r chat.ToolRun, _ func()) (string, error) {
	var given map[string]json.RawMessage
	if err := json.Unmarshal([]byte(r.Call.Arguments), &given); err != nil {
		return "", err
	}
	target, query, header := e.url, url.Values{}, http.Header{}
	for _, a := range e.arguments {
		raw, has := given[a.name]
		if !has {
			continue
		}
		values := a.values(raw)
		switch a.in {
		case openapi3.ParameterInPath:
			value := strings.Join(values, ",")
			if value == "" || value == "." || value == ".." {
				return "", chat.Refuse(chat.CodeInvalid, fmt.Sprintf("not run: %s must not be %q, since it is part of a path", a.name, value))
			}
			target = strings.ReplaceAll(target, "{"+a.key+"}", url.PathEscape(value))
		case openapi3.ParameterInQuery:
			query[a.key] = append(query[a.key], values...)
		case openapi3.ParameterInHeader:
			header.Set(a.key, strings.Join(values, ","))
		}
	}
	if encoded := query.Encode(); encoded != "" {
		target += "?" + encoded
	}
	var body json.RawMessage
	if e.body != "" {
		body = given[e.body]
	}
	return e.http.ask(ctx, e.method, target, header, body, r.Key)
}

// values returns the texts that a parameter has: one, or those of a list.
func (a argument) values(raw json.RawMessage) []string {
	var list []json.RawMessage
	if a.written != "" || json.Unmarshal(raw, &list) != nil {
		return []string{textOfValue(raw)}
	}
	texts := make([]string, 0, len(list))
	for _, v := range list {
		texts = append(texts, textOfValue(v))
	}
	if a.joined {
		return []string{strings.Join(texts, ",")}
	}
	return texts
}

// textOfValue returns a string without its quotes, and any other value as JSON.
func textOfValue(raw json.RawMessage) string {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text
	}
	return string(raw)
}
