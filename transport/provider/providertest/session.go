package providertest

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"parlor/protocol/chat"
)

// unreadDeltas is more than any test leaves unread.
const unreadDeltas = 64

// A session is both ends of one: what people put in and get, and the server.
type session struct {
	t        *testing.T
	provider Provider
	peers    <-chan Peer
	in       chan chat.Input
	out      chan piece
	said     []chat.PromptMessage // the conversation so far
	tools    []chat.Tool
}

// A piece is what a sequence yields at once.
type piece struct {
	chat.Delta
	err error
}

func newSession(t *testing.T, listen Listen, refusal *Refusal) *session {
	p, peers := listen(t, SessionServer{Key: Key, FirstToken: sessionFirstToken, Silence: sessionSilence, Refusal: refusal})
	return &session{t: t, provider: p, peers: peers, in: make(chan chat.Input), out: make(chan piece, unreadDeltas)}
}

// begin begins the session. It goes on until ctx ends or the test does.
func (s *session) begin(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	s.t.Cleanup(func() {
		cancel()
		for range s.out {
		}
	})
	answers := s.provider.Stream(ctx, chat.Prompt{Model: "m1", Messages: s.said, Input: s.in})
	go func() {
		defer close(s.out)
		for d, err := range answers {
			s.out <- piece{d, err}
		}
	}()
}

// ask says something and wants an answer to it.
func (s *session) ask(answer chat.MessageID, text string) {
	s.say("to-"+answer, chat.RoleUser, text)
	s.askAgain(answer)
}

// askAgain wants an answer to the conversation as it is.
func (s *session) askAgain(answer chat.MessageID) {
	s.in <- chat.Ask{Answer: answer, Messages: append([]chat.PromptMessage(nil), s.said...), Tools: s.tools}
}

// say adds to the conversation.
func (s *session) say(id chat.MessageID, role chat.Role, text string) {
	s.said = append(s.said, chat.PromptMessage{ID: id, Role: role, Content: text})
}

// asked waits until the server is asked, and compares what it knows by then.
func (s *session) asked(peer Peer) {
	s.t.Helper()
	got := peer.Asked()
	for i := range got {
		got[i].ID = ""
	}
	var want []chat.PromptMessage
	for _, m := range s.said {
		want = append(want, chat.PromptMessage{Role: m.Role, Content: m.Content})
	}
	if diff := cmp.Diff(want, got); diff != "" {
		s.t.Fatalf("conversation of the model differs (-want +got):\n%s", diff)
	}
}

// next returns the next piece of the answer.
func (s *session) next(answer chat.MessageID) chat.Delta {
	s.t.Helper()
	p, ok := <-s.out
	switch {
	case !ok:
		s.t.Fatalf("the session ended before the answer %s did", answer)
	case p.err != nil:
		s.t.Fatalf("the session ended with %v", p.err)
	case p.Answer != answer:
		s.t.Fatalf("got %+v, want a piece of the answer %s", p.Delta, answer)
	}
	return p.Delta
}

// A sessionAnswer is all that belongs to one answer.
type sessionAnswer struct {
	text, audio string
	usage       *chat.Usage
	calls       []chat.ToolCall
	ended       chat.Ended
}

// answer reads an answer to its end, and checks what holds for every one: all
// pieces are its own, usage comes at most once, nothing after the end.
func (s *session) answer(id chat.MessageID) sessionAnswer {
	s.t.Helper()
	var a sessionAnswer
	for {
		d := s.next(id)
		if a.usage != nil && d.Usage != nil {
			s.t.Fatalf("usage came twice: %+v and %+v", a.usage, d.Usage)
		}
		if d.Usage != nil {
			a.usage = d.Usage
		}
		a.text, a.audio = a.text+d.Text, a.audio+d.Audio
		if d.Calls != nil {
			a.calls = append(a.calls, d.Calls.List...)
		}
		if d.Ended != nil {
			a.ended = *d.Ended
			return a
		}
	}
}

// ends waits for the end of the session, and returns its error.
func (s *session) ends() error {
	s.t.Helper()
	var last error
	for p := range s.out {
		if last != nil {
			s.t.Fatalf("yielded %+v after the error %v", p, last)
		}
		last = p.err
	}
	return last
}

// idle checks that nothing more comes.
func (s *session) idle() {
	s.t.Helper()
	synctest.Wait()
	select {
	case p, ok := <-s.out:
		s.t.Errorf("got %+v (%v), want nothing", p, ok)
	default:
	}
}

func (a sessionAnswer) check(t *testing.T, text string, state chat.State) {
	t.Helper()
	if a.text != text || a.ended.State != state {
		t.Errorf("answer is %q, %s, %v; want %q, %s", a.text, a.ended.State, a.ended.Error, text, state)
	}
}

// failed checks how an answer failed.
func (a sessionAnswer) failed(t *testing.T, text string, code chat.Code, words string) {
	t.Helper()
	a.check(t, text, chat.StateFailed)
	if a.ended.Error == nil {
		t.Fatal("failed without an error")
	}
	Outcome{Err: a.ended.Error}.Check(t, "", code, words)
}

// answered asks and answers, to have a session that works.
func (s *session) answered(peer Peer, id chat.MessageID) {
	s.t.Helper()
	s.ask(id, "hello "+string(id))
	s.asked(peer)
	peer.Say("Hel")
	peer.Say("lo")
	peer.Finish(chat.Usage{})
	s.answer(id).check(s.t, "Hello", chat.StateCompleted)
	s.say(id, chat.RoleAssistant, "Hello")
}
