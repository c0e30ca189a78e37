package providertest

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"parlor/protocol/chat"
	"parlor/transport/provider/upstream"
)

// hello is the prompt of most tests.
var hello = said("hello")

// said is the prompt of what a user said.
func said(text string) chat.Prompt {
	return chat.Prompt{Model: "m1", Messages: []chat.PromptMessage{{ID: "m1", Role: chat.RoleUser, Content: text}}}
}

// pieces are what a server answers, when it does.
var pieces = []string{"Good ", "day ", "to ", "you ", "too."}

// sideBySide is the number of streams that one provider has to carry at once.
const sideBySide = 32

func runAnswers(t *testing.T, h Harness) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, p Provider, want string)
	}{
		{"pieces, then usage", answerWhole},
		{"one prompt, many answers", answerTwice},
		{"side by side", answerSideBySide},
		{"cancelled before", answerCancelledBefore},
		{"cancelled in the answer", answerCancelled},
		{"consumer that leaves", answerLeft},
		{"consumer that is slow", answerSlowly},
		{"prompts of any form", answerAnything},
		{"close in the answer", answerWhileClosing},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, want := h.answering(t)
				test.run(t, p, want)
			})
		})
	}
}

// answering returns a provider that answers everything, and with what if that
// is known.
func (h Harness) answering(t *testing.T) (Provider, string) {
	if h.Wire == nil {
		return h.open(t, nowhere, upstream.Options{}), ""
	}
	p := h.piped(t, upstream.Options{}, Answer(false, EventStream+h.Wire.answer(pieces...)))
	return p, strings.Join(pieces, "")
}

// checkWhole checks an answer that nothing has disturbed.
func (o Outcome) checkWhole(t *testing.T, want string) {
	t.Helper()
	if want == "" {
		want = o.Text
	}
	o.Check(t, want, "", "")
	if o.Text == "" {
		t.Error("the answer is empty")
	}
	if o.Finish != chat.FinishStop {
		t.Errorf("the answer ended because of %q", o.Finish)
	}
}

func answerWhole(t *testing.T, p Provider, want string) {
	got := Collect(t, p.Stream(t.Context(), hello))
	got.checkWhole(t, want)
	if got.Pieces < 2 {
		t.Errorf("the answer came in %d pieces", got.Pieces)
	}
}

func answerTwice(t *testing.T, p Provider, want string) {
	answer := p.Stream(t.Context(), hello)
	Collect(t, answer).checkWhole(t, want)
	Collect(t, answer).checkWhole(t, want)
}

func answerSideBySide(t *testing.T, p Provider, want string) {
	var wg sync.WaitGroup
	for range sideBySide {
		wg.Go(func() { Collect(t, p.Stream(t.Context(), hello)).checkWhole(t, want) })
	}
	wg.Wait()
}

func answerCancelledBefore(t *testing.T, p Provider, _ string) {
	stopped := errors.New("stopped by a test")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(stopped)
	got := Collect(t, p.Stream(ctx, hello))
	if got.Text != "" || !errors.Is(got.Err, stopped) {
		t.Errorf("got %q, %v; want %v", got.Text, got.Err, stopped)
	}
}

// answerCancelled cancels while the consumer holds the first piece, and the
// others have arrived already.
func answerCancelled(t *testing.T, p Provider, _ string) {
	stopped := errors.New("stopped by a test")
	ctx, cancel := context.WithCancelCause(t.Context())
	start := time.Now()
	got := Collect(t, func(yield func(chat.Delta, error) bool) {
		for d, err := range p.Stream(ctx, hello) {
			cancel(stopped)
			start = time.Now()
			if !yield(d, err) {
				return
			}
		}
	})
	if got.Pieces != 1 || !errors.Is(got.Err, stopped) {
		t.Errorf("got %d pieces and %v; want 1 and %v", got.Pieces, got.Err, stopped)
	}
	if took := time.Since(start); took != 0 {
		t.Errorf("ended after %v", took)
	}
}

func answerLeft(t *testing.T, p Provider, _ string) {
	for range p.Stream(t.Context(), hello) {
		break
	}
}

// answerSlowly holds a piece for longer than any limit.
func answerSlowly(t *testing.T, p Provider, want string) {
	Collect(t, func(yield func(chat.Delta, error) bool) {
		for d, err := range p.Stream(t.Context(), hello) {
			time.Sleep(time.Hour)
			if !yield(d, err) {
				return
			}
		}
	}).checkWhole(t, want)
}

func answerAnything(t *testing.T, p Provider, want string) {
	system := chat.PromptMessage{ID: "s", Role: chat.RoleSystem, Content: "be kind"}
	user := chat.PromptMessage{ID: "u", Role: chat.RoleUser, Content: "hello"}
	silent := chat.PromptMessage{ID: "a", Role: chat.RoleAssistant}
	assistant := chat.PromptMessage{ID: "b", Role: chat.RoleAssistant, Content: "Hello."}
	for _, messages := range [][]chat.PromptMessage{
		{user},
		{system, user},
		{system, system, user},
		{user, silent, user},
		{user, user},
		{assistant, user},
		{user, assistant, assistant, user},
		{user, assistant, system, user},
	} {
		Collect(t, p.Stream(t.Context(), chat.Prompt{Model: "m1", Messages: messages})).checkWhole(t, want)
	}
}

// answerWhileClosing closes the provider while it answers: streams that run go
// on, and to close it twice is no error.
func answerWhileClosing(t *testing.T, p Provider, want string) {
	c, ok := p.(io.Closer)
	if !ok {
		t.Skip("has no Close")
	}
	Collect(t, func(yield func(chat.Delta, error) bool) {
		for d, err := range p.Stream(t.Context(), hello) {
			if err := c.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
			if !yield(d, err) {
				return
			}
		}
	}).checkWhole(t, want)
}
