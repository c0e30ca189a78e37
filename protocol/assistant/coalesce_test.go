package assistant

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"parlor/protocol/chat"
	"parlor/protocol/engineio"
	"parlor/protocol/socketio"
)

// delta is a delta of an answer in the room "ROOM".
func delta(message chat.MessageID, offset int, text string) engineio.Frame {
	return chunk(streamChunk, "ROOM", message, offset, text, false)
}

// resumes appends a string by which a client resumes.
func resumes(f engineio.Frame, offset string) engineio.Frame {
	return socketio.WithArg(f, json.RawMessage(`"`+offset+`"`))
}

// bothLive is a delta of a live answer, in both dialects, and liveDelta in the SPA's.
func bothLive(message chat.MessageID, offset int, text string, spoken bool) []engineio.Frame {
	return livePieces(Both, "ROOM", message, offset, text, spoken)
}

func liveDelta(message chat.MessageID, text string, spoken bool) engineio.Frame {
	return livePieces(SPA, "ROOM", message, 0, text, spoken)[0]
}

func TestCoalesce(t *testing.T) {
	other := Event("turn", "ROOM", struct{}{})
	binary := engineio.Frame{Data: delta("a", 1, "x").Data, Binary: true}
	header := engineio.Frame{Data: []byte(`451-["e",{"_placeholder":true,"num":0}]`)}
	for _, test := range []struct {
		name      string
		in, wants []engineio.Frame
	}{
		{"nothing", nil, nil},
		{"one", []engineio.Frame{delta("a", 3, "x")}, []engineio.Frame{delta("a", 3, "x")}},
		{"text", []engineio.Frame{delta("a", 3, "a\"\n"), delta("a", 6, "😀\x01"), delta("a", 9, "é"), delta("a", 10, "<")},
			[]engineio.Frame{delta("a", 3, "a\"\n😀\x01é<")}},
		{"twice", Coalesce([]engineio.Frame{delta("a", 0, "x"), delta("a", 1, "y"), delta("a", 2, "z")}), []engineio.Frame{delta("a", 0, "xyz")}},
		{"a gap", []engineio.Frame{delta("a", 0, "x"), delta("a", 2, "y"), delta("a", 3, "z")}, []engineio.Frame{delta("a", 0, "x"), delta("a", 2, "yz")}},
		{"an overlap", []engineio.Frame{delta("a", 0, "xy"), delta("a", 1, "y")}, []engineio.Frame{delta("a", 0, "xy"), delta("a", 1, "y")}},
		{"two answers", []engineio.Frame{delta("a", 0, "x"), delta("b", 0, "1"), delta("a", 1, "y"), delta("b", 1, "2")},
			[]engineio.Frame{delta("a", 0, "xy"), delta("b", 0, "12")}},
		{"two rooms", []engineio.Frame{delta("a", 0, "x"), chunk(streamChunk, "R2", "a", 1, "y", false)}, []engineio.Frame{delta("a", 0, "x"), chunk(streamChunk, "R2", "a", 1, "y", false)}},
		{"a new attempt", []engineio.Frame{delta("a", 0, "x"), delta("a", 1, "y"), delta("a", 0, "x"), delta("a", 1, "z")},
			[]engineio.Frame{delta("a", 0, "xy"), delta("a", 0, "xz")}},
		{"a new attempt after nothing", []engineio.Frame{delta("a", 0, ""), delta("a", 0, "x")}, []engineio.Frame{delta("a", 0, ""), delta("a", 0, "x")}},
		{"not past others", []engineio.Frame{delta("a", 0, "x"), delta("a", 1, "y"), other, delta("a", 2, "z")}, []engineio.Frame{delta("a", 0, "xy"), other, delta("a", 2, "z")}},
		{"live", slices.Concat(bothLive("a", 0, "x", false), bothLive("a", 1, "y", false), bothLive("a", 2, "1", true), bothLive("a", 3, "2", true)),
			[]engineio.Frame{delta("a", 0, "xy12"), liveDelta("a", "xy", false), liveDelta("a", "12", true)}},
		{"live, not past others", []engineio.Frame{liveDelta("a", "x", false), other, liveDelta("a", "y", false)},
			[]engineio.Frame{liveDelta("a", "x", false), other, liveDelta("a", "y", false)}},
		{"live, to resume by", []engineio.Frame{resumes(liveDelta("a", "x", false), "1"), resumes(liveDelta("a", "y", false), "2")},
			[]engineio.Frame{resumes(liveDelta("a", "xy", false), "2")}},
		{"live, two answers to resume by",
			[]engineio.Frame{resumes(liveDelta("a", "x", false), "1"), resumes(liveDelta("b", "1", false), "2"), resumes(liveDelta("a", "y", false), "3")},
			[]engineio.Frame{resumes(liveDelta("a", "x", false), "1"), resumes(liveDelta("b", "1", false), "2"), resumes(liveDelta("a", "y", false), "3")}},
		{"live, two answers", []engineio.Frame{liveDelta("a", "x", false), liveDelta("b", "1", false), liveDelta("a", "\"y", false)},
			[]engineio.Frame{liveDelta("a", "x\"y", false), liveDelta("b", "1", false)}},
		{"the end", []engineio.Frame{delta("a", 0, "x"), chunk(streamChunk, "ROOM", "a", 1, "", true)}, []engineio.Frame{delta("a", 0, "x"), chunk(streamChunk, "ROOM", "a", 1, "", true)}},
		{"attachments", []engineio.Frame{delta("a", 0, "x"), header, binary, delta("a", 1, "y")}, []engineio.Frame{delta("a", 0, "x"), header, binary, delta("a", 1, "y")}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := Coalesce(test.in)
			if diff := cmp.Diff(texts(test.wants), texts(got)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// texts makes frames readable.
func texts(frames []engineio.Frame) (s []string) {
	for _, f := range frames {
		s = append(s, fmt.Sprintf("%s %v", f.Data, f.Binary))
	}
	return s
}

// Only what chunk writes is recognised: nobody knows what else may follow the
// text of another shape.
func TestOtherShapes(t *testing.T) {
	const shape = `42/assistant/realtime,["stream_chunk ROOM",{"message_id":"a","content":"x","done":false,"offset":1}]`
	if _, ok := parsePiece(engineio.Frame{Data: []byte(shape)}, nil); !ok {
		t.Fatal("not recognised")
	}
	for from, to := range map[string]string{
		"42": "421", "realtime": "realtimes", "stream_chunk ROOM": "stream_chunk", `"ROOM"`: `"ROOM\u0041"`, `"a"`: `1`,
		`"x"`: `"\q"`, `x"`: "x\n\"", `"x`: "\"\xff", `x`: `\u001F`, `\`: ``, "false": "true", `"offset":1`: `"offset":01`, ":1}": ":-1}", "1}": "1.0}",
		"1}]": "1}]]", "}]": `},"offset"]`, "}": `,"more":1}`, "1": "1234567890123456",
	} {
		data := strings.Replace(shape, from, to, 1)
		if _, ok := parsePiece(engineio.Frame{Data: []byte(data)}, nil); ok && data != shape {
			t.Errorf("recognised: %s", data)
		}
	}
	for i := range len(shape) {
		if _, ok := parsePiece(engineio.Frame{Data: []byte(shape[:i])}, nil); ok {
			t.Errorf("recognised: %s", shape[:i])
		}
	}
}

// A view is what a client knows by the time it gets a frame that is no delta.
type view struct {
	Frame string
	Texts map[string]string
}

// views is a client: it puts the texts of answers together by their offsets.
func views(frames []engineio.Frame) (all []view) {
	units := make(map[string][]uint16)
	show := func(frame string) {
		texts := make(map[string]string)
		for id, text := range units {
			texts[id] = string(utf16.Decode(text))
		}
		all = append(all, view{frame, texts})
	}
	for _, f := range frames {
		id, text, offset, ok := readDelta(f)
		if !ok {
			show(fmt.Sprintf("%q %v", f.Data, f.Binary))
			continue
		}
		if offset < 0 { // goes on with what there is
			offset = len(units[id])
		}
		for len(units[id]) < offset {
			units[id] = append(units[id], '?') // a gap
		}
		units[id] = append(units[id][:offset:offset], utf16.Encode([]rune(text))...)
	}
	show("end")
	return all
}

// readDelta decodes a delta with encoding/json, whatever its shape.
func readDelta(f engineio.Frame) (id, text string, offset int, ok bool) {
	data, ok := bytes.CutPrefix(f.Data, []byte("42"+Namespace+","))
	var event []json.RawMessage
	if !ok || f.Binary || json.Unmarshal(data, &event) != nil || len(event) != 2 {
		return "", "", 0, false
	}
	var name string
	var body struct {
		MessageID *string `json:"message_id"`
		Content   *string `json:"content"`
		Done      *bool   `json:"done"`
		Offset    *int    `json:"offset"`

		Type  string         `json:"type"` // of a live answer
		Item  chat.MessageID `json:"item_id"`
		Delta string         `json:"delta"`
	}
	if json.Unmarshal(event[0], &name) != nil || json.Unmarshal(event[1], &body) != nil {
		return "", "", 0, false
	}
	if strings.HasPrefix(name, "receive_message ") && (body.Type == textDelta || body.Type == transcriptDelta) {
		return name + "\x00" + body.Type + "\x00" + string(body.Item), body.Delta, -1, true
	}
	if !strings.HasPrefix(name, "stream_chunk ") && !strings.HasPrefix(name, "stream_thought ") {
		return "", "", 0, false
	}
	if body.MessageID == nil || body.Content == nil || body.Done == nil || *body.Done || body.Offset == nil {
		return "", "", 0, false
	}
	const most = 1 << 16 // what the model is willing to fill gaps up to
	if *body.Offset < 0 || *body.Offset > most {
		return "", "", 0, false
	}
	return name + "\x00" + *body.MessageID, *body.Content, *body.Offset, true
}

// checkCoalesced checks that a client learns the same from coalesced frames,
// and that nobody's frames have changed.
func checkCoalesced(t interface{ Errorf(string, ...any) }, frames []engineio.Frame) {
	before := texts(frames)
	got := Coalesce(frames)
	if diff := cmp.Diff(views(frames), views(got)); diff != "" {
		t.Errorf("(-all +coalesced):\n%s", diff)
	}
	if diff := cmp.Diff(before, texts(frames)); diff != "" {
		t.Errorf("frames changed (-before +after):\n%s", diff)
	}
	if again := Coalesce(got); !slices.Equal(texts(got), texts(again)) {
		t.Errorf("coalescing again changed %q to %q", texts(got), texts(again))
	}
}

// TestCoalescedSaysTheSame streams answers with restarts and gaps, in rooms
// where other things happen too.
func TestCoalescedSaysTheSame(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		ends := make(map[string]int)
		var frames []engineio.Frame
		for range rapid.IntRange(0, 60).Draw(rt, "frames") {
			room := rapid.SampledFrom([]chat.RoomID{"R", `"`}).Draw(rt, "room")
			message := rapid.SampledFrom([]chat.MessageID{"a", "ü\\"}).Draw(rt, "message")
			text := rapid.String().Draw(rt, "text")
			part := rapid.SampledFrom([]string{streamChunk, streamThought}).Draw(rt, "part")
			key := part + string(room) + string(message)
			switch rapid.IntRange(0, 19).Draw(rt, "what") {
			case 0:
				frames = append(frames, Event("message", string(room), text))
				continue
			case 1:
				frames = append(frames, engineio.Frame{Data: chunk(part, room, message, ends[key], text, false).Data, Binary: true})
				continue
			case 2:
				ends[key] = 0 // an attempt
			case 3:
				ends[key] += rapid.IntRange(-3, 3).Draw(rt, "gap")
				ends[key] = max(ends[key], 0)
			case 4:
				frames = append(frames, chunk(streamChunk, room, message, ends[key], text, true))
				continue
			case 5, 6, 7:
				frames = append(frames, livePieces(SPA, room, message, 0, text, rapid.Bool().Draw(rt, "spoken"))...)
				continue
			}
			frames = append(frames, chunk(part, room, message, ends[key], text, false))
			ends[key] += Length(text)
		}
		checkCoalesced(rt, frames)
	})
}

