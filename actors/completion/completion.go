// Package completion asks models outside of any room: nothing of the prompt or the answer is
// kept, and what they have used counts as in a room.
//
//	Complete → limit of the user → ledger → Provider.Stream → tell, piece by piece
//	                                                       └→ the charge, on disk and in the ledger
package completion

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"parlor/actors/conversation"
	"parlor/actors/ledger"
	"parlor/persistence"
	"parlor/protocol/chat"
)

// A Provider asks assistants: see [parlor/actors/turn.Provider].
type Provider interface {
	Stream(ctx context.Context, p chat.Prompt) iter.Seq2[chat.Delta, error]
}

// A Log keeps what was used: see [persistence.Store].
type Log interface {
	Charge(c persistence.Charge, done func(error))
}

// Options configure [Completions]. Provider, Models and Log have no default.
type Options struct {
	Provider Provider
	Models   conversation.Models
	Log      Log
	Ledger   *ledger.Ledger // nil knows no limits
	Logger   *slog.Logger   // nil discards

	SystemPrompt   string        // goes before every prompt, with the model's
	PerUser        int           // that run at once; past it another is refused. Zero means 32
	MaxAnswerBytes int           // with the thought; past it the answer fails. Zero means 256 KiB
	Timeout        time.Duration // of one. Zero means 10 minutes
}

// Completions ask models. The methods may be called from any goroutine. The caller of [New]
// calls Close.
type Completions struct {
	Options
	ctx    context.Context // ends with Close
	cancel context.CancelCauseFunc

	mu      sync.Mutex
	running map[chat.UserID]int
	closed  bool
	all     sync.WaitGroup
}

// New returns Completions.
func New(o Options) *Completions {
	o.Logger = cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	o.PerUser = cmp.Or(o.PerUser, 32)
	o.MaxAnswerBytes = cmp.Or(o.MaxAnswerBytes, 256<<10)
	o.Timeout = cmp.Or(o.Timeout, 10*time.Minute)
	c := &Completions{Options: o, running: make(map[chat.UserID]int)}
	c.ctx, c.cancel = context.WithCancelCause(context.Background())
	return c
}

var (
	errStopping = chat.Refuse(chat.CodeStorageUnavailable, "the server is stopping")
	errSilent   = chat.Refuse(chat.CodeProviderError, "the assistant said nothing")
	errLong     = chat.Refuse(chat.CodeProviderError, "the answer is longer than this server allows")
)

// Close ends what runs, and waits until that is charged, or until ctx ends.
func (c *Completions) Close(ctx context.Context) error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.cancel(errStopping)
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.all.Wait()
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for completions to end: %w", ctx.Err())
	}
}

// Complete asks the prompt's model, and calls tell with each piece of the answer. It is done
// when tell fails, or ctx ends. Its error is a [*chat.Error], or that of tell or ctx. If it
// comes before the first piece nothing was told.
func (c *Completions) Complete(ctx context.Context, u chat.User, p chat.Prompt, tell func(text string) error) (chat.Completed, error) {
	model, refusal := c.model(p.Model)
	if refusal == nil {
		refusal = c.enter(u.ID)
	}
	if refusal != nil {
		return chat.Completed{}, refusal
	}
	defer c.leave(u.ID)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(c.ctx, func() { cancel(context.Cause(c.ctx)) })()
	late := chat.Refuse(chat.CodeProviderTimeout, fmt.Sprintf("the assistant did not finish within %s", c.Timeout))
	defer time.AfterFunc(c.Timeout, func() { cancel(late) }).Stop()

	p.Model, p.User = model.ID, u.ID
	p.Messages = c.withSystem(model, p.Messages)
	a := &answer{Completions: c, user: u.ID, cancel: cancel, tell: tell, prompt: p.Tokens(), done: chat.Completed{Model: model.ID}}
	err := a.ask(ctx, p)
	a.charge(err)
	return a.done, err
}

// model returns the model with the id, if it can be asked here.
func (c *Completions) model(id chat.ModelID) (chat.Model, *chat.Error) {
	model, ok := c.Models.Model(id)
	switch {
	case !ok:
		return model, cmp.Or(c.Models.Refusal(id), chat.Refuse(chat.CodeNotFound, "there is no such model"))
	case model.Duplex():
		return model, chat.Refuse(chat.CodeInvalid, "this model listens and speaks: it can be asked in a chat only")
	}
	return model, nil
}

