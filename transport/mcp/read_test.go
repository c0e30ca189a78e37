package mcp

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"parlor/protocol/chat"
)

// An agent that follows the cursors reads all of a room, each message once and whole, in results
// that are not much larger than they may be.
func TestPagesAreWhole(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		room := drawRoom(t)
		s := &Server{o: Options{Rooms: room, MaxWait: time.Minute, MaxResult: rapid.IntRange(1, 3000).Draw(t, "MaxResult")}}
		limit := rapid.IntRange(1, 5).Draw(t, "limit")
		var got []string
		for cursor, more := "", true; more; more = cursor != "" {
			page, err := s.readRoom(t.Context(), alice, readArgs{Room: "c", Cursor: cursor, Limit: limit})
			if err != nil {
				t.Fatal(err)
			}
			s.wantSmall(t, page)
			for _, m := range slices.Backward(page.Messages) {
				got = append(got, s.whole(t, m))
			}
			cursor = page.Older
		}
		slices.Reverse(got)
		if want := room.texts(); !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

// The same for those who wait.
func TestWaitsAreWhole(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		room := drawRoom(t)
		for _, m := range room.messages {
			room.records = append(room.records, said(m.Seq, "bob", m.Content))
		}
		s := &Server{o: Options{Rooms: room, MaxWait: time.Minute, MaxResult: rapid.IntRange(1, 3000).Draw(t, "MaxResult")}}
		var got []string
		for cursor := "e.0"; len(got) < len(room.messages); {
			page, err := s.wait(t.Context(), alice, waitArgs{Room: "c", Cursor: cursor, Seconds: 9})
			if err != nil {
				t.Fatal(err)
			}
			s.wantSmall(t, page)
			for _, m := range page.Messages {
				got = append(got, s.whole(t, m))
			}
			cursor = page.Cursor
		}
		if want := room.texts(); !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

func drawRoom(t *rapid.T) *fake {
	room := new(fake)
	letter := rapid.SampledFrom([]string{"a", "é", "\n", "\x01", "<", "漢", "😀"})
	for i, n := range rapid.SliceOfN(rapid.IntRange(0, 900), 1, 8).Draw(t, "lengths") {
		text := strings.Repeat(letter.Draw(t, "letter"), n)
		room.messages = append(room.messages, chat.Message{ID: chat.MessageID(fmt.Sprint("m", i)), Seq: uint64(3*i + 2), Role: chat.RoleUser, Content: text, State: chat.StateCompleted})
	}
	return room
}

func (f *fake) texts() (all []string) {
	for _, m := range f.messages {
		all = append(all, m.Content)
	}
	return all
}

// whole reads on in a long message.
func (s *Server) whole(t *rapid.T, m message) string {
	text := m.Text
	for m.Rest != "" {
		page, err := s.readRoom(t.Context(), alice, readArgs{Room: "c", Cursor: m.Rest})
		if err != nil || len(page.Messages) != 1 || page.Messages[0].Text == "" {
			t.Fatal(page, err)
		}
		s.wantSmall(t, page)
		m = page.Messages[0]
		text += m.Text
	}
	return text
}

func (s *Server) wantSmall(t *rapid.T, result any) {
	text, err := encode(result)
	if err != nil || len(text) > max(s.o.MaxResult, 2*fieldsLen)+fieldsLen {
		t.Errorf("%d bytes, with at most %d: %v", len(text), s.o.MaxResult, err)
	}
}

func TestReadRefusals(t *testing.T) {
	s := New(Options{Rooms: &fake{messages: []chat.Message{{Seq: 2, Content: "hello"}}}})
	for _, cursor := range []string{"2", "b", "b0", "b-1", "bx", "t2", "t2.", "t2.9", "t2.-1", "t1.0", "t3.0", "t99999999999999999999.0", "e.2"} {
		if _, err := s.readRoom(t.Context(), alice, readArgs{Room: "c", Cursor: cursor, Limit: 9}); !errors.Is(err, errCursor) {
			t.Errorf("cursor %q: %v", cursor, err)
		}
	}
}

// An agent sees who has said something, and how an answer has ended.
func TestShow(t *testing.T) {
	for want, m := range map[string]chat.Message{
		`{"message_id":"m","at":"0001-01-01T00:00:00.000Z","role":"user","from":"Alice","user":"alice","text":"a < b","replaces":"old","versions":2,"files":["a.txt"]}`: {
			ID: "m", Role: chat.RoleUser, Content: "a < b", Author: &chat.User{ID: "alice", Name: "Alice", Email: "alice@example.com"}, State: chat.StateCompleted,
			Replaces: "old", Siblings: &chat.Siblings{Count: 2}, Files: []chat.File{{Name: "a.txt"}},
		},
		`{"message_id":"n","at":"0001-01-01T00:00:00.000Z","role":"assistant","from":"helper","text":"","state":"failed","error":"no","answers":"m"}`: {
			ID: "n", Role: chat.RoleAssistant, ModelID: "gpt", Name: "helper", State: chat.StateFailed, Error: chat.Refuse(chat.CodeProviderError, "no"), Prompt: "m", Thought: "secret",
		},
	} {
		got, err := encode(show(m))
		if err != nil || got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		if !json.Valid([]byte(got)) {
			t.Error("no JSON")
		}
	}
}
