package tools

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"regexp/syntax"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Servers and pages that mean harm write schemas. Subschemas that name each other twice
// double the work with every line, so a small schema keeps the library busy for years, and
// nothing can stop it. So the work is estimated before.
const (
	maxDepth  = 100        // of nested JSON in a schema
	maxNested = 2000       // subschemas in each other, for one value and what is in it
	maxWork   = 200_000    // subschemas that are tried on values, for the arguments of one call
	maxMatch  = 50_000_000 // instructions of a pattern times bytes of the text that it is for
	maxPower  = 3          // digits of the exponent of a number
)

// A cost estimates how much work a schema is.
type cost struct {
	root    any
	anchors map[string][]any
	targets map[string][]any // of references
	opaque  bool             // there are references that are not followed here
}

// costOf returns the estimate of a schema. It fails if the schema is nested too deeply.
func costOf(schema any) (*cost, error) {
	c := &cost{root: schema, anchors: make(map[string][]any), targets: make(map[string][]any)}
	if err := c.index(schema, 0); err != nil {
		return nil, err
	}
	for ref := range c.targets {
		c.targets[ref] = c.find(ref)
	}
	return c, nil
}

var errDeep = fmt.Errorf("it is nested more than %d levels deep", maxDepth)

// index finds anchors and references.
func (c *cost) index(node any, depth int) error {
	if depth > maxDepth {
		return errDeep
	}
	object, _ := node.(map[string]any)
	for _, keyword := range []string{"$anchor", "$dynamicAnchor"} {
		if name, is := object[keyword].(string); is {
			c.anchors[name] = append(c.anchors[name], node)
		}
	}
	for keyword := range refs {
		if ref, is := object[keyword].(string); is {
			c.targets[ref] = nil
		}
	}
	for _, keyword := range []string{"$id", "id"} { // below the root, references begin there
		if _, is := object[keyword].(string); is && depth > 0 {
			c.opaque = true
		}
	}
	for _, child := range children(node) {
		if err := c.index(child, depth+1); err != nil {
			return err
		}
	}
	return nil
}

func children(node any) []any {
	switch node := node.(type) {
	case map[string]any:
		list := make([]any, 0, len(node))
		for _, child := range node {
			list = append(list, child)
		}
		return list
	case []any:
		return node
	}
	return nil
}

// allows reports whether it takes little enough work to check a value.
func (c *cost) allows(value any) bool {
	w := work{cost: c, left: maxWork}
	w.check(c.root, value)
	return w.left > 0 && !c.opaque
}

// Work goes where the library would go, and only counts.
type work struct {
	*cost
	left  int
	depth int // of subschemas in each other
}

// Keywords by what their subschemas are for.
var (
	forItself = words("allOf anyOf oneOf not if then else dependentSchemas dependencies")
	forItems  = words("items additionalItems contains unevaluatedItems prefixItems")
	forFields = words("additionalProperties unevaluatedProperties propertyNames patternProperties")
	byName    = words("patternProperties dependentSchemas dependencies")
	lists     = words("enum required dependentRequired")
	refs      = words("$ref $recursiveRef $dynamicRef")
)

func words(list string) map[string]bool {
	set := make(map[string]bool)
	for _, word := range strings.Fields(list) {
		set[word] = true
	}
	return set
}

func (w *work) check(schema, value any) {
	w.left--
	if w.depth++; w.depth > maxNested {
		w.left = 0
	}
	defer func() { w.depth-- }()
	object, _ := schema.(map[string]any)
	items, isList := value.([]any)
	fields, isObject := value.(map[string]any)
	for keyword, inner := range object {
		switch {
		case w.left <= 0:
			return
		case refs[keyword]:
			ref, _ := inner.(string)
			w.checkAll(w.targets[ref], value)
		case forItself[keyword]:
			w.checkAll(subschemas(keyword, inner), value)
		case forItems[keyword] && isList:
			w.checkAll(subschemas(keyword, inner), items...)
		case forFields[keyword] && isObject:
			w.checkAll(subschemas(keyword, inner), children(fields)...)
		case keyword == "properties" && isObject:
			w.checkFields(inner, fields)
		case lists[keyword]:
			w.left -= count(inner)
		}
	}
}

// checkAll checks each value against each schema.
func (w *work) checkAll(schemas []any, values ...any) {
	for _, s := range schemas {
		for _, v := range values {
			if w.left <= 0 {
				return
			}
			w.check(s, v)
		}
	}
}

func (w *work) checkFields(properties any, fields map[string]any) {
	object, _ := properties.(map[string]any)
	w.left -= len(object)
	for name, value := range fields {
		if s, has := object[name]; has && w.left > 0 {
			w.check(s, value)
		}
	}
}

func subschemas(keyword string, value any) []any {
	if _, several := value.([]any); several || byName[keyword] {
		return children(value)
	}
	return []any{value}
}

// count returns how many values there are in a value.
func count(value any) int {
	n := 1
	for _, child := range children(value) {
		n += count(child)
	}
	return n
}

// find returns the schemas that a reference may mean. The library refuses what leads nowhere.
func (c *cost) find(ref string) []any {
	_, fragment, _ := strings.Cut(ref, "#")
	if fragment == "" {
		return []any{c.root}
	}
	if !strings.HasPrefix(fragment, "/") {
		return c.anchors[fragment]
	}
	if plain, err := url.PathUnescape(fragment); err == nil {
		fragment = plain
	}
	at := c.root
	for _, token := range strings.Split(fragment[1:], "/") {
		token = strings.NewReplacer("~1", "/", "~0", "~").Replace(token)
		switch node := at.(type) {
		case map[string]any:
			at = node[token]
		case []any:
			i, err := strconv.Atoi(token)
			if err != nil || i < 0 || i >= len(node) {
				return nil
			}
			at = node[i]
		}
	}
	return []any{at}
}

var errNumber = errors.New("a number in them has an exponent that is too large")

// checkNumbers finds numbers that take long to compare.
func checkNumbers(value any) error {
	if n, is := value.(json.Number); is {
		if _, exponent, has := strings.Cut(strings.ToLower(n.String()), "e"); has && len(strings.TrimLeft(exponent, "+-0")) > maxPower {
			return errNumber
		}
	}
	for _, child := range children(value) {
		if err := checkNumbers(child); err != nil {
			return err
		}
	}
	return nil
}

// A pattern is a regular expression. It is not tried on a text for which that takes long.
type pattern struct {
	*regexp.Regexp
	size int // instructions
}

// MatchString implements [jsonschema.Regexp].
func (p pattern) MatchString(s string) bool {
	return len(s) > maxMatch/p.size || p.Regexp.MatchString(s)
}

// newPattern is a [jsonschema.RegexpEngine].
func newPattern(text string) (jsonschema.Regexp, error) {
	parsed, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return nil, err
	}
	program, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		return nil, err
	}
	compiled, err := regexp.Compile(text)
	return pattern{compiled, max(1, len(program.Inst))}, err
}
