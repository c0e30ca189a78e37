package rooms_test

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"parlor/actors/actortest"
	"parlor/actors/chats"
	"parlor/actors/queries"
	"parlor/actors/room"
	"parlor/actors/system"
	"parlor/persistence"
	"parlor/protocol/assistant"
	"parlor/protocol/chat"
)

// BenchmarkRoom reports the heap that a room keeps: with one member, and when
// it has left memory. Run it with -benchtime 10000x.
func BenchmarkRoom(b *testing.B) {
	resident, passivated := roomBytes(b, b.N, b.ResetTimer, b.StopTimer)
	b.ReportMetric(resident, "B/resident")
	b.ReportMetric(passivated, "B/passivated")
}

// A room with one member in which nothing happens takes at most 4 KB.
func TestRoomTakesLittleMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nothing := func() {}
		if resident, _ := roomBytes(t, 500, nothing, nothing); resident > 4<<10 {
			t.Errorf("%.0f bytes", resident)
		}
	})
}

// roomBytes returns the heap that each of n rooms keeps. It calls begin before a member
// joins them, and end after that.
func roomBytes(t testing.TB, n int, begin, end func()) (resident, passivated float64) {
	store, err := persistence.Open(filepath.Join(t.TempDir(), "parlor.db"), persistence.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	models := new(actortest.Assistant)
	r, err := chats.Start(system.New(nil), store, room.Options{Models: models, Provider: models, Encoders: actortest.Encoders(), IdleTimeout: 100 * time.Millisecond, MaxAwake: 1 << 30}, queries.Reads{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close(context.Background())
	inbox := make(actortest.Replies, n)
	caller := room.Caller{User: chat.User{ID: "owner"}, Address: r.Open(inbox)}
	all := func(command func(i int, id chat.ID) room.Message) {
		for i := range n {
			id := chat.ID(fmt.Sprint(i))
			r.Tell(id.Room(), command(i, id))
			if i >= 1000 {
				<-inbox
			}
		}
		for range min(n, 1000) {
			<-inbox
		}
	}
	all(func(_ int, id chat.ID) room.Message {
		return &room.Create{Caller: caller, Chat: id, ModelID: actortest.Model}
	})
	settle := func() float64 {
		time.Sleep(2 * time.Second)
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc)
	}
	empty := settle()
	begin()
	all(func(int, chat.ID) room.Message {
		return &room.Join{Caller: caller, Encoder: assistant.Documented.String()}
	})
	end()
	resident = settle() - empty
	all(func(int, chat.ID) room.Message { return &room.Leave{Caller: caller} })
	passivated = settle() - empty
	return resident / float64(n), passivated / float64(n)
}

// BenchmarkHistory reads the newest page of a room of 10,000 records whose
// messages have 2 KiB each: half of them are answers, and half of the records
// are no messages.
func BenchmarkHistory(b *testing.B) {
	store, err := persistence.Open(filepath.Join(b.TempDir(), "parlor.db"), persistence.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer store.Close()
	models := new(actortest.Assistant)
	r, err := chats.Start(system.New(nil), store, room.Options{Models: models, Provider: models, Encoders: actortest.Encoders()}, queries.Reads{})
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close(context.Background())
	text := prose(2 << 10)
	actortest.Fill(b, store, theChat, 9_900, text)
	talk(b, r, theChat, 25, text) // so that the room makes a snapshot
	for _, limit := range []int{50, 500} {
		b.Run(fmt.Sprintf("limit=%d", limit), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				messages, _, err := r.History(b.Context(), chat.User{ID: "owner"}, theChat.Room(), 0, limit)
				if err != nil || len(messages) < 50 {
					b.Fatalf("%d messages, %v", len(messages), err)
				}
			}
		})
	}
}

// talk says text n times, and waits for each answer.
func talk(b *testing.B, r *chats.Chats, id chat.ID, n int, text string) {
	b.Helper()
	inbox := make(actortest.Replies, 1)
	owner := room.Caller{User: chat.User{ID: "owner"}, Address: r.Open(inbox)}
	for range n {
		r.Tell(id.Room(), &room.Send{Caller: owner, Content: text})
		if reply := <-inbox; reply.Err != nil {
			b.Fatal(reply.Err)
		}
	}
	r.Tell(id.Room(), &room.Join{Caller: owner, Encoder: assistant.Documented.String()})
	for {
		reply := <-inbox
		if joined := reply.Body.(room.Joined); joined.Turn == nil && len(joined.Queued) == 0 {
			break
		}
		time.Sleep(10 * time.Millisecond)
		r.Tell(id.Room(), &room.Join{Caller: owner, Encoder: assistant.Documented.String()})
	}
	r.Tell(id.Room(), &room.Leave{Caller: owner})
	<-inbox
}

// prose returns n bytes that read like an answer: words, and now and then a
// line end and a quotation mark.
func prose(n int) string {
	return strings.Repeat("It is said that \"anyone\" can stop it, from any tab.\n", n/50+1)[:n]
}

// A sink counts what it is told.
type sink struct{ told atomic.Int64 }

func (s *sink) Deliver(room.Delivery) { s.told.Add(1) }

// BenchmarkDelivery reports what it costs to tell 100 members a piece of an
// answer: an operation is one piece.
func BenchmarkDelivery(b *testing.B) {
	const members = 100
	store, err := persistence.Open(filepath.Join(b.TempDir(), "parlor.db"), persistence.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer store.Close()
	models := new(actortest.Assistant)
	r, err := chats.Start(system.New(nil), store, room.Options{
		Models: models, Provider: models, Encoders: actortest.Encoders(), MaxAnswerBytes: 1 << 30,
	}, queries.Reads{})
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close(context.Background())
	begin, done := make(chan struct{}), make(chan struct{})
	models.On("talk", func(_ context.Context, say func(string) bool) error {
		<-begin
		for range b.N {
			say("word ")
		}
		close(done)
		return nil
	})
	const id chat.ID = "chat"
	inbox := make(actortest.Replies, members+2)
	caller := func(to room.Recipient) room.Caller {
		return room.Caller{User: chat.User{ID: "owner"}, Address: r.Open(to)}
	}
	r.Tell(id.Room(), &room.Create{Caller: caller(inbox), Chat: id, ModelID: actortest.Model})
	<-inbox
	var all []*sink
	for range members {
		all = append(all, new(sink))
		r.Tell(id.Room(), &room.Join{Caller: caller(all[len(all)-1]), Encoder: assistant.Documented.String()})
	}
	r.Tell(id.Room(), &room.Send{Caller: caller(inbox), Content: "talk"})
	<-inbox
	b.ReportAllocs()
	b.ResetTimer()
	close(begin)
	<-done
	for all[members-1].told.Load() < int64(b.N) {
		time.Sleep(time.Millisecond)
	}
}
