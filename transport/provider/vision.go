package provider

import (
	"fmt"
	"regexp"
	"strings"

	"parlor/protocol/chat"
)

// seers are names of models that see images, whoever serves them.
var seers = regexp.MustCompile(`(?i)(^|[/.:])(gpt-4o|gpt-4\.[1-9]|gpt-4-turbo|gpt-[5-9]|chatgpt-4o|o1\b|o[3-9]\b|o4-mini|claude-(3|[4-9]|opus|sonnet|haiku)|gemini-|gemma-?[3-9]|pixtral|` +
	`mistral-(medium|small)-(latest|[3-9]|25|26)|llama-?4|llama-?3\.2-(11|90)b|grok-(2-vision|[4-9])|llava|bakllava|minicpm-v|moondream|internvl)|vision|[-.0-9]vl\b|[-/]vl[-:]`)

// blind are models with such names that see none all the same.
var blind = regexp.MustCompile(`(?i)o1-mini|o3-mini|gpt-4o.*(audio|transcribe|tts|realtime|search)|gemini-.*(embedding|tts)|gemma-?3[-:]?(1b|270m)|gpt-oss|embed`)

// sees reports whether a model of that name sees images, as far as names tell.
func sees(upstream string) bool { return seers.MatchString(upstream) && !blind.MatchString(upstream) }

// visible returns the prompt as the model can take it: to one that does not see a line says
// what there was to see.
func (e entry) visible(p chat.Prompt) chat.Prompt {
	if e.model.Vision {
		return p
	}
	p.Messages = withoutImages(p.Messages)
	if steer := p.Steer; steer != nil {
		p.Steer = func() []chat.PromptMessage { return withoutImages(steer()) }
	}
	return p
}

func withoutImages(messages []chat.PromptMessage) []chat.PromptMessage {
	var changed []chat.PromptMessage
	for i, m := range messages {
		if len(m.Images) == 0 {
			continue
		}
		if changed == nil {
			changed = append(changed, messages...)
		}
		for _, image := range m.Images {
			m.Content = strings.TrimSpace(fmt.Sprintf("%s\n\n[The image %q is not shown to you: you do not see images.]", m.Content, image.Name))
		}
		m.Images = nil
		changed[i] = m
	}
	if changed == nil {
		return messages
	}
	return changed
}
