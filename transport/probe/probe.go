// Package probe answers parlor doctor: it says what of a request has arrived behind the
// proxies in front of this server.
//
//	doctor → proxy → Server → Arrived
//
// It tells nobody anything but what they have sent themselves, what the proxies have made
// of it, and limits that clients meet anyway. So it asks for no credential.
package probe

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"time"

	"parlor/protocol/chat"
	"parlor/transport/origin"
)

// The paths, below the API.
const (
	Path       = "/probe"
	StreamPath = "/probe/stream"
)

// Cookie is the name of the cookie that an answer sets, with the attributes of those of a
// sign-in.
const Cookie = "parlor_probe"

// A stream has this many pieces, with a pause between each two.
const (
	Pieces = 5
	Pause  = 200 * time.Millisecond
)

// maxEcho limits a header that is told back.
const maxEcho = 256

// slowest is how long a body may take to arrive.
const slowest = 30 * time.Second

// echoed are the headers that are told back. No other is, since a proxy may add secrets.
var echoed = []string{
	"Accept-Encoding", "Connection", "Forwarded", "Upgrade", "Via",
	"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-Ip",
}

// Arrived is what of a request has arrived.
type Arrived struct {
	Server   string            `json:"server"` // "parlor"
	Now      time.Time         `json:"now"`
	Protocol string            `json:"protocol"`
	Path     string            `json:"path"`
	Nonce    string            `json:"nonce"`
	Host     string            `json:"host"` // that counts, of a trusted proxy or of the request
	Client   string            `json:"client"`
	Headers  map[string]string `json:"headers"`

	Authorization int    `json:"authorization"` // bytes
	Cookie        string `json:"cookie"`        // value of [Cookie]
	Body          int64  `json:"body"`          // bytes

	Trusted    bool `json:"trusted"`     // the proxy is one of trusted-proxies
	Secure     bool `json:"secure"`      // the client uses TLS, as far as the server knows
	SameOrigin bool `json:"same_origin"` // of Origin and Host

	Limits Limits `json:"limits"`
}

// Limits are those that proxies must leave room for.
type Limits struct {
	PingInterval int64 `json:"ping_interval_ms"`
	PingTimeout  int64 `json:"ping_timeout_ms"`
	Payload      int64 `json:"payload_bytes"`
	File         int64 `json:"file_bytes"`
}

// Options configure a [Server].
type Options struct {
	Limits Limits
	// Busy is how many streams and bodies are served at once. Others are told to come back.
	Busy int
	// NewCookie makes a cookie as a sign-in does.
	NewCookie func(r *http.Request, name, value string, ttl time.Duration) *http.Cookie
}

// A Server answers the requests of all doctors.
type Server struct {
	o    Options
	busy chan struct{}
}

// New returns a Server.
func New(o Options) *Server { return &Server{o, make(chan struct{}, o.Busy)} }

var errBusy = chat.Refuse(chat.CodeBusy, "others are trying this server out; come back in a moment")

// enter counts a request that takes long until leave is called.
func (s *Server) enter() (leave func(), err error) {
	select {
	case s.busy <- struct{}{}:
		return func() { <-s.busy }, nil
	default:
		return nil, errBusy
	}
}

// Tell answers what has arrived, and sets a cookie if a value for it is given.
func (s *Server) Tell(w http.ResponseWriter, r *http.Request) error {
	return s.tell(w, r, 0)
}

// Count answers a body of up to the longest that clients may send, which is counted and
// forgotten.
func (s *Server) Count(w http.ResponseWriter, r *http.Request) error {
	leave, err := s.enter()
	if err != nil {
		return err
	}
	defer leave()
	longest := max(s.o.Limits.Payload, s.o.Limits.File)
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(slowest)) // a ResponseWriter without deadlines has none
	n, err := io.Copy(io.Discard, http.MaxBytesReader(w, r.Body, longest))
	if _, over := errors.AsType[*http.MaxBytesError](err); over {
		return chat.Refuse(chat.CodeTooLarge, fmt.Sprintf("no client may send more than %d bytes", longest))
	}
	if err != nil {
		return chat.Refuse(chat.CodeInvalid, "the body did not arrive")
	}
	return s.tell(w, r, n)
}

func (s *Server) tell(w http.ResponseWriter, r *http.Request, body int64) error {
	q := r.URL.Query()
	if value := cut(q.Get("cookie")); value != "" {
		http.SetCookie(w, s.o.NewCookie(r, Cookie, value, time.Minute))
	}
	answer, err := json.Marshal(s.arrived(r, cut(q.Get("nonce")), body))
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	_, _ = w.Write(answer)
	return nil
}

func (s *Server) arrived(r *http.Request, nonce string, body int64) Arrived {
	a := Arrived{
		Server: "parlor", Now: time.Now(), Protocol: r.Proto, Path: r.URL.Path, Nonce: nonce, Host: cut(r.Host), Client: r.RemoteAddr,
		Headers: make(map[string]string), Authorization: len(r.Header.Get("Authorization")), Body: body,
		Trusted: origin.Trusted(r), Secure: origin.Secure(r), SameOrigin: origin.Same(r), Limits: s.o.Limits,
	}
	if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		a.Client = host
	}
	for _, name := range echoed {
		if values := r.Header.Values(name); len(values) > 0 {
			a.Headers[name] = cut(values[0])
		}
	}
	if c, err := r.Cookie(Cookie); err == nil {
		a.Cookie = cut(c.Value)
	}
	return a
}

// Stream sends server-sent events with pauses, with the headers that those of a chat have.
// Each says when it was sent.
func (s *Server) Stream(w http.ResponseWriter, r *http.Request) error {
	leave, err := s.enter()
	if err != nil {
		return err
	}
	defer leave()
	control := http.NewResponseController(w)
	maps.Copy(w.Header(), http.Header{
		"Content-Type": {"text/event-stream"}, "Cache-Control": {"no-store"}, "X-Accel-Buffering": {"no"},
	})
	for n := range Pieces {
		if n > 0 {
			select {
			case <-time.After(Pause):
			case <-r.Context().Done():
				return nil
			}
		}
		_ = control.SetWriteDeadline(time.Now().Add(slowest)) // likewise
		if _, err := fmt.Fprintf(w, "data: %d\n\n", time.Now().UnixMilli()); err != nil {
			return nil
		}
		if err := control.Flush(); err != nil {
			return nil
		}
	}
	return nil
}

// cut bounds a text that is told back.
func cut(text string) string { return text[:min(len(text), maxEcho)] }
