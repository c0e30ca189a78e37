package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/alecthomas/kong"
	"go.yaml.in/yaml/v3"

	"parlor/actors/ledger"
	"parlor/transport/provider"
	"parlor/transport/tools"
	"parlor/transport/tools/mcp"
	"parlor/transport/webhook"
)

// hiddenSecret is shown instead of a secret.
const hiddenSecret = "********"

// A Secret is text that nobody must see. Printed, logged or marshalled it is
// [hiddenSecret]. Convert it to a string to use it.
type Secret string

// String implements [fmt.Stringer].
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return hiddenSecret
}

// GoString implements [fmt.GoStringer].
func (s Secret) GoString() string { return strconv.Quote(s.String()) }

// MarshalText implements [encoding.TextMarshaler].
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// providers is the setting of that name.
type providers = map[string]provider.ProviderConfig

// httpTools, mcpServers and toolSettings are the settings tools, mcp_servers and tool_settings.
type (
	mcpServers   = map[string]mcp.Config
	httpTools    = map[string]tools.HTTP
	toolSettings = map[string]tools.Setting
)

// structured are the types of settings that are more than text or a list of
// texts. They are written as JSON, and in the file as YAML.
var structured = map[reflect.Type]kong.MapperFunc{
	reflect.TypeFor[[]provider.Config](): decodeJSON[[]provider.Config]("list of models", `[{"model_id":"…","provider":"openai"}]`),
	reflect.TypeFor[[]webhook.Config]():  decodeJSON[[]webhook.Config]("list of webhooks", `[{"name":"crm","url":"https://…","secret_var":"CRM_SECRET","events":["message"]}]`),
	reflect.TypeFor[[]ledger.Budget]():   decodeJSON[[]ledger.Budget]("list of budgets", `[{"user":"*","period":"day","tokens":100000}]`),
	reflect.TypeFor[httpTools]():         decodeJSON[httpTools]("mapping of tools", `{"…":{"url":"…"}}`),
	reflect.TypeFor[mcpServers]():        decodeJSON[mcpServers]("mapping of servers", `{"…":{"command":"…","args":["…"]}}`),
	reflect.TypeFor[toolSettings]():      decodeJSON[toolSettings]("mapping of tools", `{"…":{"approval":"ask"}}`),
	reflect.TypeFor[providers]():         decodeJSON[providers]("mapping of providers", `{"…":{"base_url":"…"}}`),
}

// valueOptions tell kong how to read settings.
func valueOptions() []kong.Option {
	options := unitOptions()
	for t, mapper := range structured {
		options = append(options, kong.TypeMapper(t, mapper))
	}
	return options
}

// decodeJSON returns the kong mapper of a setting that is written as JSON. The
// value from the file has been turned into JSON before.
func decodeJSON[T any](what, example string) kong.MapperFunc {
	return func(ctx *kong.DecodeContext, target reflect.Value) error {
		var text string
		if err := ctx.Scan.PopValueInto("JSON", &text); err != nil {
			return err
		}
		node, err := jsonNode(text)
		if err != nil {
			return fmt.Errorf("must be a %s (as JSON: %s): %w", what, example, err)
		}
		f := fitter{}
		fitted := f.fit(node, target.Type(), ctx.Value.Name)
		if len(f.faults) > 0 {
			return errors.Join(f.errors("")...)
		}
		var value T
		if err := remarshal(fitted, &value); err != nil {
			return fmt.Errorf("must be a %s (as JSON: %s): %w", what, example, err)
		}
		target.Set(reflect.ValueOf(value))
		return nil
	}
}

// jsonNode returns JSON as a YAML node.
func jsonNode(text string) (*yaml.Node, error) {
	var compact bytes.Buffer
	if err := json.Compact(&compact, []byte(text)); err != nil { // YAML forbids some of the white space
		return nil, err
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(compact.Bytes(), &doc); err != nil {
		return nil, err
	}
	return doc.Content[0], nil
}

func remarshal(from, to any) error {
	text, err := json.Marshal(from)
	if err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(to); err != nil {
		return errors.New(strings.TrimPrefix(err.Error(), "json: "))
	}
	return nil
}
