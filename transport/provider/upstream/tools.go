package upstream

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"

	"parlor/protocol/chat"
)

// maxToolName is the longest name of a tool that all providers take, in bytes.
const maxToolName = 64

var (
	legalName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]{0,63}$`)
	illegal   = regexp.MustCompile(`[^A-Za-z0-9_-]`)
)

// wireNames are the names by which a provider knows tools, by those by which people do.
// A tool is called by its own name where all providers take that.
type wireNames struct {
	wire map[string]string
	real map[string]string
}

func namesOf(tools []chat.Tool) wireNames {
	n := wireNames{wire: make(map[string]string, len(tools)), real: make(map[string]string, len(tools))}
	for _, t := range tools {
		if legalName.MatchString(t.Name) {
			n.wire[t.Name], n.real[t.Name] = t.Name, t.Name
		}
	}
	for _, t := range tools {
		if n.wire[t.Name] != "" {
			continue
		}
		name := madeLegal(t.Name)
		if n.offers(name) {
			name = marked(name, t.Name)
		}
		n.wire[t.Name], n.real[name] = name, t.Name
	}
	return n
}

// ToolNames returns the names by which models know these tools, in the same order.
func ToolNames(tools []chat.Tool) []string {
	n := namesOf(tools)
	names := make([]string, len(tools))
	for i, t := range tools {
		names[i] = n.of(t.Name)
	}
	return names
}

// Told returns p as providers are told it: with names that they take, and schemas. back
// leads from such a name to the one by which people know the tool.
func Told(p chat.Prompt) (told chat.Prompt, back func(wire string) string) {
	n := namesOf(p.Tools)
	return n.told(p), n.back
}

// madeLegal returns a name that all providers take, the same for the same name.
func madeLegal(name string) string {
	legal := illegal.ReplaceAllString(name, "_")
	if legal == "" || !legalName.MatchString(legal[:1]) {
		legal = "_" + legal
	}
	if len(legal) > maxToolName {
		return marked(legal, name)
	}
	return legal
}

// marked returns a legal name that ends in what no other name has.
func marked(legal, name string) string {
	sum := sha256.Sum256([]byte(name))
	mark := "_" + hex.EncodeToString(sum[:3])
	return legal[:min(len(legal), maxToolName-len(mark))] + mark
}

// of returns what the provider is told for the name of a tool, which may be offered no
// more, or may never have been there.
func (n wireNames) of(name string) string {
	if wire, offered := n.wire[name]; offered {
		return wire
	}
	return madeLegal(name)
}

// offers reports whether the provider knows a tool by this name.
func (n wireNames) offers(wire string) bool {
	_, offered := n.real[wire]
	return offered
}

// back returns the name by which people know what a provider has called.
func (n wireNames) back(wire string) string {
	if real, offered := n.real[wire]; offered {
		return real
	}
	return wire
}

// told returns p as it is told to a provider: with the names that it takes, and schemas.
func (n wireNames) told(p chat.Prompt) chat.Prompt {
	p.Tools = slices.Clone(p.Tools)
	for i, t := range p.Tools {
		p.Tools[i].Name, p.Tools[i].Schema = n.of(t.Name), plainSchema(t.Schema)
	}
	if p.Choice.Name != "" {
		p.Choice.Name = n.of(p.Choice.Name)
	}
	p.Messages = slices.Clone(p.Messages)
	for i, m := range p.Messages {
		m.Calls = slices.Clone(m.Calls)
		for j := range m.Calls {
			m.Calls[j].Name = n.of(m.Calls[j].Name)
		}
		if m.ResultOf != nil {
			of := *m.ResultOf
			of.Name = n.of(of.Name)
			m.ResultOf = &of
		}
		p.Messages[i] = m
	}
	return p
}

// plainSchema returns a JSON Schema of arguments as providers take it: an object, with
// properties, and without alternatives at the top, which OpenAI and Anthropic refuse. The
// properties of the alternatives are added to it. One tool that is refused would fail the
// whole request. Arguments are checked against the schema as it is.
func plainSchema(raw json.RawMessage) json.RawMessage {
	var schema map[string]any
	if json.Unmarshal(raw, &schema) != nil || schema == nil {
		schema = make(map[string]any)
	}
	delete(schema, "$schema")
	properties := make(map[string]any)
	for _, name := range []string{"anyOf", "oneOf", "allOf"} {
		branches, _ := schema[name].([]any)
		for _, branch := range branches {
			of, _ := branch.(map[string]any)
			more, _ := of["properties"].(map[string]any)
			maps.Copy(properties, more)
		}
		delete(schema, name)
	}
	delete(schema, "not")
	delete(schema, "enum")
	own, _ := schema["properties"].(map[string]any)
	maps.Copy(properties, own)
	schema["type"], schema["properties"] = "object", properties
	plain, err := json.Marshal(schema)
	if err != nil {
		return json.RawMessage(`{"type":"object","properties":{}}`)
	}
	return plain
}

// Arguments returns the arguments of a call as a provider takes them: a JSON object,
// whatever the model wrote.
func Arguments(c chat.ToolCall) string {
	if object := strings.TrimSpace(c.Arguments); strings.HasPrefix(object, "{") && json.Valid([]byte(object)) {
		return c.Arguments
	}
	wrapped, _ := json.Marshal(map[string]string{"INVALID_JSON": c.Arguments}) // text always marshals
	return string(wrapped)
}

// Result returns what a tool has answered, of which providers want to see something.
func Result(m chat.PromptMessage) string {
	if strings.TrimSpace(m.Content) == "" {
		return "(no output)"
	}
	return m.Content
}

// An IDs gives each call of a request an id that its provider takes, and that no other call
// of the request has: its own where that is one.
type IDs struct {
	// Legal says which ids the provider takes. Nil has all calls go by our ids.
	Legal *regexp.Regexp

	used map[string]bool
	of   map[string]string
}

// Of returns the id of a call, the same for its result.
func (ids *IDs) Of(c chat.ToolCall) string {
	if id, known := ids.of[c.ID]; known {
		return id
	}
	if ids.of == nil {
		ids.of, ids.used = make(map[string]string), make(map[string]bool)
	}
	id := c.ID
	if ids.Legal != nil && ids.Legal.MatchString(c.Given) && !ids.used[c.Given] {
		id = c.Given
	}
	ids.of[c.ID], ids.used[id] = id, true
	return id
}
