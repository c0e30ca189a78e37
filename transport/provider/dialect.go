package provider

import (
	"cmp"
	"slices"
	"strings"

	"parlor/transport/provider/upstream"
)

// How the end of an answer is judged.
const (
	FinishStrict  = "strict"  // it is whole when the provider says why it ends
	FinishLenient = "lenient" // or when the stream ends well
)

// A Dialect says what a server does not take of its protocol, or a model there.
// The rest is learnt where a server refuses something.
type Dialect struct {
	// System says what becomes of system messages: send, fold into the first
	// message of the user, or none. Empty means send.
	System string `yaml:"system" json:"system,omitempty"`

	// Usage asks for the usage. Nil means yes.
	Usage *bool `yaml:"usage" json:"usage,omitempty"`

	// MaxTokensField is the name of the limit of an answer. Empty leaves it to
	// the protocol and the model.
	MaxTokensField string `yaml:"max_tokens_field" json:"max_tokens_field,omitempty"`

	// Finish is [FinishStrict] or [FinishLenient]. Empty means strict.
	Finish string `yaml:"finish" json:"finish,omitempty"`
}

// or returns d, with the fields of other where d says nothing.
func (d Dialect) or(other Dialect) Dialect {
	return Dialect{
		System: cmp.Or(d.System, other.System), Usage: cmp.Or(d.Usage, other.Usage),
		MaxTokensField: cmp.Or(d.MaxTokensField, other.MaxTokensField), Finish: cmp.Or(d.Finish, other.Finish),
	}
}

// upstream returns d as clients of providers know it.
func (d Dialect) upstream() upstream.Dialect {
	return upstream.Dialect{
		System:         d.System,
		NoUsage:        d.Usage != nil && !*d.Usage,
		MaxTokensField: d.MaxTokensField,
		LenientFinish:  d.Finish == FinishLenient,
	}
}

// validate tells what is wrong, by field.
func (d Dialect) validate(refuse func(field, reason string)) {
	one := func(field, value string, of ...string) {
		if value != "" && !slices.Contains(of, value) {
			refuse(field, "must be one of "+strings.Join(of, ", "))
		}
	}
	one("system", d.System, upstream.SystemSend, upstream.SystemFold, upstream.SystemNone)
	one("max_tokens_field", d.MaxTokensField, upstream.MaxTokens, upstream.MaxCompletionTokens)
	one("finish", d.Finish, FinishStrict, FinishLenient)
}
