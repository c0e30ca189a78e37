package upstream

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
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
	Run     *chat.Run // the answer, if the provider gives it whether or not it is read

	// Finish is why the answer ends, see [FinishOf]. It is a claim that text,
	// thought and calls of tools in a later event take back.
	Finish chat.Finish

	Calls  []CallPiece     // what the model adds to its calls of tools
	Back   json.RawMessage // what the provider wants back with them; the last that comes counts
	Report []byte          // the event itself, if that tells of a failure
	Idle   bool            // the event proves that the server lives, not the model
	Last   bool            // nothing follows
}

func (p *Piece) empty() bool {
	return !said(p.Text) && !said(p.Thought) && p.Usage == nil && p.Tool == nil && p.Run == nil && p.Finish == "" && len(p.Calls) == 0 && p.Back == nil && p.Report == nil && !p.Last
}

// A stream turns the events of one answer into deltas.
type stream struct {
	client   *Client
	decoder  Decoder
	watchdog *watchdog
	yield    func(chat.Delta, error) bool
	body     *body
	lines    *lines

	begun  bool // something was yielded
	values int  // that have come
	spoken bool // some text has come
	last   bool // the provider says that nothing follows
	left   bool // the consumer has enough
	usage  *chat.Usage

	text, thought Joiner
	splitter      Splitter

	names wireNames
	calls calls
	back  json.RawMessage

	claim claim
	told  chat.Finish // that was yielded last
}

// ask sends a request and yields the answer to it, and at the end its usage. It
// returns why the answer is not whole.
func (s *stream) ask(ctx context.Context, request requestOf) error {
	s.watchdog = newWatchdog(ctx, s.client.opts.FirstToken)
	defer s.watchdog.stop()

	b, form, err := s.client.ask(s.watchdog, request)
	if err != nil {
		return err
	}
	defer b.resp.Body.Close()

	s.body = b
	if form == values {
		err = s.readValues()
	} else {
		err = s.read()
	}
	s.say(s.rest())
	if err != nil || s.left {
		return err
	}
	if s.claim.finish != s.told {
		s.say(chat.Delta{Finish: s.claim.finish})
	}
	if err := s.call(); err != nil {
		return err
	}
	s.say(chat.Delta{Usage: s.usage})
	return nil
}

// call yields what the model wants to have run, now that its answer is whole. A model
// that ends to wait for tools, and has said nothing and called none, has written
// something that its server could not read.
func (s *stream) call() error {
	list := s.calls.whole()
	for i := range list {
		list[i].Name = s.names.back(list[i].Name)
	}
	switch {
	case len(list) > 0, s.claim.finish == chat.FinishPause && s.back != nil:
		s.say(chat.Delta{Calls: &chat.Calls{List: list, Back: s.back}})
	case s.claim.finish == chat.FinishToolCalls && !s.spoken && len(s.names.wire) > 0:
		return broken("the model wrote a call that its server could not read", nil)
	}
	return nil
}

// read yields the pieces in an event stream. It returns nil if they are a whole
// answer.
func (s *stream) read() error {
	s.lines = &lines{r: s.body, alive: s.alive}
	for ev, err := range sse.Read(s.lines, &sse.ReadConfig{MaxEventSize: s.client.opts.MaxEvent}) {
		if err != nil {
			return s.end(err)
		}
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

// readValues is read for a body of JSON: an answer in one value, or its pieces
// one after the other.
func (s *stream) readValues() error {
	limited := &io.LimitedReader{R: s.body}
	for d := json.NewDecoder(limited); ; {
		limited.N = int64(s.client.opts.MaxEvent)
		var value json.RawMessage
		err := d.Decode(&value)
		_, isSyntax := errors.AsType[*json.SyntaxError](err)
		switch {
		case err == io.EOF:
			return s.end(nil)
		case err != nil && limited.N <= 0:
			return s.end(bufio.ErrTooLong)
		case isSyntax:
			return undecodable(err)
		case err != nil:
			return s.end(err)
		}
		if more, err := s.value("", value); err != nil || !more {
			return cmp.Or(err, s.end(nil))
		}
	}
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
	for _, value := range valuesIn(data) {
		if more, err := s.value(ev.Type, []byte(value)); err != nil || !more {
			return false, err
		}
	}
	return true, nil
}

// valuesIn takes apart what servers sent as one event that forgot the blank lines
// between several.
func valuesIn(data string) []string {
	if !strings.Contains(data, "\n") || json.Valid([]byte(data)) {
		return []string{data}
	}
	return strings.Split(data, "\n")
}

// value handles the data of an event, in the same way.
func (s *stream) value(name string, data []byte) (more bool, err error) {
	s.values++
	p, err := s.decoder.Event(name, data)
	_, known := errors.AsType[*Failure](err)
	switch {
	case err != nil && !known && reports(data), err == nil && p.empty() && reports(data):
		return false, s.client.Reported(data)
	case err != nil && s.lines != nil && s.lines.cut:
		return false, broken(cutOff, err)
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
	for _, c := range p.Calls {
		if err := s.calls.add(c); err != nil {
			return false, err
		}
	}
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
	if p.Back != nil {
		s.back = p.Back
	}
	if p.Run != nil && !s.say(chat.Delta{Run: p.Run}) {
		return false
	}
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
	case s.lines == nil && s.values == 1 && err == nil && s.begun, // one value cannot be cut
		s.client.opts.Dialect.LenientFinish && (s.last || s.values > 0 && s.body.framed):
		s.claim.finish = chat.FinishStop
		return nil
	case s.last:
		return broken(unexplained, err)
	case s.lines == nil && err == nil && !s.begun:
		return undecodable(errors.New("it is JSON of another kind"))
	}
	return broken(cutOff, err)
}

// Messages about an answer that is not whole.
const (
	cutOff      = "the answer was cut off"
	unexplained = cutOff + ": the provider ended it without a reason (if it never gives one, `finish: lenient` in its configuration takes such answers as whole)"
)
