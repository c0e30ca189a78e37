package realtime

import (
	"context"
	"errors"
	"fmt"
	"time"

	"parlor/protocol/chat"
	"parlor/transport/provider/upstream"
)

// A session is the goroutine of one conversation. Only the outbox is shared.
type session struct {
	*Client
	prompt   chat.Prompt
	modality string
	gate     Gate // nil for none
	out      *outbox

	conn    *conn // nil while there is none
	items   items
	events  int          // counts the client events, to name them
	config  string       // the one that configured the connection
	noticed *serverError // that belonged to nothing, if it came last

	health  chat.ProviderState // as it was told last
	asks    []*ask             // answers that are wanted, in order
	flight  *flight            // the answer that the provider gives
	tries   int                // to open a connection that nobody waits for
	waiting bool               // for the next try
	old     bool               // the connection is to be replaced

	appended bool             // there is speech that was not committed
	lostPart bool             // some of it went with a connection
	noTools  bool             // the provider takes none
	commits  []commit         // that the provider has not confirmed, in order
	heard    map[string]heard // by item: speech that is being written down

	retry    *time.Timer // ends waiting
	patience *time.Timer // the answer has to go on
	overdue  *time.Timer // the cancelled answer has to end
	renewal  *time.Timer // the connection gets old
	pulse    *time.Ticker
}

// commit is speech on its way to become an item.
type commit struct {
	message chat.MessageID
	event   string
}

// heard is speech that became an item.
type heard struct {
	message chat.MessageID
	at      time.Time
}

func newSession(c *Client, p chat.Prompt, modality string) *session {
	return &session{
		Client: c, prompt: p, modality: modality, out: newOutbox(c.opts.MaxBuffer), heard: make(map[string]heard),
		retry: stopped(), patience: stopped(), overdue: stopped(), renewal: stopped(), pulse: time.NewTicker(c.opts.Heartbeat),
		health: chat.ProviderClosed,
	}
}

func stopped() *time.Timer {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return t
}

// run serves the session until its input or its context ends.
func (s *session) run(ctx context.Context) error {
	defer s.stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case in, ok := <-s.prompt.Input:
			if !ok {
				return nil
			}
			s.input(ctx, in)
		case r := <-s.incoming():
			s.receive(r)
		case <-s.retry.C:
			s.waiting = false
			if s.conn == nil {
				s.open(ctx)
			}
		case <-s.patience.C:
			s.late()
		case <-s.overdue.C:
			s.drop(errTimeout)
		case <-s.renewal.C:
			s.old = true
		case <-s.pulse.C:
			if s.conn != nil {
				s.conn.ping()
			}
		}
		s.proceed(ctx)
	}
}

func (s *session) incoming() <-chan received {
	if s.conn == nil {
		return nil
	}
	return s.conn.events
}

func (s *session) stop() {
	for _, t := range []*time.Timer{s.retry, s.patience, s.overdue, s.renewal} {
		t.Stop()
	}
	s.pulse.Stop()
	for _, a := range s.asks {
		if a.ended != nil {
			a.ended(chat.StateStopped, nil)
		}
	}
	if s.conn != nil {
		s.conn.close()
	}
}

func (s *session) input(ctx context.Context, in chat.Input) {
	switch in := in.(type) {
	case chat.AudioAppend:
		s.append(ctx, in)
	case chat.AudioClear:
		s.appended, s.lostPart = false, false
		if s.conn != nil {
			s.send(clientEvent{Type: "input_audio_buffer.clear"})
		}
	case chat.AudioCommit:
		s.commit(ctx, in)
	case chat.Ask:
		s.want(in)
	case chat.Cancel:
		s.cancel(in.Answer)
	}
}

