package upstream

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/tmaxmax/go-sse"

	"parlor/protocol/chat"
)

// A Decoder reads the events of one answer, in order, from one goroutine.
type Decoder interface {
	// Event reads an event that has data. An error other than a [*Failure]
	// means that it is not part of an answer; what is returned with a Failure is.
	Event(name string, data []byte) (Piece, error)
}

// A Piece is what one event says.
type Piece struct {
	Text    []Text      // may hold thought between tags, see [Splitter]
	Thought []Text      // what the model thinks; no part of the answer
	Usage   *chat.Usage // so far; the last that comes counts
	Tool    *chat.ToolCall

	// Finish is why the answer ends, see [FinishOf]. It is a claim that text,
	// thought and calls of tools in a later event take back.
	Finish chat.Finish

	Calls  bool   // the model calls a tool
	Report []byte // the event itself, if that tells of a failure
	Idle   bool   // the event proves that the server lives, not the model
	Last   bool   // nothing follows
}

// A stream turns the events of one answer into deltas.
type stream struct {
	client   *Client
	decoder  Decoder
	watchdog *watchdog
	yield    func(chat.Delta, error) bool
	body     body

	begun  bool // something was yielded
	events bool // one has come
	spoken bool // some text has come
	last   bool // the provider says that nothing follows
	left   bool // the consumer has enough
	usage  *chat.Usage
	head   head

	text, thought Joiner
	splitter      Splitter

	claim claim
	told  chat.Finish // that was yielded last
}

// ask sends body and yields the answer to it, and at the end its usage. It
// returns why the answer is not whole.
func (s *stream) ask(ctx context.Context, body []byte) error {
	s.watchdog = newWatchdog(ctx, s.client.opts.FirstToken)
	defer s.watchdog.stop()

	resp, err := s.client.ask(s.watchdog, body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()

	s.body = newBody(resp)
	err = s.read()
	s.say(s.rest())
	if err != nil || s.left {
		return err
	}
	if s.claim.finish != s.told {
		s.say(chat.Delta{Finish: s.claim.finish})
	}
	s.say(chat.Delta{Usage: s.usage})
	return nil
}

// read yields the pieces in the body. It returns nil if they are a whole answer.
func (s *stream) read() error {
	r := io.TeeReader(&lines{r: &s.body, alive: s.alive}, &s.head)
	for ev, err := range sse.Read(r, &sse.ReadConfig{MaxEventSize: s.client.opts.MaxEvent}) {
		if err != nil {
			return s.end(err)
		}
		s.events = true
		more, err := s.event(ev)
		if err != nil {
			return err
		}
		if !more {
			break
		}
	}
	return s.end(nil)
}

// event handles one event. It reports whether another one is wanted, or the
// failure that the event tells of.
func (s *stream) event(ev sse.Event) (more bool, err error) {
	data := strings.TrimSpace(ev.Data)
	switch {
	case s.watchdog.parent.Err() != nil:
		return false, nil
	case ev.Type == "error":
		return false, s.client.Reported([]byte(data))
	case data == "":
		return true, nil // means as little as a comment
	}
	p, err := s.decoder.Event(ev.Type, []byte(data))
	switch {
	case err != nil:
		s.piece(p) // what came with it
		return false, undecodable(err)
	case p.Report != nil:
		return false, s.client.Reported(p.Report)
	case p.Idle:
		s.alive()
		return true, nil
	}
	s.watchdog.rest()
	more = s.piece(p)
	s.watchdog.allow(s.patience())
	return more, nil
}

// undecodable is the failure of an event that its decoder refused.
func undecodable(err error) error {
	if f, ok := errors.AsType[*Failure](err); ok {
		return f
	}
	return wrong("the provider sent something that is not an answer", fmt.Errorf("decode an event: %w", err))
}

// piece yields what p adds to the answer and notes what it says of the end. It
// reports whether another one is wanted.
func (s *stream) piece(p Piece) (more bool) {
	if p.Usage != nil {
		s.usage = p.Usage
	}
	s.claim.take(p)
	s.last = p.Last
	if p.Tool != nil && !s.say(chat.Delta{Tool: p.Tool}) {
		return false
	}
	d := chat.Delta{Finish: p.Finish}
	for _, t := range p.Thought {
		d.Thought += s.thought.Join(t)
	}
	for _, t := range p.Text {
		thought, text := s.splitter.Split(s.text.Join(t))
		d.Thought, d.Text = d.Thought+thought, d.Text+text
	}
	return s.say(d) && !p.Last
}

// rest is what was held back of the answer.
func (s *stream) rest() (d chat.Delta) {
	d.Thought, d.Text = s.splitter.Split(s.text.Rest())
	thought, text := s.splitter.Rest()
	d.Thought, d.Text = s.thought.Rest()+d.Thought+thought, d.Text+text
	return d
}

// say yields d, if there is anything in it, and reports whether the consumer
// wants more.
func (s *stream) say(d chat.Delta) bool {
	if s.left || d == (chat.Delta{}) {
		return !s.left
	}
	s.begun = true
	s.spoken = s.spoken || d.Text != ""
	if d.Finish != "" {
		s.told = d.Finish
	}
	s.left = !s.yield(d, nil)
	return !s.left
}

// patience is how long the next event may take.
func (s *stream) patience() time.Duration {
	if s.spoken || s.claim.finish != "" {
		return s.client.opts.Silence
	}
	return s.client.opts.FirstToken
}

// alive notes that the provider shows that it is there, though it has nothing to
// say. That counts until the first text: later, a model that says nothing hangs.
func (s *stream) alive() {
	if !s.spoken && s.claim.finish == "" {
		s.watchdog.extend(s.client.opts.FirstToken, s.client.opts.KeptAlive)
	}
}

// end judges a stream of which nothing more comes, because of err or because
// it is over.
func (s *stream) end(err error) error {
	switch {
	case s.left:
		return nil
	case s.watchdog.parent.Err() != nil:
		return context.Cause(s.watchdog.parent)
	case s.watchdog.barked() && s.claim.certain():
		return nil
	case s.watchdog.barked():
		return s.watchdog.explain(err)
	case errors.Is(err, bufio.ErrTooLong):
		return wrong(fmt.Sprintf("the provider sent an event of more than %d bytes", s.client.opts.MaxEvent), err)
	case s.body.failed:
		return broken(cutOff, err)
	case s.claim.finish != "":
		return nil
	case !s.events && jsonMessage(s.head.b) != "":
		return s.client.Reported(s.head.b)
	case s.client.opts.Dialect.LenientFinish && (s.last || s.events && s.body.framed):
		s.claim.finish = chat.FinishStop
		return nil
	case s.last:
		return broken(unexplained, err)
	}
	return broken(cutOff, err)
}

// What is said of an answer that is not whole.
const (
	cutOff      = "the answer was cut off"
	unexplained = cutOff + ": the provider ended it without a reason (if it never gives one, `finish: lenient` in its configuration takes such answers as whole)"
)
