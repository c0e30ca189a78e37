package upstream

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"

	"parlor/protocol/chat"
)

// MaxMessage limits, in runes, what a client is shown of the provider's words.
const MaxMessage = 300

// An Explainer puts into words what one provider did wrong, without its key.
// Its methods may be called from any goroutine.
type Explainer struct {
	secrets []*secret // what must not appear in an error
}

// NewExplainer returns an Explainer for the provider at base that is asked with key.
func NewExplainer(base *url.URL, key string) *Explainer { return &Explainer{secretsOf(base, key)} }

// Unreachable is the failure of a request that got no response. Clients are
// told the kind of trouble; addresses, and what came instead of HTTP, are only
// in the cause.
func (x *Explainer) Unreachable(err error) *Failure {
	f := x.unreachable(err)
	f.Unanswered = true
	return f
}

func (x *Explainer) unreachable(err error) *Failure {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err // without the URL, whose query may hold a key
	}
	cause := errors.New(x.Clean(err.Error()))
	var (
		timeout net.Error
		dns     *net.DNSError
		cert    *tls.CertificateVerificationError
	)
	switch {
	case errors.As(err, &dns) && dns.IsNotFound:
		return wrong("the provider's host was not found", cause)
	case errors.As(err, &dns):
		return broken("the provider's host was not found", cause)
	case errors.As(err, &timeout) && timeout.Timeout():
		f := late(cause)
		f.Retryable = dialed(err)
		return f
	case errors.Is(err, syscall.ECONNREFUSED):
		return broken("the provider cannot be reached: connection refused", cause)
	case errors.As(err, &cert):
		return wrong("the provider's certificate is not trusted", cause)
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET):
		return broken("the provider closed the connection without an answer", cause)
	}
	return broken("the provider cannot be reached", cause)
}

// dialed reports whether err came while the connection was opened. That is
// worth another try; waiting for an answer once more is not.
func dialed(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

// Refused is the failure that a response stands for which is no answer, with
// what is known of its body.
func (x *Explainer) Refused(resp *http.Response, body []byte) *Failure {
	text := fmt.Sprintf("the provider answered %d %s", resp.StatusCode, http.StatusText(resp.StatusCode))
	if answers(resp.StatusCode) {
		text = "the provider answered with something else than an event stream"
		if kind := x.Clean(mediaType(resp.Header)); kind != "" && kind != "text/event-stream" {
			text = fmt.Sprintf("the provider answered with %s instead of an event stream", kind)
		}
	}
	text = strings.TrimSpace(text)
	if encoding := resp.Header.Get("Content-Encoding"); encoding != "" {
		text += fmt.Sprintf(", in the encoding %s, which nobody asked for", x.Clean(encoding))
		body = nil
	}
	if said := x.Clean(explanation(body)); said != "" {
		text += ": " + said
	}
	after, words := retryAfter(resp, body)
	f := wrong(text+words, nil)
	f.Status, f.Retryable, f.RetryAfter = resp.StatusCode, retryable(resp, body), after
	f.Busy = f.Retryable && busy(resp, body, after)
	if complains(resp.StatusCode) {
		f.complaint = complaintOf(body)
	}
	return f
}

// Reported is the failure that a provider itself reports, in an event of its
// protocol.
func (x *Explainer) Reported(data []byte) *Failure {
	text := "the provider failed"
	if said := x.Clean(explanation(data)); said != "" {
		text += ": " + said
	}
	f := wrong(text, nil)
	f.Reported, f.Retryable, f.complaint = true, retryableReport(data), complaintOf(data)
	f.Busy = f.Retryable && busyReport(data)
	return f
}

// scanned limits, in runes, what of the provider's words is searched for the key.
const scanned = 4 * MaxMessage

// Clean makes the provider's words fit for a client: without anything that
// looks like a key, on one line, not long.
func (x *Explainer) Clean(said string) string {
	said = cut(chat.OneLine(strings.ToValidUTF8(said, "?")), scanned, "")
	for _, s := range x.secrets {
		said = s.redact(said)
	}
	return cut(said, MaxMessage, "…")
}

// cut returns the first runes of s, and mark if there are more.
func cut(s string, runes int, mark string) string {
	if r := []rune(s); len(r) > runes {
		return string(r[:runes]) + mark
	}
	return s
}
