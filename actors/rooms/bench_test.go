package rooms_test

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"parlor/actors/actortest"
	"parlor/actors/room"
	"parlor/actors/rooms"
	"parlor/actors/system"
	"parlor/persistence"
	"parlor/protocol/assistant"
	"parlor/protocol/chat"
)

// replies is a recipient that keeps the replies.
type replies chan room.Reply

func (r replies) Deliver(d room.Delivery) {
	if reply, ok := d.(room.Reply); ok {
		r <- reply
	}
}

// BenchmarkRoom reports the heap that a room keeps: with one member, and when
// it has left memory. Run it with -benchtime 10000x.
func BenchmarkRoom(b *testing.B) {
	store, err := persistence.Open(filepath.Join(b.TempDir(), "parlor.db"), persistence.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer store.Close()
	models := new(actortest.Assistant)
	r, err := rooms.Start(system.New(nil), store, room.Options{Models: models, Provider: models, Encoders: actortest.Encoders(), IdleTimeout: 100 * time.Millisecond})
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close(context.Background())
	inbox := make(replies, b.N)
	caller := room.Caller{User: chat.User{ID: "owner"}, Address: r.Open(inbox)}
	all := func(command func(i int, id chat.ID) room.Message) {
		for i := range b.N {
			id := chat.ID(fmt.Sprint(i))
			r.Tell(id.Room(), command(i, id))
			if i >= 1000 {
				<-inbox
			}
		}
		for range min(b.N, 1000) {
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
	b.ResetTimer()
	all(func(int, chat.ID) room.Message {
		return &room.Join{Caller: caller, Encoder: assistant.Documented.String()}
	})
	b.StopTimer()
	resident := settle()
	all(func(int, chat.ID) room.Message { return &room.Leave{Caller: caller} })
	passivated := settle()
	b.ReportMetric((resident-empty)/float64(b.N), "B/resident")
	b.ReportMetric((passivated-empty)/float64(b.N), "B/passivated")
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
	r, err := rooms.Start(system.New(nil), store, room.Options{
		Models: models, Provider: models, Encoders: actortest.Encoders(), MaxAnswerBytes: 1 << 30,
	})
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
	inbox := make(replies, members+2)
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
