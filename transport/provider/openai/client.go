// Package openai asks models behind OpenAI's chat completions protocol and
// streams their answers.
//
//	Prompt → completion → upstream.Client: POST {base}/chat/completions → events → decoder → Delta, Delta, … Usage
//
// Any server that speaks the protocol will do; which one is the base URL. An
// answer is whole when its stream ends after a finish_reason, whatever that is.
// Not so after a mere [DONE].
package openai

import (
	"cmp"
	"context"
	"iter"
	"net/http"

	"parlor/protocol/chat"
	"parlor/transport/provider/upstream"
)

// DefaultBaseURL is where OpenAI itself answers.
const DefaultBaseURL = "https://api.openai.com/v1"

// Options configure a [Client]. The zero value is ready to use.
type Options = upstream.Options

// A Client streams answers from one base URL with one key.
//
// All methods may be called from any goroutine; streams run side by side and
// share the connections. Who called [New] calls Close.
type Client struct{ upstream *upstream.Client }

// New returns a client of the API at baseURL ([DefaultBaseURL] if empty). An
// empty key sends none, as local servers like it. It connects to nothing yet.
// Errors wrap [upstream.ErrBaseURL] or [upstream.ErrKey].
func New(baseURL, key string, o Options) (*Client, error) {
	header := make(http.Header)
	o.SetKey(header, "Authorization", "Bearer ", key)
	up, err := upstream.New(upstream.API{BaseURL: cmp.Or(baseURL, DefaultBaseURL), Path: "chat/completions", Header: header, Key: key}, o)
	if err != nil {
		return nil, err
	}
	return &Client{up}, nil
}

// Close closes the connections that no stream uses. Streams that run go on.
func (c *Client) Close() error { return c.upstream.Close() }

// Stream asks the model p.Model, by the provider's own name for it, and
// yields the answer as [upstream.Client.Stream] does.
func (c *Client) Stream(ctx context.Context, p chat.Prompt) iter.Seq2[chat.Delta, error] {
	return c.upstream.Stream(ctx, p, completion, func() upstream.Decoder { return new(decoder) })
}
