package provider

import (
	"strings"
	"testing"

	"parlor/protocol/chat"
)

func TestNamesOfModelsThatSee(t *testing.T) {
	for name, want := range map[string]bool{
		"gpt-4o": true, "gpt-4o-mini": true, "gpt-4.1-mini": true, "gpt-5": true, "o3": true, "o4-mini": true, "openai/gpt-4o": true, "claude-3-5-sonnet-latest": true, "anthropic/claude-sonnet-4": true,
		"gemini-2.5-flash": true, "google/gemini-2.5-pro": true, "pixtral-12b": true, "llava:13b": true, "llama3.2-vision": true, "qwen2.5-vl-72b-instruct": true, "qwen/qwen2.5-vl:free": true, "gemma3:4b": true,
		"gpt-3.5-turbo": false, "gpt-4": false, "o3-mini": false, "o1-mini": false, "deepseek-chat": false, "llama-3.1-8b": false, "gpt-oss-120b": false, "claude-2": false, "mistral-7b": false, "gemma3:1b": false,
		"gpt-4o-audio-preview": false, "text-embedding-3-large": false, "dialogpt-4off": false,
	} {
		if got := sees(name); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// A model that does not see is told what there was to see, also one that answers in place of
// another.
func TestImagesForTheBlind(t *testing.T) {
	said := []chat.PromptMessage{{Content: "look"}, {Content: "", Images: []chat.Image{{Name: "cat.png"}, {Name: "dog.png"}}}}
	p := chat.Prompt{Messages: said, Steer: func() []chat.PromptMessage { return said[1:] }}
	blind := entry{}.visible(p)
	for _, m := range append(blind.Messages[1:], blind.Steer()...) {
		if len(m.Images) > 0 || strings.Count(m.Content, "is not shown to you") != 2 || !strings.HasPrefix(m.Content, `[The image "cat.png"`) {
			t.Errorf("%+v", m)
		}
	}
	if len(said[1].Images) != 2 || said[1].Content != "" {
		t.Error("the prompt itself was changed")
	}
	if seeing := (entry{model: chat.Model{Vision: true}}).visible(p); len(seeing.Messages[1].Images) != 2 {
		t.Error("a model that sees was shown nothing")
	}
}