// withSystem puts what the server and the model are configured to say before the messages.
func (c *Completions) withSystem(m chat.Model, messages []chat.PromptMessage) []chat.PromptMessage {
	if strings.TrimSpace(c.SystemPrompt+m.SystemPrompt) == "" {
		return messages
	}
	system := chat.PromptMessage{Role: chat.RoleSystem, Content: conversation.SystemPrompt(time.Now(), c.SystemPrompt, m.SystemPrompt)}
	return slices.Concat([]chat.PromptMessage{system}, messages)
}

// enter counts a completion of a user, or refuses it.
func (c *Completions) enter(u chat.UserID) *chat.Error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closed:
		return errStopping
	case c.running[u] >= c.PerUser:
		e := chat.Refuse(chat.CodeRateLimited, fmt.Sprintf("%d answers to you are under way, and no more may be at once", c.PerUser))
		e.RetryAfter = 1
		return e
	}
	c.running[u]++
	c.all.Add(1)
	return nil
}

func (c *Completions) leave(u chat.UserID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.running[u]--; c.running[u] == 0 {
		delete(c.running, u)
	}
	c.all.Done()
}

// An answer is one that is being given.
type answer struct {
	*Completions
	user   chat.UserID
	cancel context.CancelCauseFunc
	tell   func(string) error
	prompt int // tokens, by estimate

	meter     *ledger.Meter
	asked     bool
	estimate  chat.Estimate // of what was answered
	estimated int           // tokens that the meter has counted
	bytes     int
	begun     bool // something was told
	done      chat.Completed
}

// ask passes the answer on.
func (a *answer) ask(ctx context.Context, p chat.Prompt) error {
	defer func() { a.meter.Close() }()
	if spent := a.open(); spent != nil {
		return spent
	}
	a.asked = true
	for d, err := range a.Provider.Stream(ctx, p) {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err == nil {
			err = a.take(d)
		}
		if err != nil {
			return err
		}
	}
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case !a.begun:
		return errSilent
	}
	return nil
}

// open begins to count for the model that answers, or refuses.
func (a *answer) open() error {
	a.meter.Close()
	meter, spent := a.Ledger.Open(ledger.Account{User: a.user, Model: a.done.Model}, func(why *chat.Error) { a.cancel(why) })
	a.meter = meter
	if spent == nil {
		spent = meter.Ask(a.prompt + a.estimated)
	}
	if spent != nil {
		return spent
	}
	return nil
}

// take takes a piece of the answer.
func (a *answer) take(d chat.Delta) error {
	a.done.Finish = cmp.Or(d.Finish, a.done.Finish)
	if d.Usage.Credible() {
		a.done.Usage = d.Usage
	}
	if d.Model != "" {
		a.done.Model = d.Model
		if err := a.open(); err != nil {
			return err
		}
	}
	if d.Calls != nil {
		if err := a.call(d.Calls.List); err != nil {
			return err
		}
	}
	for _, text := range []string{d.Thought, d.Text} {
		if err := a.count(text); err != nil {
			return err
		}
	}
	if d.Text == "" {
		return nil
	}
	a.begun = true
	return a.tell(strings.ToValidUTF8(d.Text, "\uFFFD"))
}

// call takes in what the model wants to have run. Its arguments count as text does.
func (a *answer) call(list []chat.ToolCall) error {
	for _, c := range list {
		c.ID = rand.Text()[:callIDLen]
		a.done.Calls = append(a.done.Calls, c)
		if err := a.count(c.Name + c.Arguments); err != nil {
			return err
		}
	}
	a.begun = true
	return nil
}

// callIDLen is the length of ids that all providers take.
const callIDLen = 9

func (a *answer) count(text string) error {
	if a.bytes += len(text); a.bytes > a.MaxAnswerBytes {
		return errLong
	}
	a.estimate.Add(text)
	more := a.estimate.Tokens() - a.estimated
	a.estimated += more
	if spent := a.meter.Add(more); spent != nil {
		return spent
	}
	return nil
}

// charge records what was used, and waits until that is on disk. A provider that has failed
// without a word is not known to have cost anything.
func (a *answer) charge(err error) {
	refusal, refused := errors.AsType[*chat.Error](err)
	failed := refused && refusal.Code != chat.CodeBudgetExceeded
	if !a.asked || failed && a.done.Usage == nil && a.bytes == 0 && a.done.Finish == "" {
		return
	}
	if a.done.Usage == nil {
		a.done.Usage = chat.EstimateUsage(a.prompt, a.estimated)
	}
	charge := conversation.ChargeFor(time.Now(), "", a.user, a.done.Model, a.done.Usage, "")
	written := make(chan error, 1)
	a.Log.Charge(charge, func(err error) { written <- err })
	if err := <-written; err != nil {
		a.Logger.Error("usage of a completion was not recorded", "user", a.user, "err", err)
	}
	a.Ledger.Record([]persistence.Charge{charge})
}
