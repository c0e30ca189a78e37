package providertest

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"testing"
	"time"

	"parlor/protocol/chat"
)

// TestSessionsOfAParrot checks the suite with the smallest provider that can
// pass it. What a parrot and its server say to each other are Go values.
func TestSessionsOfAParrot(t *testing.T) {
	Run(t, Harness{Listen: func(t *testing.T, s SessionServer) (Provider, <-chan Peer) {
		peers := make(chan Peer, 1)
		return &parrot{s, peers}, peers
	}})
}

type parrot struct {
	SessionServer
	peers chan Peer
}

func (p *parrot) Stream(ctx context.Context, prompt chat.Prompt) iter.Seq2[chat.Delta, error] {
	return func(yield func(chat.Delta, error) bool) {
		if p.Refusal != nil {
			yield(chat.Delta{}, chat.Refuse(chat.CodeProviderError, fmt.Sprint(p.Refusal.Status, ": ", refusalWords)))
			return
		}
		peer := &parrotPeer{
			up: make(chan any, unreadDeltas), down: make(chan chat.Delta, unreadDeltas),
			cut: make(chan struct{}), gone: make(chan struct{}),
		}
		defer close(peer.gone)
		p.peers <- peer
		b := &beak{parrot: p, peer: peer, yield: yield, timer: time.NewTimer(0), known: make(map[chat.MessageID]bool)}
		b.timer.Stop()
		b.tell(prompt.Messages)
		for b.step(ctx, prompt.Input) {
		}
	}
}

// A beak is one session of a parrot.
type beak struct {
	*parrot
	peer  *parrotPeer
	yield func(chat.Delta, error) bool
	timer *time.Timer

	known   map[chat.MessageID]bool
	current chat.MessageID
	muted   bool // the current answer was stopped, the server does not know yet
	queue   []chat.Ask
}

// step handles the next thing that happens, and reports whether the session
// goes on.
func (b *beak) step(ctx context.Context, inputs <-chan chat.Input) bool {
	select {
	case <-ctx.Done():
		b.yield(chat.Delta{}, context.Cause(ctx))
		return false
	case in, ok := <-inputs:
		return ok && b.input(in)
	case d := <-b.peer.down:
		return b.heard(d)
	case <-b.timer.C:
		return b.end(chat.StateFailed, chat.Refuse(chat.CodeProviderTimeout, "silent"))
	case <-b.peer.cut:
		b.end(chat.StateFailed, chat.Refuse(chat.CodeProviderError, "cut"))
		return false
	}
}

func (b *beak) input(in chat.Input) bool {
	switch in := in.(type) {
	case chat.Ask:
		b.queue = append(b.queue, in)
		b.next()
	case chat.Cancel:
		return b.cancel(in.Answer)
	case chat.AudioCommit:
		b.known[in.MessageID] = true
		b.peer.up <- in
	default:
		b.peer.up <- in
	}
	return true
}

func (b *beak) cancel(id chat.MessageID) bool {
	queued := func(a chat.Ask) bool { return a.Answer == id }
	switch {
	case id == b.current && !b.muted:
		b.peer.up <- chat.Cancel{Answer: id}
		b.muted = true
		b.timer.Stop()
	case slices.ContainsFunc(b.queue, queued):
		b.queue = slices.DeleteFunc(b.queue, queued)
	default:
		return true
	}
	return b.yield(chat.Delta{Answer: id, Ended: &chat.Ended{State: chat.StateStopped}}, nil)
}

// next asks what waits, if the server is free.
func (b *beak) next() {
	if b.current != "" || len(b.queue) == 0 {
		return
	}
	ask := b.queue[0]
	b.queue = b.queue[1:]
	b.current = ask.Answer
	b.tell(ask.Messages)
	b.peer.up <- ask
	b.timer.Reset(b.FirstToken)
}

func (b *beak) tell(messages []chat.PromptMessage) {
	for _, m := range messages {
		if key := keyOf(m); !b.known[key] {
			b.known[key] = true
			b.peer.up <- onWire(m)
		}
	}
}

// keyOf tells a message from others.
func keyOf(m chat.PromptMessage) chat.MessageID {
	switch {
	case len(m.Calls) > 0:
		return chat.MessageID("call " + m.Calls[0].Given)
	case m.ResultOf != nil:
		return chat.MessageID("result " + m.ResultOf.Given)
	}
	return m.ID
}

