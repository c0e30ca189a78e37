package sse

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/tmaxmax/go-sse"

	"parlor/protocol/assistant"
	"parlor/protocol/chat"
)

// A provider is what go-sse subscribes one client to: the log of a room. Rooms publish by
// themselves, and record before they do.
type provider struct {
	follow  func(*provider) error
	every   time.Duration // between comments
	once    bool          // end with the first thing that is told: the request is a HEAD
	all     bool          // it is the feed of all chats
	mark    mark          // where the client was
	refusal error         // why nothing was sent

	ctx    context.Context
	client sse.MessageWriter

	mu    sync.Mutex // held while something is sent
	begun bool
}

// retryAfter is when an EventSource that was cut off comes back.
const retryAfter = 2 * time.Second

// Subscribe implements [sse.Provider]. It returns when the client has been told all that
// it will be told.
func (p *provider) Subscribe(ctx context.Context, s sse.Subscription) error {
	p.ctx, p.client = ctx, s.Client
	done := make(chan struct{})
	var comments sync.WaitGroup
	comments.Go(func() { p.keepAlive(done) })
	err := p.follow(p)
	close(done)
	comments.Wait()
	refusal, told := errors.AsType[*chat.Error](err)
	switch {
	case !p.begun:
		p.refusal = err
	case told: // that nothing more follows, and why
		last := newEvent("error", assistant.Encode(assistant.Refusal{Error: refusal.Message, Code: refusal.Code})).message
		_ = p.send(true, &last) // a client that is gone need not know
	}
	return nil
}

var errNotPublished = errors.New("sse: rooms publish by themselves")

// Publish and Shutdown implement [sse.Provider]. What is to be published is said in a room,
// and the context of a subscription ends with the server.
func (*provider) Publish(*sse.Message, []string) error { return errNotPublished }
func (*provider) Shutdown(context.Context) error       { return nil }

// keepAlive sends comments, by which a proxy sees that the stream goes on, and this server
// that the client is there.
func (p *provider) keepAlive(done <-chan struct{}) {
	tick := time.NewTicker(p.every)
	defer tick.Stop()
	var comment sse.Message
	comment.AppendComment("still here")
	for {
		select {
		case <-tick.C:
		case <-done:
			return
		}
		p.mu.Lock()
		if p.begun {
			_ = p.sendLocked(true, &comment) // a write that fails ends ctx
		}
		p.mu.Unlock()
	}
}

// tell sends what the client is told.
func (p *provider) tell(told chat.Told) error {
	events, _ := told.Encoded.([]event)
	if entered, ok := told.Notice.(chat.Entered); ok && entered.Anew != "" {
		p.mark = mark{}
	}
	events = p.rest(told, events)
	messages := p.first(told)
	for i := range events {
		m := events[i].message
		if told.Seq > 0 {
			m.ID = sse.ID(p.behind(told, events[i], i == len(events)-1))
		}
		messages = append(messages, &m)
	}
	err := p.send(!told.More, messages...)
	if p.once && err == nil {
		err = errEnough
	}
	return err
}

var errEnough = errors.New("sse: nobody wants more")

// behind returns the id of an event of a record, perhaps the last one.
func (p *provider) behind(told chat.Told, e event, last bool) string {
	m := mark{place: chat.Place{Epoch: told.Epoch, Seq: told.Seq}, cursor: told.Cursor}
	if !last {
		m.digest, m.cursor, m.room = e.digest, told.Before, told.Chat.Room()
	}
	return m.id()
}

// rest leaves out the events of a record that the client has already.
func (p *provider) rest(told chat.Told, events []event) []event {
	if p.mark.digest == "" || told.Seq != p.mark.place.Seq || p.all && told.Chat.Room() != p.mark.room {
		return events
	}
	had := p.mark
	p.mark = mark{}
	for i, e := range events {
		if e.digest == had.digest {
			return events[i+1:]
		}
	}
	return events // the record was encoded otherwise
}

// first returns what begins the stream: when to come back, and an id for a client that has
// none, which would miss what is said while it is away for the first time.
func (p *provider) first(told chat.Told) []*sse.Message {
	begin := &sse.Message{Retry: retryAfter}
	switch entered, ok := told.Notice.(chat.Entered); {
	case ok && p.mark.place.Now:
		begin.ID = sse.ID(mark{place: chat.Place{Epoch: entered.Epoch, Seq: entered.Seq}}.id())
	case ok:
	case !p.all || told.Notice != nil || told.Cursor == "":
		return nil
	case p.mark.cursor == "":
		begin.ID = sse.ID(told.Cursor)
	}
	return []*sse.Message{begin}
}

func (p *provider) send(flush bool, messages ...*sse.Message) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sendLocked(flush, messages...)
}

func (p *provider) sendLocked(flush bool, messages ...*sse.Message) error {
	p.begun = true
	for _, m := range messages {
		if err := p.client.Send(m); err != nil {
			return err
		}
	}
	if !flush {
		return nil
	}
	return p.client.Flush()
}
