package provider

import (
	"context"
	"iter"
	"sync"
	"sync/atomic"

	"parlor/protocol/chat"
)

// Current are the [Models] that can be asked now: others can take their place. It has
// their methods, which may be called from any goroutine. Who called [NewCurrent] calls
// Close.
type Current struct {
	mu  sync.Mutex // of Replace and Close
	now atomic.Pointer[Models]
}

// NewCurrent returns the models that o configures. Its error is that of [New].
func NewCurrent(o Options) (*Current, error) {
	m, err := New(o)
	if err != nil {
		return nil, err
	}
	c := new(Current)
	c.now.Store(m)
	return c, nil
}

// Replace has other models take the place of those that are, unless there is something
// wrong with them. Answers that are being given go on, and so do lines to models that
// listen. What the guards know of their providers is forgotten.
func (c *Current) Replace(o Options) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	next, err := New(o)
	if err != nil {
		return err
	}
	return c.now.Swap(next).Close()
}

// Close is [Models.Close].
func (c *Current) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now.Load().Close()
}

// List is [Models.List].
func (c *Current) List() []chat.Model { return c.now.Load().List() }

// Model is [Models.Model].
func (c *Current) Model(id chat.ModelID) (chat.Model, bool) { return c.now.Load().Model(id) }

// Refusal is [Models.Refusal].
func (c *Current) Refusal(id chat.ModelID) *chat.Error { return c.now.Load().Refusal(id) }

// Named is [Models.Named].
func (c *Current) Named(name string) (chat.ModelID, bool) { return c.now.Load().Named(name) }

// Identity is [Models.Identity].
func (c *Current) Identity(id chat.ModelID) (provider string, model chat.ModelID) {
	return c.now.Load().Identity(id)
}

// Upstream is [Models.Upstream].
func (c *Current) Upstream(id chat.ModelID) (provider string, model chat.ModelID) {
	return c.now.Load().Upstream(id)
}

// Reaches is [Models.Reaches].
func (c *Current) Reaches(provider string) bool { return c.now.Load().Reaches(provider) }

// Stream is [Models.Stream].
func (c *Current) Stream(ctx context.Context, p chat.Prompt) iter.Seq2[chat.Delta, error] {
	return c.now.Load().Stream(ctx, p)
}

// CancelRun is [Models.CancelRun].
func (c *Current) CancelRun(ctx context.Context, r chat.Run) error {
	return c.now.Load().CancelRun(ctx, r)
}
