package assistant

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"parlor/protocol/chat"
	"parlor/protocol/engineio"
)

// lines returns what frames carry.
func lines(frames []engineio.Frame) (all []string) {
	for _, f := range frames {
		all = append(all, string(f.Data[len(`42`+Namespace+`,`):]))
	}
	return all
}

func wantLines(t *testing.T, what string, got []engineio.Frame, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, lines(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

const (
	liveHead = `["receive_message ROOM",`
	closed   = liveHead + `{"type":"response.done","response":{"id":"a","status":"incomplete","output":[],"usage":null},"timestamp":""}]`
	chunk7   = `["stream_chunk ROOM",{"message_id":"a","content":"hi","done":false,"offset":7}]`
	chunk0   = `["stream_chunk ROOM",{"message_id":"a","content":"hi","done":false,"offset":0}]`
	textOfA  = liveHead + `{"type":"response.text.delta","item_id":"a","delta":"hi"}]`
)

func TestLiveAnswer(t *testing.T) {
	wantLines(t, "written", livePieces(SPA, "ROOM", "a", 7, "hi", false), textOfA)
	wantLines(t, "spoken", livePieces(Both, "ROOM", "a", 7, "hi", true), chunk7,
		liveHead+`{"type":"response.audio_transcript.delta","item_id":"a","delta":"hi"}]`)
	wantLines(t, "documented", livePieces(Documented, "ROOM", "a", 7, "hi", true), chunk7)
	wantLines(t, "audio", Audio(Both, "ROOM", "a", "AAAA"), `["audio ROOM",{"message_id":"a","audio":"AAAA"}]`,
		liveHead+`{"type":"response.audio.delta","item_id":"a","delta":"AAAA"}]`)
}

// A client that was away is told what it missed: of the SPA's, in a new bubble.
func TestLiveAnswerToWhoWasAway(t *testing.T) {
	text := chat.TextSoFar{Turn: chat.Turn{MessageID: "a", Duplex: true}, Text: "hi"}
	wantLines(t, "so far", soFar(SPA, "ROOM", text), closed, textOfA)
	wantLines(t, "so far, both", soFar(Both, "ROOM", text), chunk0, closed, textOfA)
	wantLines(t, "so far, documented", soFar(Documented, "ROOM", text), chunk0)
	wantLines(t, "so far of an answer that is not live", soFar(SPA, "ROOM", chat.TextSoFar{Turn: chat.Turn{MessageID: "a"}, Text: "hi"}))

	ended := chat.Record{Seq: 1, Event: chat.TurnEnded{
		TurnID: "t", MessageID: "a", State: chat.StateCompleted, Content: "hi", Duplex: true,
	}}
	told := lines(recorded(SPA, "ROOM", ended))
	wantLines(t, "its end", replay(SPA, "ROOM", chat.Missed{Record: ended}), append([]string{closed, textOfA}, told...)...)
	wantLines(t, "its end, documented", replay(Documented, "ROOM", chat.Missed{Record: ended}), lines(recorded(Documented, "ROOM", ended))...)
	for _, test := range records() {
		if e, ok := test.event.(chat.TurnEnded); ok && live(e.Duplex, e.Correlation) {
			continue
		}
		wantLines(t, test.name, replay(Both, "ROOM", chat.Missed{Record: test.record()}), lines(recorded(Both, "ROOM", test.record()))...)
	}
}

// A client that has the beginning is told the rest, for the bubble that it has open: if it
// has more than is recorded, nothing but the end. What would cut a letter is not believed.
func TestLiveAnswerGoesOn(t *testing.T) {
	piece := func(text string) string {
		return liveHead + fmt.Sprintf(`{"type":"response.text.delta","item_id":"a","delta":%q}]`, text)
	}
	for has, want := range map[int][]string{
		0: {closed, piece("hä!")}, 1: {piece("ä!")}, 2: {closed, piece("hä!")}, 3: {piece("!")}, 4: nil, 9: nil, -1: {closed, piece("hä!")},
	} {
		text := chat.TextSoFar{Turn: chat.Turn{MessageID: "a", Duplex: true}, Text: "hä!", Has: has}
		wantLines(t, fmt.Sprint("so far, behind ", has), soFar(SPA, "ROOM", text), want...)
		wantLines(t, fmt.Sprint("so far, both, behind ", has), soFar(Both, "ROOM", text)[1:], want...)
		ended := chat.Record{Seq: 1, Event: chat.TurnEnded{
			TurnID: "t", MessageID: "a", State: chat.StateStopped, Content: "hä!", Duplex: true,
		}}
		told := append(want, lines(recorded(SPA, "ROOM", ended))...)
		wantLines(t, fmt.Sprint("its end, behind ", has), replay(SPA, "ROOM", chat.Missed{Record: ended, Has: has}), told...)
	}
}

func TestWhatWasheard(t *testing.T) {
	r := chat.Record{Seq: 1, Event: chat.MessageAdded{MessageID: "q", Content: "hi", Modality: chat.ModalityAudio}}
	wantLines(t, "SPA", heard(SPA, "ROOM", r),
		liveHead+`{"type":"conversation.item.input_audio_transcription.completed","item_id":"q","transcript":"hi"}]`)
	wantLines(t, "documented", heard(Documented, "ROOM", r), lines(recorded(Documented, "ROOM", r))...)
}

// There is a piece for each token: encoding it costs what it does for everybody
// else, which is four allocations.
func TestLivePiecesAreCheap(t *testing.T) {
	for name, encode := range map[string]func() []engineio.Frame{
		"delta":             func() []engineio.Frame { return Delta(Documented, "ROOM", "a", 7, "hi") },
		"live delta":        func() []engineio.Frame { return livePieces(SPA, "ROOM", "a", 7, "hi", true) },
		"audio":             func() []engineio.Frame { return Audio(SPA, "ROOM", "a", "AAAA") },
		"audio, documented": func() []engineio.Frame { return Audio(Documented, "ROOM", "a", "AAAA") },
	} {
		if got := testing.AllocsPerRun(100, func() { encode() }); got > 4 {
			t.Errorf("%s: %v allocations, want at most 4", name, got)
		}
	}
}
