// Package eliza is an assistant that needs no model, no key and no network:
// Joseph Weizenbaum's method of 1966, with a script of our own (doctor.txt).
//
//	Prompt → what the user said → talk (keyword → pattern → answer, memory) → words → Delta, Delta, … Usage
//
// An answer is a pure function of the seed and the prompt's newest messages.
// Nothing is kept between calls: every call listens to them again, which is how
// answers take turns and earlier remarks come back.
package eliza

import (
	"cmp"
	"context"
	_ "embed"
	"iter"
	"strings"
	"time"

	"parlor/protocol/chat"
)

// maxHeard is how many messages of a prompt are listened to, and counted: an
// answer costs no more behind a long conversation.
const maxHeard = 200

// DefaultDelay is what [Options] hold when Delay is zero.
const DefaultDelay = 40 * time.Millisecond

// Options configure an [Eliza]. The zero value is ready to use.
type Options struct {
	// Seed decides with which of its answers each pattern begins.
	Seed uint64

	// Delay is the time before each word. Zero means [DefaultDelay]; less
	// means none.
	Delay time.Duration
}

//go:embed doctor.txt
var doctorText string

var doctor = mustParse(doctorText)

// An Eliza answers prompts by the script. It holds no state; all methods may
// be called from any goroutine.
type Eliza struct {
	seed  uint64
	delay time.Duration
}

// New returns an Eliza.
func New(o Options) *Eliza {
	return &Eliza{o.Seed, cmp.Or(o.Delay, DefaultDelay)}
}

// Stream yields the answer to p word by word and then, without text, its
// usage, counted in words. The answer is never empty, whatever p holds; p's
// model does not matter.
//
// It ends after that, or with the cause of ctx as soon as ctx ends.
func (e *Eliza) Stream(ctx context.Context, p chat.Prompt) iter.Seq2[chat.Delta, error] {
	p.Messages = p.Messages[max(0, len(p.Messages)-maxHeard):]
	return func(yield func(chat.Delta, error) bool) {
		if p.Choice.Forced() {
			yield(chat.Delta{}, chat.Refuse(chat.CodeToolChoice, "eliza calls no tools"))
			return
		}
		words := strings.SplitAfter(e.answer(p), " ")
		for _, word := range words {
			if err := e.pause(ctx); err != nil {
				yield(chat.Delta{}, err)
				return
			}
			if !yield(chat.Delta{Text: word}, nil) {
				return
			}
		}
		yield(chat.Delta{Finish: chat.FinishStop, Usage: usage(p, len(words))}, nil)
	}
}

// answer listens to what the user said and returns what is said in the end.
func (e *Eliza) answer(p chat.Prompt) string {
	t := newTalk(doctor, e.seed)
	answer := ""
	for _, m := range p.Messages {
		if m.Role == chat.RoleUser {
			answer = t.reply(m.Content)
		}
	}
	return cmp.Or(answer, t.reply(""))
}

// pause waits for the time of one word, or for the end of ctx.
func (e *Eliza) pause(ctx context.Context) error {
	if e.delay <= 0 {
		return context.Cause(ctx)
	}
	timer := time.NewTimer(e.delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func usage(p chat.Prompt, answered int) *chat.Usage {
	asked := 0
	for _, m := range p.Messages {
		asked += len(strings.Fields(m.Content))
	}
	return &chat.Usage{PromptTokens: asked, CompletionTokens: answered, TotalTokens: asked + answered}
}
