package tools

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"mime"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// Limits of the schema that an operation becomes.
const (
	maxSchema = 64 << 10 // bytes
	maxNodes  = 20_000   // before it is written
)

// bodyName is the argument that is the body of the request.
const bodyName = "body"

// components are the parts of a document that others refer to, as JSON.
type components struct{ root any }

func componentsOf(doc *openapi3.T) (c components, err error) {
	text, err := doc.MarshalJSON()
	if err == nil {
		err = json.Unmarshal(text, &c.root)
	}
	return c, err
}

// schemaOf returns the JSON Schema of a parameter.
func (c components) schemaOf(p *openapi3.Parameter) (map[string]any, error) {
	of := p.Schema
	for _, kind := range slices.Sorted(maps.Keys(p.Content)) {
		of = p.Content[kind].Schema
	}
	schema, err := c.plain(of)
	if err == nil && p.Description != "" {
		schema["description"] = p.Description
	}
	return schema, err
}

// bodyOf returns the JSON Schema of the body of a request, or nil if it has none that is JSON.
func (c components) bodyOf(o *openapi3.Operation) (schema map[string]any, required bool, err error) {
	if o.RequestBody == nil || o.RequestBody.Value == nil {
		return nil, false, nil
	}
	b := o.RequestBody.Value
	for _, kind := range slices.Sorted(maps.Keys(b.Content)) {
		base, _, _ := mime.ParseMediaType(kind)
		if base == "application/json" || strings.HasSuffix(base, "+json") || base == "*/*" {
			schema, err = c.plain(b.Content[kind].Schema)
			return schema, b.Required, err
		}
	}
	if b.Required {
		return nil, false, fmt.Errorf("its body has to be %s, and only JSON can be sent", strings.Join(slices.Sorted(maps.Keys(b.Content)), " or "))
	}
	return nil, false, nil
}

// plain returns a schema as a JSON Schema that refers to nothing. What refers to itself is
// anything from there on.
func (c components) plain(ref *openapi3.SchemaRef) (map[string]any, error) {
	if ref == nil {
		return map[string]any{}, nil
	}
	text, err := ref.MarshalJSON()
	if err != nil {
		return nil, err
	}
	var value any
	if err := json.Unmarshal(text, &value); err != nil {
		return nil, err
	}
	i := inliner{components: c}
	schema, is := i.schema(value, nil).(map[string]any)
	switch {
	case i.err != nil:
		return nil, i.err
	case !is:
		return map[string]any{}, nil
	}
	return schema, nil
}

// An inliner puts what is referred to in the place of what refers to it.
type inliner struct {
	components
	nodes int
	err   error
}

var errLargeSchema = errors.New("its schema is too large, with all that it refers to")

// dropped is what only documents say. Providers refuse some of it.
var dropped = []string{"xml", "discriminator", "externalDocs", "example", "examples", "nullable", "deprecated", "readOnly", "writeOnly"}

func (i *inliner) schema(value any, within []string) any {
	if i.nodes++; i.nodes > maxNodes {
		i.err = errLargeSchema
		return true
	}
	s, is := value.(map[string]any)
	if !is {
		return value
	}
	if ref, is := s["$ref"].(string); is {
		if slices.Contains(within, ref) {
			return map[string]any{}
		}
		target, found := i.find(ref)
		if !found {
			i.err = fmt.Errorf("%s leads nowhere", ref)
			return true
		}
		return i.schema(target, append(slices.Clone(within), ref))
	}
	out := make(map[string]any, len(s))
	for key, v := range s {
		switch key {
		case "properties", "patternProperties", "$defs":
			out[key] = i.each(v, within)
		case "items", "additionalProperties", "not", "contains", "propertyNames", "if", "then", "else":
			out[key] = i.schema(v, within)
		case "allOf", "anyOf", "oneOf", "prefixItems":
			out[key] = i.all(v, within)
		default:
			out[key] = v
		}
	}
	modern(out)
	return out
}

// each inlines the values of an object. Those that only an answer has are left out.
func (i *inliner) each(value any, within []string) any {
	members, is := value.(map[string]any)
	if !is {
		return value
	}
	out := make(map[string]any, len(members))
	for name, v := range members {
		if m, is := v.(map[string]any); is && m["readOnly"] == true {
			continue
		}
		out[name] = i.schema(v, within)
	}
	return out
}

func (i *inliner) all(value any, within []string) any {
	list, is := value.([]any)
	if !is {
		return value
	}
	out := make([]any, 0, len(list))
	for _, v := range list {
		out = append(out, i.schema(v, within))
	}
	return out
}

// find returns what a reference within the document leads to.
func (c components) find(ref string) (any, bool) {
	inside, is := strings.CutPrefix(ref, "#/")
	if !is {
		return nil, false
	}
	at := c.root
	for _, step := range strings.Split(inside, "/") {
		step = strings.NewReplacer("~1", "/", "~0", "~").Replace(step)
		members, is := at.(map[string]any)
		if !is {
			return nil, false
		}
		if at, is = members[step]; !is {
			return nil, false
		}
	}
	return at, true
}

// modern turns a schema of OpenAPI 3.0 into JSON Schema.
func modern(s map[string]any) {
	if kind, is := s["type"].(string); is && s["nullable"] == true {
		s["type"] = []any{kind, "null"}
		if enum, is := s["enum"].([]any); is && !slices.Contains(enum, nil) {
			s["enum"] = append(slices.Clone(enum), nil)
		}
	}
	for exclusive, bound := range map[string]string{"exclusiveMinimum": "minimum", "exclusiveMaximum": "maximum"} {
		if flag, is := s[exclusive].(bool); is {
			delete(s, exclusive)
			if limit, has := s[bound]; has && flag {
				s[exclusive] = limit
				delete(s, bound)
			}
		}
	}
	if required, is := s["required"].([]any); is {
		properties, _ := s["properties"].(map[string]any)
		_, parts := s["allOf"]
		kept := slices.DeleteFunc(slices.Clone(required), func(name any) bool {
			text, _ := name.(string)
			return properties != nil && properties[text] == nil && !parts // it was only of an answer
		})
		if s["required"] = kept; len(kept) == 0 {
			delete(s, "required")
		}
	}
	for _, key := range dropped {
		delete(s, key)
	}
}
