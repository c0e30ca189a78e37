package chat

import (
	"bytes"
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func encoded(t testing.TB, v any) int {
	t.Helper()
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		t.Fatal(err)
	}
	return b.Len() - len("\n")
}

func FuzzEncodedLen(f *testing.F) {
	for _, text := range []string{
		"", "hello", "<a href=\"x\">&</a>", "\x00\x01\x1f\x20\x7f", "\b\f\n\r\t\"\\/", "\u2027\u2028\u2029\u202a", "é😀\ufffd",
		"\xff\xc3\x28\xed\xa0\x80", "\xe2\x80", strings.Repeat("\x01", 1000),
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if got, want := EncodedLen(text), encoded(t, text); got != want {
			t.Errorf("%q: got %d, want %d", text, got, want)
		}
	})
}

func TestEncodedLenOfEachCharacter(t *testing.T) {
	for r := range rune(0x3000) {
		text := string(r)
		if got, want := EncodedLen(text), encoded(t, text); got != want {
			t.Errorf("%U: got %d, want %d", r, got, want)
		}
	}
	if n := testing.AllocsPerRun(10, func() { EncodedLen("a\x01é\xff\u2028") }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// A message is never longer than it says, and not much shorter.
func TestMessageEncodedLen(t *testing.T) {
	const slack = 400
	check := func(m Message) (said, is int) { return m.EncodedLen(), encoded(t, m) }
	full := Message{
		ID: "0123456789abcdef0123456789abcdef0123", Seq: math.MaxUint64, Role: RoleAssistant, State: StateInterrupted,
		ModelID: "m", Name: "n", Prompt: "p", PromptSeq: math.MaxUint64, By: "b", Reason: "r", ClientID: "c", Modality: ModalityAudio, Steers: "s", Replaces: "r", First: "f", Version: math.MaxUint64,
		Siblings: &Siblings{[]MessageID{"m", "n"}, 1, 2}, ReplacesSeq: math.MaxUint64, Author: &User{ID: "i", Name: "n", Email: "e", Picture: "p"}, Error: &Error{Code: CodeStorageUnavailable, Message: "m"},
		Calls:   []Called{{ID: "c", Name: "n", Arguments: "a", State: ToolCompleted, Result: "r", By: "b", At: math.MaxInt, Cut: true}},
		Usage:   &Usage{math.MaxInt, math.MaxInt, math.MaxInt, true},
		Created: time.Date(2026, 12, 31, 23, 59, 59, 123456789, time.FixedZone("", 3600)),
	}
	if said, is := check(full); said < is || said > is+slack {
		t.Errorf("all fields: it says %d and is %d", said, is)
	}
	rapid.Check(t, func(rt *rapid.T) {
		text := func(name string) string { return rapid.String().Draw(rt, name) }
		m := Message{
			ID: full.ID, Seq: rapid.Uint64().Draw(rt, "seq"), Role: RoleUser, State: StateCompleted, Created: full.Created,
			Content: text("content"), ModelID: ModelID(text("model")), Name: text("name"), By: UserID(text("by")), Reason: text("reason"),
			ClientID: ClientID(text("client")), Prompt: MessageID(text("prompt")),
		}
		if rapid.Bool().Draw(rt, "by a user") {
			m.Author = &User{ID: UserID(text("author")), Name: text("author's name")}
		}
		if said, is := check(m); said < is || said > is+slack {
			rt.Errorf("it says %d and is %d", said, is)
		}
	})
}
