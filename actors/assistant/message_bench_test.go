package assistant_test

import (
	"fmt"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"parlor/actors/actortest"
	"parlor/protocol/chat"
	"parlor/protocol/engineio"
)

// A speaker is a client in a room of its own, whose commands are acknowledged one after the other.
type speaker struct {
	*conn
	room    chat.RoomID
	answers chan struct{} // one element for each frame
}

// Send implements session.Conn.
func (s *speaker) Send(frames ...engineio.Frame) error {
	for range frames {
		s.answers <- struct{}{}
	}
	return nil
}

func (s *speaker) say(event, payload string) {
	b := fmt.Appendf(make([]byte, 0, 512), `2%s7["%s",{"room_id":"%s"%s}]`, prefix, event, s.room, payload)
	s.port.Receive(engineio.Message{Data: b})
}

func (s *speaker) hear(frames int) {
	for range frames {
		<-s.answers
	}
}

func (s *returnServer) speakers(n int) []*speaker {
	all := make([]*speaker, n)
	for i := range all {
		id := chat.ID(fmt.Sprintf("chat-%d", i))
		c := &speaker{conn: &conn{}, room: id.Room(), answers: make(chan struct{}, 64)}
		all[i], c.port = c, s.sessions.Open(c)
		c.port.Receive(engineio.Message{Data: fmt.Appendf(nil, `0%s{"user_id":"user-%d"}`, prefix, i)})
		c.hear(1)
		c.port.Receive(engineio.Message{Data: fmt.Appendf(nil, `2%s1["create_room",{"chat_id":%q,"model_api_source":"aisuite","model_id":%q}]`, prefix, id, actortest.Model)})
		c.hear(2)
		c.say("join_room", `,"dialect":"documented"`)
		c.hear(2)
	}
	return all
}

// BenchmarkMessage is what a command costs that is recorded, from the frame of the client to
// the acknowledgement and the event, in many rooms at once. The disk is that of TMPDIR.
func BenchmarkMessage(b *testing.B) {
	for _, n := range []int{100, 1000} {
		for _, c := range []struct {
			event, payload string
			frames         int
		}{
			{"configure", `,"title":"title %d"`, 2},
			{"send_message", `,"quiet":true,"message":{"type":"conversation.item.create","id":"7","data":{"item":{"content":[{"type":"input_text","text":"message %d is of no importance, but it has the length that one usually has"}]}}}`, 3},
		} {
			b.Run(fmt.Sprintf("%s/rooms=%d", c.event, n), func(b *testing.B) { benchmarkMessage(b, n, c.frames, c.event, c.payload) })
		}
	}
}

func benchmarkMessage(b *testing.B, rooms, frames int, event, payload string) {
	s := startReturn(b, filepath.Join(b.TempDir(), "parlor.db"))
	all := s.speakers(rooms)
	defer func() {
		for _, c := range all {
			c.port.Closed("transport close")
		}
		s.stop(b)
	}()
	b.ReportAllocs()
	runtime.GC()
	before := used()
	b.ResetTimer()
	var turn sync.WaitGroup
	for i, c := range all {
		turn.Go(func() {
			for n := i; n < b.N; n += rooms {
				c.say(event, fmt.Sprintf(payload, n))
				c.hear(frames)
			}
		})
	}
	turn.Wait()
	b.StopTimer()
	b.ReportMetric(float64((used()-before).Nanoseconds())/float64(b.N), "cpu-ns/op")
}
