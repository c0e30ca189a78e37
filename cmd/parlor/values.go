package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"reflect"
	"strconv"
	"strings"

	"github.com/alecthomas/kong"

	"parlor/actors/ledger"
	"parlor/transport/provider"
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

// A Size is a number of bytes. It is written with a unit if that is exact, as in
// 64KiB.
type Size int64

var units = []struct {
	name  string
	bytes int64
}{
	{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10},
	{"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}, {"B", 1},
}

var errSize = errors.New("must be a number of bytes such as 65536, 64KiB or 1MB")

// UnmarshalText implements [encoding.TextUnmarshaler].
func (s *Size) UnmarshalText(text []byte) error {
	number, factor := string(text), int64(1)
	for _, u := range units {
		if head, ok := cutSuffixFold(number, u.name); ok {
			number, factor = head, u.bytes
			break
		}
	}
	n, err := strconv.ParseInt(strings.TrimSpace(number), 10, 64)
	if err != nil || n < 0 || n > math.MaxInt64/factor {
		return fmt.Errorf("%q %w", text, errSize)
	}
	*s = Size(n * factor)
	return nil
}

func cutSuffixFold(s, suffix string) (head string, ok bool) {
	at := len(s) - len(suffix)
	if at < 0 || !strings.EqualFold(s[at:], suffix) {
		return s, false
	}
	return s[:at], true
}

// String implements [fmt.Stringer].
func (s Size) String() string {
	for _, u := range units[:3] { // the binary ones
		if s > 0 && int64(s)%u.bytes == 0 {
			return strconv.FormatInt(int64(s)/u.bytes, 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

// providers is the setting of that name.
type providers = map[string]provider.ProviderConfig

// structured are the types of settings that are more than text or a list of
// texts. They are written as JSON, and in the file as YAML.
var structured = map[reflect.Type]kong.MapperFunc{
	reflect.TypeFor[[]provider.Config](): decodeJSON[[]provider.Config]("list of models", `[{"model_id":"…","provider":"openai"}]`),
	reflect.TypeFor[[]ledger.Budget]():   decodeJSON[[]ledger.Budget]("list of budgets", `[{"user":"*","period":"day","tokens":100000}]`),
	reflect.TypeFor[providers]():         decodeJSON[providers]("mapping of providers", `{"…":{"base_url":"…"}}`),
}

// structuredOptions tell kong how to read the structured settings.
func structuredOptions() (options []kong.Option) {
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
		var value T
		d := json.NewDecoder(strings.NewReader(text))
		d.DisallowUnknownFields()
		if err := d.Decode(&value); err != nil {
			return fmt.Errorf("must be a %s (as JSON: %s): %s", what, example, strings.TrimPrefix(err.Error(), "json: "))
		}
		if _, err := d.Token(); !errors.Is(err, io.EOF) {
			return fmt.Errorf("must be one %s and nothing after it", what)
		}
		target.Set(reflect.ValueOf(value))
		return nil
	}
}