// onWire returns a message with the names of tools as a server has them.
func onWire(m chat.PromptMessage) chat.PromptMessage {
	m.Calls = slices.Clone(m.Calls)
	for i := range m.Calls {
		m.Calls[i].Name = echoOnWire
	}
	return m
}

func (b *beak) heard(d chat.Delta) bool {
	switch {
	case d.Heard != nil:
		return b.yield(d, nil)
	case d.Calls != nil && !b.muted:
		b.known[keyOf(chat.PromptMessage{Calls: d.Calls.List})] = true
		return b.yield(chat.Delta{Answer: b.current, Calls: d.Calls}, nil)
	case d.Ended != nil && b.muted:
		b.current, b.muted = "", false
		b.next()
		return true
	case b.muted:
		return true
	case d.Ended != nil && d.Usage != nil && !b.yield(chat.Delta{Answer: b.current, Usage: d.Usage}, nil):
		return false
	case d.Ended != nil:
		return b.end(d.Ended.State, d.Ended.Error)
	}
	d.Answer = b.current
	more := b.yield(d, nil)
	b.timer.Reset(b.Silence)
	return more
}

func (b *beak) end(state chat.State, err *chat.Error) bool {
	id := b.current
	b.timer.Stop()
	b.current, b.known[id] = "", true
	if !b.yield(chat.Delta{Answer: id, Ended: &chat.Ended{State: state, Error: err}}, nil) {
		return false
	}
	b.next()
	return true
}

// A parrotPeer is the server's side.
type parrotPeer struct {
	up   chan any
	down chan chat.Delta
	cut  chan struct{}
	gone chan struct{}

	told  []chat.PromptMessage
	text  string
	calls []chat.ToolCall
	audio string
}

// await reads what the parrot says up to the first T.
func await[T any](p *parrotPeer) (got T) {
	for {
		select {
		case m := <-p.up:
			switch m := m.(type) {
			case chat.PromptMessage:
				p.told = append(p.told, m)
			case chat.AudioAppend:
				p.audio += m.Audio
			case chat.AudioClear:
				p.audio = ""
			}
			if got, ok := m.(T); ok {
				return got
			}
		case <-p.gone:
			return got
		}
	}
}

func (p *parrotPeer) Asked() []chat.PromptMessage {
	await[chat.Ask](p)
	p.text, p.calls = "", nil
	return slices.Clone(p.told)
}

func (p *parrotPeer) Say(text string) { p.Speak("", text) }

func (p *parrotPeer) Speak(audio, transcript string) {
	p.text += transcript
	p.down <- chat.Delta{Text: transcript, Audio: audio}
}

func (p *parrotPeer) Call(id, _, arguments string) {
	p.calls = append(p.calls, chat.ToolCall{Given: id, Name: echo.Name, Arguments: arguments})
}

func (p *parrotPeer) Finish(u chat.Usage) {
	answer := chat.PromptMessage{Role: chat.RoleAssistant, Content: p.text, Calls: p.calls}
	if p.calls != nil {
		p.down <- chat.Delta{Calls: &chat.Calls{List: slices.Clone(p.calls)}}
		answer = onWire(answer)
	}
	p.told = append(p.told, answer)
	p.down <- chat.Delta{Usage: &u, Ended: &chat.Ended{State: chat.StateCompleted}}
}

func (p *parrotPeer) Fail(string) {
	p.down <- chat.Delta{Ended: &chat.Ended{State: chat.StateFailed, Error: chat.Refuse(chat.CodeProviderError, "overloaded")}}
}

func (p *parrotPeer) Cancelled() { await[chat.Cancel](p) }
func (p *parrotPeer) Stop()      { p.down <- chat.Delta{Ended: &chat.Ended{State: chat.StateStopped}} }

func (p *parrotPeer) Committed() string {
	await[chat.AudioCommit](p)
	return p.audio
}

func (p *parrotPeer) Heard(text string) {
	p.told = append(p.told, chat.PromptMessage{Role: chat.RoleUser, Content: text})
	p.down <- chat.Delta{Heard: &chat.Heard{MessageID: "spoken", Text: text}}
}

func (p *parrotPeer) HangUp() { close(p.cut) }
func (p *parrotPeer) Gone()   { <-p.gone }
