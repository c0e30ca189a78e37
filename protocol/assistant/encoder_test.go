package assistant

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"parlor/protocol/chat"
)

// Each dialect's encoder has a name of its own, under which rooms find it.
func TestDialectsHaveNames(t *testing.T) {
	seen := make(map[string]bool)
	for _, d := range Dialects {
		if name := d.String(); name == "" || seen[name] {
			t.Errorf("dialect %d is called %q", d, name)
		} else {
			seen[name] = true
		}
	}
}

// Pieces of an answer carry offsets in UTF-16 code units, wherever the encoder
// begins, and whatever attempt or answer it has encoded before.
func TestEncoderCountsText(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		e := NewEncoder(Documented)
		turn := chat.Turn{MessageID: "a", Attempt: 1}
		var before []byte
		for range rapid.IntRange(1, 20).Draw(rt, "pieces") {
			switch rapid.IntRange(0, 9).Draw(rt, "happens") {
			case 0:
				turn.Attempt++
				before = nil
			case 1:
				turn.MessageID += "b"
				before = nil
			case 2:
				e = NewEncoder(Documented)
			case 3: // a piece that this encoder was not asked to encode
				before = append(before, rapid.String().Draw(rt, "unheard")...)
			}
			piece := rapid.String().Draw(rt, "piece")
			offset := Length(string(before))
			want := append(Delta(Documented, "ROOM", turn.MessageID, offset, piece), thought(Documented, "ROOM", turn.MessageID, offset, piece)...)
			got := append(e.Frames("ROOM", chat.Text{Turn: turn, Before: before, Piece: piece}),
				e.Frames("ROOM", chat.Thought{Turn: turn, Before: before, Piece: piece})...)
			if diff := cmp.Diff(lines(want), lines(got)); diff != "" {
				rt.Fatalf("(-want +got):\n%s", diff)
			}
			before = append(before, piece...)
		}
	})
}

// Every notice has a form in the documented dialect; the SPA is not told how an
// answer that is not live comes about.
func TestEncoderKnowsEveryNotice(t *testing.T) {
	record := chat.Record{Seq: 1, Event: chat.MessageAdded{MessageID: "q", Content: "hi", Modality: chat.ModalityAudio}}
	for name, n := range map[string]chat.Notice{
		"record": record, "missed": chat.Missed{Record: record}, "transcribed": chat.Transcribed{Record: record},
		"text": chat.Text{Piece: "x"}, "text so far": chat.TextSoFar{Text: "x"}, "thought": chat.Thought{Piece: "x"}, "speech": chat.Speech{Audio: "AAAA"},
		"progress": chat.Progress{Retrying: chat.Refuse(chat.CodeBusy, "busy")}, "removal": chat.Removal{},
		"failure": chat.Failure{Error: chat.Refuse(chat.CodeQuarantined, "failed"), Turn: chat.TurnStarted{TurnID: "t", MessageID: "a"}},
	} {
		if NewEncoder(Documented).Encode("ROOM", n) == nil {
			t.Errorf("%s: nothing is told", name)
		}
		silent := strings.Contains("text, text so far, thought, progress", name)
		if got := NewEncoder(SPA).Encode("ROOM", n); (got == nil) != silent {
			t.Errorf("%s: the SPA is told %v", name, got)
		}
	}
}
