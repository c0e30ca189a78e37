package anthropic

import (
	"encoding/json"
	"testing"

	"parlor/protocol/chat"
	"parlor/transport/provider/upstream"
)

func TestImagesAreSent(t *testing.T) {
	got, err := json.Marshal(newRequest(chat.Prompt{Model: "claude", MaxTokens: 5, Messages: []chat.PromptMessage{
		{Role: chat.RoleSystem, Content: "be kind"},
		{Role: chat.RoleUser, Content: "what is it?", Images: []chat.Image{{Name: "a.png", Type: "image/png", Data: []byte("abc")}}},
		{Role: chat.RoleAssistant, Content: "a cat"},
	}}, upstream.Dialect{}))
	const want = `{"model":"claude","max_tokens":5,"stream":true,"system":"be kind","messages":[{"role":"user","content":[` +
		`{"type":"image","source":{"type":"base64","media_type":"image/png","data":"YWJj"}},{"type":"text","text":"what is it?"}]},{"role":"assistant","content":"a cat"}]}`
	if err != nil || string(got) != want {
		t.Errorf("got  %s, %v\nwant %s", got, err, want)
	}
}
