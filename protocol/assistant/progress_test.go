package assistant

import (
	"testing"
	"time"

	"parlor/protocol/chat"
)

func TestProgress(t *testing.T) {
	busy := chat.Refuse(chat.CodeProviderError, "busy")
	const prefix = "42" + Namespace + ","
	for _, test := range []struct {
		name     string
		progress chat.Progress
		want     []string
	}{
		{"nothing", chat.Progress{}, nil},
		{"again", chat.Progress{MessageID: "answer", Retrying: busy},
			[]string{`["stream_error ROOM",{"message_id":"answer","error":"busy","code":"provider_error","retrying":true}]`}},
		{"somebody else", chat.Progress{MessageID: "answer", Retrying: busy, Model: "other"},
			[]string{`["stream_error ROOM",{"message_id":"answer","error":"busy","code":"provider_error","retrying":true,"model_id":"other"}]`}},
		{"open", chat.Progress{MessageID: "answer", Health: &chat.Health{Provider: "openai", State: chat.ProviderOpen, RetryAt: time.UnixMilli(1700000000123)}},
			[]string{`["assistant ROOM",{"provider":"openai","state":"open","retry_at":"2023-11-14T22:13:20.123Z"}]`}},
		{"closed", chat.Progress{MessageID: "answer", Health: &chat.Health{Provider: "openai", State: chat.ProviderClosed}},
			[]string{`["assistant ROOM",{"provider":"openai","state":"closed","retry_at":null}]`}},
	} {
		got := progress(Documented, "ROOM", test.progress)
		if len(got) != len(test.want) {
			t.Errorf("%s: got %d events, want %d", test.name, len(got), len(test.want))
			continue
		}
		for i, want := range test.want {
			if string(got[i].Data) != prefix+want {
				t.Errorf("%s: got\n%s, want\n%s", test.name, got[i].Data, prefix+want)
			}
		}
		if spa := progress(SPA, "ROOM", test.progress); spa != nil {
			t.Errorf("%s: the SPA is told %s", test.name, spa[0].Data)
		}
	}
}
