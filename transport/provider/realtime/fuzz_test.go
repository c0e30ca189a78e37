package realtime

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"parlor/protocol/chat"
)

// FuzzServer: whatever a provider sends, the answer ends, once and with its
// own pieces, and shows no key.
func FuzzServer(f *testing.F) {
	const created = `{"type":"response.created","response":{"id":"r"}}` + "\n"
	for _, seed := range []string{
		"", "{", "[]", "null", `{"type":7}`, created,
		created + `{"type":"response.output_text.delta","response_id":"r","delta":"hi"}` + "\n" + `{"type":"response.done","response":{"id":"r","status":"completed"}}`,
		created + created + `{"type":"response.output_item.added","response_id":"r","item":{"id":"i","type":"message"}}` + "\n" + `{"type":"response.done","response":{"id":"r","status":"cancelled"}}`,
		created + `{"type":"response.output_audio.delta","response_id":"r","delta":"AAAA"}` + "\n" + `{"type":"response.done","response":{"id":"r","status":"failed","status_details":{"error":{"message":"` + testKey + `"}}}}`,
		`{"type":"error","error":{"message":"` + testKey + `","event_id":"parlor_1"}}`, `{"type":"error"}`, `{"type":"error","error":{"event_id":"parlor_2"}}`,
		`{"type":"error","error":{"event_id":"parlor_5"}}` + "\n" + created, `{"type":"input_audio_buffer.committed","item_id":"i"}`,
		`{"type":"input_audio_buffer.committed"}` + "\n" + `{"type":"conversation.item.input_audio_transcription.failed","item_id":"i"}`,
		`{"type":"input_audio_buffer.committed","item_id":"i"}` + "\n" + `{"type":"conversation.item.input_audio_transcription.completed","item_id":"i","transcript":"x"}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, sent string) {
		synctest.Test(t, func(t *testing.T) {
			w := newTalk(t, Options{Retries: -1})
			w.in <- chat.AudioAppend{Audio: "AAAA"}
			w.in <- chat.AudioCommit{MessageID: "s1"}
			w.ask("a1", user("s1", ""))
			p := <-w.srv.peers
			go func() {
				for event := range strings.SplitSeq(sent, "\n") {
					p.Send(event)
				}
			}()
			time.Sleep(10 * time.Minute)
			close(w.in)
			ended := 0
			for d := range w.out {
				if d.Answer != "" && (d.Answer != "a1" || ended > 0) {
					t.Errorf("got %+v", d)
				}
				var err *chat.Error
				switch {
				case d.Ended != nil:
					ended++
					err = d.Ended.Error
				case d.Heard != nil:
					err = d.Heard.Error
				}
				if err != nil && strings.Contains(err.Message, testKey) {
					t.Errorf("the key is in %v", err)
				}
			}
			if ended != 1 {
				t.Errorf("the answer ended %d times", ended)
			}
		})
	})
}
