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

// TrailerTime is how long usage may come after the end of the text. What is
// missing by then is not worth a spinner.
const TrailerTime = 5 * time.Second

// A Decoder reads the events of one answer, in order, from one goroutine.
type Decoder interface {
	// Event reads an event that has data. An error other than a [*Failure]
	// means that it is not part of an answer.
	Event(name string, data []byte) (Piece, error)
}

// A Piece is what one event says.
type Piece struct {
	Text  []Text
	Usage *chat.Usage // so far; the last that comes counts
	Tool  *chat.ToolCall

	Report []byte // the event itself, if that tells of a failure
	Idle   bool   // the event proves that the server lives, not the model
	Whole  bool   // the text is complete; usage may follow
	Last   bool   // nothing follows
}

// A stream turns the events of one answer into deltas.
type stream struct {
	client   *Client
	decoder  Decoder
	watchdog *watchdog
	yield    func(chat.Delta, error) bool

	begun  bool // something was yielded
	events bool // one has come
	spoken bool // some text has come
	whole  bool // all text has come
	left   bool // the consumer has enough
	usage  *chat.Usage
	head   head
	pairs  Joiner
}

// ask sends body and yields the answer to it, and at the end its usage. It
// returns why the answer is not whole.
func (s *stream) ask(ctx context.Context, body []byte) error {
	s.watchdog = newWatchdog(ctx, s.client.opts.FirstToken)
	defer s.watchdog.stop()

	events, err := s.client.ask(s.watchdog, body)
	if err != nil {
		return err
	}
	defer events.Close()

	err = s.read(events)
	s.say(s.pairs.Rest())
	if err == nil && s.usage != nil {
		s.tell(chat.Delta{Usage: s.usage})
	}
	return err
}

// tell yields d and reports whether the consumer wants more.
func (s *stream) tell(d chat.Delta) bool {
	if s.left {
		return false
	}
	s.begun = true
	s.left = !s.yield(d, nil)
	return !s.left
}

// read yields the pieces in body. It returns nil if they are a whole answer.
func (s *stream) read(body io.Reader) error {
	r := io.TeeReader(&lines{r: body, alive: s.alive}, &s.head)
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

// piece yields the text of p and notes what it says of the end. It reports
// whether another one is wanted.
func (s *stream) piece(p Piece) (more bool) {
	if p.Usage != nil {
		s.usage = p.Usage
	}
	s.whole = s.whole || p.Whole
	if p.Tool != nil && !s.tell(chat.Delta{Tool: p.Tool}) {
		return false
	}
	text := ""
	for _, t := range p.Text {
		text += s.pairs.Join(t)
	}
	return s.say(text) && !p.Last
}

// say yields text and reports whether the consumer wants more.
func (s *stream) say(text string) bool {
	if text == "" {
		return true
	}
	s.spoken = true
	return s.tell(chat.Delta{Text: text})
}

// patience is how long the next event may take.
func (s *stream) patience() time.Duration {
	switch {
	case s.whole:
		return TrailerTime
	case s.spoken:
		return s.client.opts.Silence
	}
	return s.client.opts.FirstToken
}

// alive notes that the provider shows that it is there, though it has nothing to
// say. That counts until the first text: later, a model that says nothing hangs.
func (s *stream) alive() {
	if !s.spoken && !s.whole {
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
	case s.whole: // what is missing is at most the usage
		return nil
	case s.watchdog.barked():
		return s.watchdog.explain(err)
	case errors.Is(err, bufio.ErrTooLong):
		return wrong(fmt.Sprintf("the provider sent an event of more than %d bytes", s.client.opts.MaxEvent), err)
	case !s.events && jsonMessage(s.head.b) != "":
		return s.client.Reported(s.head.b)
	}
	return broken("the answer was cut off", err)
}
