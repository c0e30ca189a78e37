package openai

import (
	"encoding/json"
	"testing"

	"parlor/protocol/chat"
	"parlor/transport/provider/upstream"
)

func TestImagesAreSent(t *testing.T) {
	got, err := json.Marshal(completion(chat.Prompt{Model: "gpt-4o", Messages: []chat.PromptMessage{
		{Role: chat.RoleSystem, Content: "be kind"},
		{Role: chat.RoleUser, Content: "what is it?", Images: []chat.Image{{Name: "a.png", Type: "image/png", Data: []byte("abc")}}},
	}}, upstream.Dialect{NoUsage: true}))
	const want = `{"model":"gpt-4o","stream":true,"messages":[{"role":"system","content":"be kind"},{"role":"user","content":[` +
		`{"type":"image_url","image_url":{"url":"data:image/png;base64,YWJj"}},{"type":"text","text":"what is it?"}]}]}`
	if err != nil || string(got) != want {
		t.Errorf("got  %s, %v\nwant %s", got, err, want)
	}
}
