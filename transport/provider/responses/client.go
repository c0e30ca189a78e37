// Package responses asks models behind OpenAI's Responses API, whose answers can go on while
// nobody reads them.
//
//	Prompt → POST {base}/responses, in the background → events → decoder → Run, Delta, Delta, … Usage
//	cut off, or Prompt.Run → GET {base}/responses/{id}?stream=true&starting_after={n} ─┘
//
// An answer that a turn wants is asked for in the background: the provider keeps it, and goes
// on with it without us. If the connection is lost, or this process ends, the rest is read
// behind the last event that is known. Other answers are neither kept nor go on.
package responses

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"time"

	"parlor/protocol/chat"
	"parlor/transport/provider/openai"
	"parlor/transport/provider/upstream"
)

// Limits of reading on behind a cut.
const (
	maxCuts  = 6 // in a row, without an event in between
	cutPause = 500 * time.Millisecond
	maxPause = 10 * time.Second
)

// Options configure a [Client]. The zero value is ready to use.
type Options = upstream.Options

// A Client streams answers from one base URL with one key.
//
// All methods may be called from any goroutine. The caller of [New] calls Close.
type Client struct{ upstream *upstream.Client }

// New returns a client of the API at baseURL (that of OpenAI if empty). It connects to
// nothing yet. Errors wrap [upstream.ErrBaseURL] or [upstream.ErrKey].
func New(baseURL, key string, o Options) (*Client, error) {
	header := make(http.Header)
	o.SetKey(header, "Authorization", "Bearer ", key)
	up, err := upstream.New(upstream.API{
		BaseURL: cmp.Or(baseURL, openai.DefaultBaseURL), Path: "responses", Header: header, Key: key,
	}, o)
	if err != nil {
		return nil, err
	}
	return &Client{up}, nil
}

// Close closes the connections that no stream uses. Streams that run go on.
func (c *Client) Close() error { return c.upstream.Close() }

// Stream asks the model p.Model, or reads the answer p.Run on, and yields it as
// [upstream.Client.Stream] does.
func (c *Client) Stream(ctx context.Context, p chat.Prompt) iter.Seq2[chat.Delta, error] {
	return func(yield func(chat.Delta, error) bool) {
		a := answer{Client: c, ctx: ctx, prompt: p, yield: yield}
		if err := a.give(); err != nil && !a.left {
			yield(chat.Delta{}, err)
		}
	}
}

// CancelRun ends an answer at the provider.
func (c *Client) CancelRun(ctx context.Context, r chat.Run) error {
	return c.upstream.Post(ctx, "/"+url.PathEscape(r.ID)+"/cancel")
}

// An answer is one that is being read.
type answer struct {
	*Client
	ctx     context.Context
	prompt  chat.Prompt
	yield   func(chat.Delta, error) bool
	decoder *decoder
	left    bool // the consumer has enough
}

// give asks, and reads on behind each cut.
func (a *answer) give() error {
	var err error
	if run := a.prompt.Run; run != nil {
		a.decoder = &decoder{run: run.ID, last: run.After}
		err = a.read()
	} else {
		err = a.pass(a.upstream.Stream(a.ctx, a.prompt, request, func() upstream.Decoder {
			a.decoder = new(decoder)
			return a.decoder
		}))
	}
	for cuts, seen := 0, a.known(); a.cut(err); cuts++ {
		if now := a.known(); now > seen {
			cuts, seen = 0, now
		}
		if cuts == maxCuts {
			return final(err)
		}
		if err := a.pause(err, cuts); err != nil {
			return err
		}
		err = a.read()
	}
	return err
}

// known returns the number of the last event.
func (a *answer) known() int64 {
	if a.decoder == nil {
		return 0
	}
	return a.decoder.last
}

// cut reports whether the answer goes on, though the reading of it has failed.
func (a *answer) cut(err error) bool {
	f, failed := errors.AsType[*upstream.Failure](err)
	switch {
	case !failed, a.left, a.ctx.Err() != nil, a.decoder == nil, a.decoder.run == "", !a.decoder.counts, f.Reported, a.decoder.ended:
		return false
	case f.Status != 0:
		return f.Retryable
	}
	return f.Retryable || f.Unanswered || f.Err.Code == chat.CodeProviderTimeout
}

func (a *answer) pause(err error, cuts int) error {
	f, _ := errors.AsType[*upstream.Failure](err)
	timer := time.NewTimer(f.Pause(cuts, cutPause, maxPause))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-a.ctx.Done():
		return context.Cause(a.ctx)
	}
}

// read reads the rest of the answer. If the provider does not have it, that is
// [chat.ErrRunGone], as long as nothing of it was told.
func (a *answer) read() error {
	path := fmt.Sprintf("/%s?stream=true&starting_after=%d", url.PathEscape(a.decoder.run), a.decoder.last)
	err := a.pass(a.upstream.Read(a.ctx, a.prompt, path, a.decoder))
	f, failed := errors.AsType[*upstream.Failure](err)
	if failed && refuses(f.Status) && !f.Retryable && a.prompt.Run != nil && a.decoder.last == a.prompt.Run.After {
		return fmt.Errorf("%w: %w", chat.ErrRunGone, err)
	}
	return err
}

// refuses reports whether a status says that there is no such answer, or that it cannot be
// read in pieces. A key that is refused says nothing of that.
func refuses(status int) bool {
	return status >= 400 && status < 500 && status != http.StatusUnauthorized && status != http.StatusForbidden
}

// final is a failure of an answer that may go on: to ask for another one would be paid twice.
func final(err error) error {
	f, _ := errors.AsType[*upstream.Failure](err)
	last := *f
	last.Retryable = false
	return &last
}

// pass yields the pieces.
func (a *answer) pass(pieces iter.Seq2[chat.Delta, error]) error {
	for d, err := range pieces {
		if err != nil {
			return err
		}
		if a.left = !a.yield(d, nil); a.left {
			return nil
		}
	}
	return nil
}
