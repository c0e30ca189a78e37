package rooms_test

import (
	"context"
	"fmt"
	"iter"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"parlor/actors/access"
	"parlor/actors/actortest"
	"parlor/actors/chats"
	"parlor/actors/queries"
	"parlor/actors/room"
	"parlor/actors/system"
	"parlor/persistence"
	"parlor/protocol/chat"
)

// attentive is a provider whose model reads long prompts and answers in pieces.
type attentive struct{ actortest.Assistant }

func (*attentive) Stream(context.Context, chat.Prompt) iter.Seq2[chat.Delta, error] {
	return func(yield func(chat.Delta, error) bool) {
		for range 50 {
			if !yield(chat.Delta{Text: "some words of an answer "}, nil) {
				return
			}
		}
	}
}

// turnEnds is a log that tells when something is on disk that ends a turn, or
// makes a chat.
type turnEnds struct {
	*persistence.Store
	happened chan struct{}
}

func (l turnEnds) Append(c persistence.Commit, done func(error)) {
	l.Store.Append(c, func(err error) {
		if done(err); err != nil {
			panic(err)
		}
		for _, e := range c.Entries {
			if c.After == 0 || chat.EndsTurn(e) {
				l.happened <- struct{}{}
			}
		}
	})
}

// BenchmarkTurn reports what CPU a turn costs behind a history of so many tokens,
// of one speaker or two, to a model that is told all of it.
func BenchmarkTurn(b *testing.B) {
	for _, speakers := range []int{1, 2} {
		for _, tokens := range []int{0, 32 << 10, 128 << 10, 1 << 20} {
			b.Run(fmt.Sprintf("speakers=%d/history=%dk", speakers, tokens>>10), func(b *testing.B) {
				benchmarkTurn(b, speakers, chronicle(tokens, speakers))
			})
		}
	}
}

func benchmarkTurn(b *testing.B, speakers int, history [][]byte) {
	store, err := persistence.Open(filepath.Join(b.TempDir(), "parlor.db"), persistence.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer store.Close()
	a := new(attentive)
	a.Describe(chat.Model{ID: actortest.Model, ContextWindow: 2 << 20})
	log := turnEnds{store, make(chan struct{}, 1)}
	id := chat.ID("the-chat")
	start := func() *chats.Chats {
		r, err := chats.Start(system.New(nil), log, room.Options{
			Models: a, Provider: a, Access: access.Policy{Shared: true}, Encoders: actortest.Encoders(), IdleTimeout: time.Hour,
		}, queries.Reads{})
		if err != nil {
			b.Fatal(err)
		}
		return r
	}
	r := start()
	r.Tell(id.Room(), &room.Create{Caller: room.Caller{User: chat.User{ID: "user-0"}}, Chat: id, ModelID: actortest.Model})
	<-log.happened
	r.Close(context.Background())
	addEntries(b, store, string(id.Room()), history)
	r = start()
	defer r.Close(context.Background())
	turns := 0
	turn := func() {
		by := chat.UserID(fmt.Sprint("user-", turns%speakers))
		r.Tell(id.Room(), &room.Send{Caller: room.Caller{User: chat.User{ID: by, Name: string(by)}}, Content: "and now?"})
		<-log.happened
		turns++
	}
	turn()
	turn()
	before := cpu()
	b.ReportAllocs()
	for b.Loop() {
		turn()
	}
	b.ReportMetric(float64((cpu()-before).Microseconds())/1000/float64(turns-2), "cpu-ms/turn")
}

// cpu returns what the process has used.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// addEntries adds entries to a room's log, which has one.
func addEntries(b *testing.B, store *persistence.Store, room string, entries [][]byte) {
	failed := make(chan error, 1)
	for after := uint64(1); len(entries) > 0; {
		n := min(len(entries), 1000)
		store.Append(persistence.Commit{Room: room, After: after, Entries: entries[:n]}, func(err error) { failed <- err })
		if err := <-failed; err != nil {
			b.Fatal(err)
		}
		after, entries = after+uint64(n), entries[n:]
	}
}

// chronicle returns the entries of exchanges that are so many tokens.
func chronicle(tokens, speakers int) (entries [][]byte) {
	add := func(e chat.Event) uint64 {
		seq := uint64(len(entries) + 2)
		data, err := chat.Record{Seq: seq, At: time.Now(), Event: e}.Encode()
		if err != nil {
			panic(err)
		}
		entries = append(entries, data)
		return seq
	}
	said, given := strings.Repeat("q", 400), strings.Repeat("a", 1600)
	for i := 0; tokens > 0; i++ {
		id, turn := chat.MessageID(fmt.Sprint("message-", i)), chat.TurnID(fmt.Sprint("turn-", i))
		by := chat.UserID(fmt.Sprint("user-", i%speakers))
		seq := add(chat.MessageAdded{MessageID: id, Author: chat.User{ID: by, Name: string(by)}, Content: said, ModelID: actortest.Model})
		add(chat.TurnQueued{TurnID: turn, Prompt: id, PromptSeq: seq, ModelID: actortest.Model, By: by})
		add(chat.TurnStarted{TurnID: turn, MessageID: "answer-" + id, ModelID: actortest.Model, Attempt: 1})
		add(chat.TurnEnded{TurnID: turn, MessageID: "answer-" + id, Prompt: id, PromptSeq: seq, ModelID: actortest.Model, State: chat.StateCompleted, Content: given})
		tokens -= chat.Tokens(said) + chat.Tokens(given) + 2*chat.MessageTokens
	}
	return entries
}
