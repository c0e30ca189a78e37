package provider

import (
	"regexp"
	"strings"
)

// A Filter says which models of a provider's own list are offered. Any other may be
// asked all the same, as provider:model.
type Filter struct {
	// Only and Except are patterns of the provider's names for its models, in any
	// case, in which * stands for any text. An empty Only means all that can be
	// talked with, as far as their names tell.
	Only   []string `yaml:"discover_only" json:"discover_only,omitempty"`
	Except []string `yaml:"discover_except" json:"discover_except,omitempty"`

	// Limit is how many are offered at most. Zero means as for all providers.
	Limit int `yaml:"discover_limit" json:"discover_limit,omitempty"`
}

// notForChat are names of models that a list has and nobody can talk with: they
// make vectors, pictures, sounds or text of sounds, or are asked in another protocol.
var notForChat = regexp.MustCompile(`(?i)embed|\bbge\b|minilm|rerank|moderation|whisper|transcri|\btts\b|\baudio\b|realtime|` +
	`dall-e|image|imagen|\bveo\b|\bsora\b|\bocr\b|babbage|davinci|gpt-3\.5-turbo-instruct|codex|deep-research|computer-use|\baqa\b`)

// A filter is a compiled [Filter].
type filter struct {
	only, except *regexp.Regexp // nil matches nothing
	limit        int
}

func (f Filter) compile(limit int) filter {
	if f.Limit > 0 {
		limit = f.Limit
	}
	return filter{patterns(f.Only), patterns(f.Except), limit}
}

func (f Filter) validate(refuse func(field, reason string)) {
	for field, list := range map[string][]string{"discover_only": f.Only, "discover_except": f.Except} {
		for _, pattern := range list {
			if strings.TrimSpace(pattern) == "" {
				refuse(field, "has an empty pattern")
			}
		}
	}
	if f.Limit < 0 {
		refuse("discover_limit", "must not be less than 0")
	}
}

// patterns returns an expression for the names that any of the list stands for.
func patterns(list []string) *regexp.Regexp {
	if len(list) == 0 {
		return nil
	}
	var all []string
	for _, pattern := range list {
		all = append(all, strings.ReplaceAll(regexp.QuoteMeta(strings.TrimSpace(pattern)), `\*`, `.*`))
	}
	return regexp.MustCompile(`(?i)^(?:` + strings.Join(all, "|") + `)$`)
}

// wants reports whether a model is offered.
func (f filter) wants(model string) bool {
	switch {
	case f.except != nil && f.except.MatchString(model):
		return false
	case f.only != nil:
		return f.only.MatchString(model)
	}
	return !notForChat.MatchString(model)
}