// proceed does what now can be done, if it is the session that has to act.
func (s *session) proceed(ctx context.Context) {
	if s.old && s.quiet() {
		s.drop(errUnwritten)
		s.open(ctx)
	}
	if s.waiting || s.flight != nil {
		return
	}
	for len(s.asks) > 0 && !s.admitted(s.asks[0]) {
	}
	if len(s.asks) == 0 {
		return
	}
	if s.conn == nil {
		s.open(ctx)
	}
	if s.conn != nil { // at once: a provider that says nothing must not hold the answer up for ever
		s.ask(s.asks[0])
	}
}

// quiet reports whether nothing would be lost with the connection. Words that
// have not come for so long never will.
func (s *session) quiet() bool {
	for _, h := range s.heard {
		if time.Since(h.at) < s.opts.FirstToken {
			return false
		}
	}
	return len(s.asks) == 0 && s.flight == nil && !s.appended && len(s.commits) == 0
}

// connected opens a connection if there is none, and reports whether there is
// one.
func (s *session) connected(ctx context.Context) bool {
	if s.conn == nil {
		s.hurry()
		s.open(ctx)
	}
	return s.conn != nil
}

// hurry ends the wait for the next try.
func (s *session) hurry() {
	s.waiting = false
	s.retry.Stop()
}

// open opens a connection. Nothing else is done meanwhile, for Options.Connect
// at most.
func (s *session) open(ctx context.Context) {
	c, err := s.dial(ctx, string(s.prompt.Model))
	if err != nil {
		var f *upstream.Failure
		if errors.As(err, &f) {
			s.lost(f)
		}
		return // or else ctx has ended
	}
	s.conn = c
	s.renewal.Reset(s.opts.MaxAge)
	s.pulse.Reset(s.opts.Heartbeat)
	s.config = s.send(clientEvent{Type: "session.update", Session: &sessionConfig{
		Type: "realtime", Modalities: []string{s.modality},
		Audio: audioConfig{
			Input:  inputConfig{Format: pcm, Transcription: transcription{s.opts.Transcription}},
			Output: outputConfig{Format: pcm, Voice: s.opts.Voice},
		},
	}})
}

// send writes an event and returns the name that it was given.
func (s *session) send(e clientEvent) string {
	s.events++
	e.EventID = fmt.Sprintf("parlor_%d", s.events)
	s.conn.send(e)
	return e.EventID
}

// lost deals with a connection that was lost or could not be opened. An answer
// that waits for one is asked for again, unless some of it was told or the
// provider wants to be left alone for longer than anybody waits.
func (s *session) lost(f *upstream.Failure) {
	if s.conn != nil && time.Since(s.conn.opened) > s.opts.MaxBackoff {
		s.tries = 0
	}
	s.drop(f)
	switch {
	case len(s.asks) > 0:
		a := s.asks[0]
		if a.told || !f.Retryable || a.tries >= s.opts.Retries || f.RetryAfter > s.opts.MaxBackoff {
			s.end(a, chat.StateFailed, f)
			return
		}
		a.tries++
		s.out.put(chat.Delta{Answer: a.Answer, Retrying: f.Err})
		s.wait(a.tries, f)
	case f.Retryable && s.tries < s.opts.Retries:
		s.tries++
		s.wait(s.tries, f)
	}
}

// wait waits before the next try.
func (s *session) wait(tries int, f *upstream.Failure) {
	s.waiting = true
	s.retry.Reset(f.Pause(tries-1, s.opts.Backoff, s.opts.MaxBackoff))
}

// drop closes the connection, if there is one, and forgets what went with it:
// speech that was not written down fails as f says.
func (s *session) drop(f *upstream.Failure) {
	if s.conn == nil {
		return
	}
	s.conn.close()
	for _, c := range s.commits {
		s.deaf(c.message, f)
	}
	for _, h := range s.heard {
		s.deaf(h.message, f)
	}
	s.lostPart = s.lostPart || s.appended
	s.conn, s.old, s.items, s.flight, s.commits, s.appended, s.noticed = nil, false, nil, nil, nil, false, nil
	clear(s.heard)
	s.patience.Stop()
	s.overdue.Stop()
	s.renewal.Stop()
}
