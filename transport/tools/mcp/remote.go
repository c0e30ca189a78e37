package mcp

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

const (
	maxStreamRetries = 2        // how often a stream that was cut is asked for again
	maxHeader        = 64 << 10 // bytes of the header of an answer
)

// A remote is a server behind a URL. It implements [link].
type remote struct {
	config    Config
	token     tokenSource
	transport *http.Transport
}

// A tokenSource returns a token for requests, or "" if nobody has signed in. Refused is one
// that the server has refused, in whose place another one is wanted.
type tokenSource func(ctx context.Context, refused string) (string, error)

func noToken(context.Context, string) (string, error) { return "", nil }

func newRemote(c Config, token tokenSource) *remote {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxResponseHeaderBytes = maxHeader
	return &remote{c, token, transport}
}

func (r *remote) Connect(ctx context.Context) (sdk.Connection, error) {
	t := &sdk.StreamableClientTransport{
		Endpoint:     r.config.URL,
		HTTPClient:   &http.Client{Transport: r, CheckRedirect: sameOrigin},
		MaxRetries:   maxStreamRetries,
		MaxEventSize: maxMessage,
	}
	return t.Connect(ctx)
}

func (r *remote) versions() []string { return []string{"", "2025-11-25"} }

func (r *remote) end()        { r.transport.CloseIdleConnections() }
func (r *remote) why() string { return "" }

// sameOrigin follows a redirect within the server: to another one it would carry the
// headers.
func sameOrigin(r *http.Request, before []*http.Request) error {
	if first := before[0].URL; len(before) > 3 || r.URL.Scheme != first.Scheme || r.URL.Host != first.Host {
		return http.ErrUseLastResponse
	}
	return nil
}

// RoundTrip implements [http.RoundTripper]. It adds the configured headers, notes what has
// become of the request, and replaces answers that would end the session.
func (r *remote) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Method == http.MethodDelete { // the end of the session, for which nobody waits long
		ctx, cancel := context.WithTimeout(req.Context(), endOfInput)
		defer cancel()
		req = req.WithContext(ctx)
	}
	d := deliveryOf(req.Context())
	sent := req.Clone(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{WroteHeaders: func() { d.sent.Store(true) }}))
	for name, value := range r.config.Headers {
		sent.Header.Set(name, value)
	}
	sent.Header.Set("User-Agent", "parlor")
	resp, err := r.send(sent, d)
	if err != nil {
		return nil, err
	}
	if !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") { // whose events have a limit
		resp.Body = beginning{io.LimitReader(resp.Body, maxMessage+1), resp.Body}
	}
	d.status.Store(nil)
	if resp.StatusCode >= http.StatusMultipleChoices {
		d.status.Store(new(statusOf(resp)))
		d.refused.Store(resp.StatusCode < http.StatusInternalServerError)
	}
	if req.Method != http.MethodPost || req.GetBody == nil {
		return resp, nil
	}
	id := idOf(req)
	switch {
	case resp.StatusCode == http.StatusNotFound || resp.StatusCode == http.StatusBadRequest:
		return resp, noteOver(req, resp, d, id)
	case resp.StatusCode == http.StatusOK && id.IsValid() && strings.HasPrefix(resp.Header.Get("Content-Type"), "application/json"):
		return resp, checkAnswer(resp, id)
	}
	return resp, nil
}

// A beginning is of a body, the rest of which is not read.
type beginning struct {
	io.Reader
	io.Closer
}

// send sends a request with a token, if there is one, and once more with another one if that
// is refused. If the server wants a sign-in nevertheless, it has run nothing.
func (r *remote) send(req *http.Request, d *delivery) (*http.Response, error) {
	token, err := r.token(req.Context(), "")
	if err != nil {
		return nil, err
	}
	resp, err := r.sendWith(req, token)
	if err != nil || resp.StatusCode != http.StatusUnauthorized || r.config.authorized() {
		return resp, err
	}
	if token != "" && (req.Body == nil || req.GetBody != nil) {
		if fresh, err := r.token(req.Context(), token); err == nil && fresh != "" && fresh != token {
			resp.Body.Close()
			if resp, err = r.sendWith(req, fresh); err != nil {
				return nil, err
			}
		}
	}
	d.signIn.Store(resp.StatusCode == http.StatusUnauthorized)
	return resp, nil
}

func (r *remote) sendWith(req *http.Request, token string) (*http.Response, error) {
	sent := req.Clone(req.Context())
	if req.GetBody != nil {
		body, err := req.GetBody()
		if err != nil {
			return nil, err
		}
		sent.Body = body
	}
	if token != "" {
		sent.Header.Set("Authorization", "Bearer "+token)
	}
	return r.transport.RoundTrip(sent)
}

// idOf returns the id of the call that is sent, if it is one.
func idOf(req *http.Request) (id jsonrpc.ID) {
	body, err := req.GetBody()
	if err != nil {
		return id
	}
	text, err := io.ReadAll(body)
	if err != nil {
		return id
	}
	if m, err := jsonrpc.DecodeMessage(text); err == nil {
		if call, is := m.(*jsonrpc.Request); is {
			return call.ID
		}
	}
	return id
}

// noteOver notes that the server knows the session no more: it has not answered the call,
// and not run it.
func noteOver(req *http.Request, resp *http.Response, d *delivery, id jsonrpc.ID) error {
	body, err := readUp(resp, maxTail)
	if err != nil {
		return err
	}
	if req.Header.Get("Mcp-Session-Id") == "" {
		return nil
	}
	m, err := jsonrpc.DecodeMessage(body)
	answer, is := m.(*jsonrpc.Response)
	if err == nil && is && answer.ID == id {
		return nil
	}
	d.over.Store(true)
	return nil
}

// checkAnswer replaces an answer that is too long or no message: the SDK would end the
// session for all other calls.
func checkAnswer(resp *http.Response, id jsonrpc.ID) error {
	body, err := readUp(resp, maxMessage+1)
	if err != nil {
		return err
	}
	why := ""
	if len(body) > maxMessage {
		why = fmt.Sprintf("its answer has more than %d bytes. It may have had its effect", maxMessage)
	} else if _, err := jsonrpc.DecodeMessage(body); err != nil {
		why = "its answer cannot be read. It may have had its effect"
	}
	if why == "" {
		return nil
	}
	text, err := jsonrpc.EncodeMessage(failed(id, why))
	resp.Body = io.NopCloser(bytes.NewReader(text))
	return err
}

// readUp reads the beginning of a body, which can be read again.
func readUp(resp *http.Response, limit int64) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(resp.Body, limit))
	resp.Body.Close()
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return body, err
}

// statusOf is what an answer that is no success says of itself.
func statusOf(resp *http.Response) string {
	text := fmt.Sprintf("%d %s", resp.StatusCode, http.StatusText(resp.StatusCode))
	for _, name := range []string{"Www-Authenticate", "Retry-After", "Location"} {
		if value := resp.Header.Get(name); value != "" {
			text += fmt.Sprintf(" (%s: %.200s)", name, value)
		}
	}
	return text
}
