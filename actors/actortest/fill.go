package actortest

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"parlor/actors/conversation"
	"parlor/actors/room"
	"parlor/persistence"
	"parlor/protocol/chat"
)

// Fill writes a chat of "owner" with n records: turns, whose messages are text.
func Fill(t testing.TB, store *persistence.Store, id chat.ID, n int, text string) {
	t.Helper()
	info := chat.Info{ID: id, Room: id.Room(), Owner: "owner", ModelID: Model, Created: time.Now().UTC()}
	row := conversation.Row(info)
	c := persistence.Commit{Room: string(id.Room()), Chat: &row}
	events := []chat.Event{chat.Created{Chat: info}}
	for i := 1; len(events) < n; i++ {
		prompt, answer, turn := chat.MessageID(uuid.NewString()), chat.MessageID(uuid.NewString()), chat.TurnID(uuid.NewString())
		seq := uint64(len(events) + 1)
		events = append(events,
			chat.MessageAdded{MessageID: prompt, Author: chat.User{ID: "owner"}, Content: text, ModelID: Model},
			chat.TurnQueued{TurnID: turn, Prompt: prompt, PromptSeq: seq, ModelID: Model, By: "owner"},
			chat.TurnStarted{TurnID: turn, MessageID: answer, ModelID: Model, Attempt: 1},
			chat.TurnEnded{TurnID: turn, MessageID: answer, Prompt: prompt, PromptSeq: seq, ModelID: Model, State: chat.StateCompleted, Content: text})
	}
	var fold conversation.Fold
	for i, e := range events[:n] {
		entry, err := chat.Record{Seq: uint64(i + 1), At: time.Now().UTC(), Event: e}.Encode()
		if err == nil {
			err = fold.Add(persistence.Entry{Seq: uint64(i + 1), Data: entry})
		}
		if err != nil {
			t.Fatal(err)
		}
		c.Entries = append(c.Entries, entry)
		if len(c.Entries) == 20 || i == n-1 {
			Write(t, store, c)
			c = persistence.Commit{Room: c.Room, After: uint64(i + 1)}
		}
	}
}

// Write appends a commit, and waits for it.
func Write(t testing.TB, store *persistence.Store, c persistence.Commit) {
	t.Helper()
	done := make(chan error, 1)
	store.Append(c, func(err error) { done <- err })
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// Replies is a recipient that keeps the replies.
type Replies chan room.Reply

func (r Replies) Deliver(d room.Delivery) {
	if reply, ok := d.(room.Reply); ok {
		r <- reply
	}
}
