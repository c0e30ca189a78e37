// Package anthropic asks models behind Anthropic's Messages API and streams
// their answers.
//
//	Prompt → request → upstream.Client: POST {base}/v1/messages → events → decoder → Delta, Delta, … Usage
//
// An answer is whole when its stream ends after a stop_reason, whatever that is.
package anthropic

import (
	"cmp"
	"context"
	"iter"
	"net/http"

	"parlor/protocol/chat"
	"parlor/transport/provider/upstream"
)

// DefaultBaseURL is where Anthropic itself answers. Unlike OpenAI's it ends
// before the version.
const DefaultBaseURL = "https://api.anthropic.com"

// Version is the only one of the API so far, and a required header.
const Version = "2023-06-01"

// Options configure a [Client]. The zero value is ready to use.
type Options = upstream.Options

// A Client streams answers from one base URL with one key.
//
// All methods may be called from any goroutine; streams run side by side and
// share the connections. Who called [New] calls Close.
type Client struct{ upstream *upstream.Client }

// New returns a client of the API at baseURL ([DefaultBaseURL] if empty). An
// empty key sends none. It connects to nothing yet. Errors wrap
// [upstream.ErrBaseURL] or [upstream.ErrKey].
func New(baseURL, key string, o Options) (*Client, error) {
	header := make(http.Header)
	header.Set("Anthropic-Version", Version)
	o.SetKey(header, "X-Api-Key", "", key)
	up, err := upstream.New(upstream.API{
		BaseURL: cmp.Or(baseURL, DefaultBaseURL),
		Path:    "v1/messages",
		Header:  header,
		Key:     key,
	}, o)
	if err != nil {
		return nil, err
	}
	return &Client{up}, nil
}

// Close closes the connections that no stream uses. Streams that run go on.
func (c *Client) Close() error { return c.upstream.Close() }

// Stream asks the model p.Model and yields the answer as
// [upstream.Client.Stream] does.
func (c *Client) Stream(ctx context.Context, p chat.Prompt) iter.Seq2[chat.Delta, error] {
	return c.upstream.Stream(ctx, p, newRequest, func() upstream.Decoder { return new(decoder) })
}
