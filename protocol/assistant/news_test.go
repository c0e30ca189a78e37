package assistant

import (
	"testing"
	"time"

	"parlor/protocol/chat"
)

func TestNews(t *testing.T) {
	busy := chat.Refuse(chat.CodeProviderError, "busy")
	const prefix = "42" + Namespace + ","
	for _, test := range []struct {
		name  string
		delta chat.Delta
		want  []string
	}{
		{"nothing", chat.Delta{Text: "x"}, nil},
		{"again", chat.Delta{Retrying: busy},
			[]string{`["stream_error ROOM",{"message_id":"answer","error":"busy","code":"provider_error","retrying":true}]`}},
		{"somebody else", chat.Delta{Retrying: busy, Model: "other"},
			[]string{`["stream_error ROOM",{"message_id":"answer","error":"busy","code":"provider_error","retrying":true,"model_id":"other"}]`}},
		{"open", chat.Delta{Health: &chat.Health{Provider: "openai", State: chat.ProviderOpen, RetryAt: time.UnixMilli(1700000000123)}},
			[]string{`["assistant ROOM",{"provider":"openai","state":"open","retry_at":"2023-11-14T22:13:20.123Z"}]`}},
		{"closed", chat.Delta{Health: &chat.Health{Provider: "openai", State: chat.ProviderClosed}},
			[]string{`["assistant ROOM",{"provider":"openai","state":"closed","retry_at":null}]`}},
	} {
		got := News(Documented, "ROOM", "answer", test.delta)
		if len(got) != len(test.want) {
			t.Errorf("%s: got %d events, want %d", test.name, len(got), len(test.want))
			continue
		}
		for i, want := range test.want {
			if string(got[i].Data) != prefix+want {
				t.Errorf("%s: got\n%s, want\n%s", test.name, got[i].Data, prefix+want)
			}
		}
		if spa := News(SPA, "ROOM", "answer", test.delta); spa != nil {
			t.Errorf("%s: the SPA is told %s", test.name, spa[0].Data)
		}
	}
}
