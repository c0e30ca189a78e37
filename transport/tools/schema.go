package tools

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

var errNoObject = errors.New("it is no object")

// A checker checks arguments against the schema of a tool. Nil finds nothing wrong.
type checker struct {
	schema *jsonschema.Schema
	cost   *cost
}

// newChecker compiles a schema. It fetches nothing.
func newChecker(raw json.RawMessage) (*checker, error) {
	if len(raw) == 0 || string(raw) == "null" {
		return nil, nil
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		return nil, err
	}
	cost, err := costOf(document)
	if err != nil {
		return nil, err
	}
	c := jsonschema.NewCompiler()
	c.UseLoader(nowhere{})
	c.UseRegexpEngine(newPattern)
	if err := c.AddResource(here, document); err != nil {
		return nil, err
	}
	schema, err := c.Compile(here)
	if err != nil {
		return nil, err
	}
	return &checker{schema, cost}, nil
}

const here = "mem:tool.json"

// nowhere loads no schema that another one refers to.
type nowhere struct{}

// Load implements [jsonschema.URLLoader].
func (nowhere) Load(string) (any, error) {
	return nil, errors.New("a schema may not refer to another one")
}

// fault returns what is wrong with the arguments, in words for the model, or "". It finds
// nothing if that took too much work.
func (c *checker) fault(arguments []byte) string {
	if c == nil {
		return ""
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(arguments))
	if err == nil {
		err = checkNumbers(value)
	}
	if err == nil && c.cost.allows(value) {
		err = c.schema.Validate(value)
	}
	if err == nil {
		return ""
	}
	words := strings.TrimPrefix(err.Error(), "jsonschema validation failed with '"+here+"#'\n")
	return "the arguments do not fit the schema of the tool:\n" + words
}