// FuzzCoalesce takes frames that a separator stands between.
func FuzzCoalesce(f *testing.F) {
	const separator = "\x1e"
	shape := `42/assistant/realtime,["stream_chunk ROOM",{"message_id":"a","content":"x","done":false,"offset":1}]`
	second := strings.Replace(shape, ":1}", ":2}", 1)
	live := string(liveDelta("a", "x", true).Data)
	for _, seed := range [][]string{
		{shape, second}, {shape, "2", second}, {shape, shape}, {shape, strings.Replace(second, "false", "true", 1)},
		{strings.Replace(shape, "x", `\u001f`, 1), second}, {strings.Replace(shape, "x", `\n\"`, 1), strings.Replace(shape, ":1}", ":3}", 1)},
		{strings.Replace(shape, "x", "😀", 1), strings.Replace(shape, ":1}", ":3}", 1)}, {strings.Replace(shape, "x", `\ud83d`, 1), second},
		{strings.Replace(shape, "x", "", 1), shape}, {strings.Replace(shape, ":1}", ":0}", 1), strings.Replace(shape, ":1}", ":0}", 1)},
		{strings.Replace(shape, "ROOM", `R\\\"`, 1), strings.Replace(second, "ROOM", `R\\\"`, 1)}, {strings.Replace(shape, "x", "\xff", 1), second},
		{strings.Replace(shape, "x", `\`, 1), second}, {"", shape, "", second}, {shape[:60], second},
		{live, live}, {live, shape, strings.Replace(live, "_transcript", "", 1), second, live}, {live, "2", live}, {live[:80], live},
	} {
		f.Add([]byte(strings.Join(seed, separator)))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var frames []engineio.Frame
		for part := range bytes.SplitSeq(data, []byte(separator)) {
			frames = append(frames, engineio.Frame{Data: part})
		}
		checkCoalesced(t, frames)
	})
}

// BenchmarkCoalesce takes 10,000 tokens of one answer, as 1 MiB of queue holds
// about as many.
func BenchmarkCoalesce(b *testing.B) {
	for _, answers := range []int{1, 8} {
		b.Run(fmt.Sprintf("answers=%d", answers), func(b *testing.B) { benchmarkCoalesce(b, answers) })
	}
}

func benchmarkCoalesce(b *testing.B, answers int) {
	const tokens, token = 10_000, " tokén"
	var frames []engineio.Frame
	for i := range tokens {
		message := chat.MessageID(fmt.Sprintf("0123456789abcdef%d", i%answers))
		frames = append(frames, delta(message, i/answers*Length(token), token))
	}
	before, after := size(frames), 0
	b.SetBytes(int64(before))
	b.ReportAllocs()
	for b.Loop() {
		after = size(Coalesce(frames))
	}
	b.ReportMetric(float64(before), "bytes-before")
	b.ReportMetric(float64(after), "bytes-after")
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/tokens, "ns/delta")
}

func size(frames []engineio.Frame) (n int) {
	for _, f := range frames {
		n += len(f.Data)
	}
	return n
}
