package mcp

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"parlor/protocol/chat"
)

// maxMessage limits what a server says at once, in bytes.
const maxMessage = 4 << 20

// A link is a way to a server.
type link interface {
	sdk.Transport

	// versions are the versions of the protocol to try, "" for the newest. Connect is
	// called for each.
	versions() []string

	// end ends what is behind the link, and waits for that.
	end()

	// why tells how the other end has ended, or "".
	why() string
}

// errNotRun is returned for a call that the server has certainly not run, since the session
// was over.
var errNotRun = errors.New("mcp: not run")

// errSignIn is returned if the server wants a sign-in. It has run nothing.
var errSignIn = errors.New("mcp: somebody has to sign in")

// A session is an initialized session with a server.
type session struct {
	link    link
	client  *sdk.ClientSession
	conn    sdk.Connection // below client, which waits for calls before it closes it
	log     *slog.Logger
	began   time.Time
	changed chan struct{} // the list of tools or of resources has
	ended   chan struct{}
	end     func() // ends it, and does not wait

	asked  rate        // how often the server asks for something
	floods atomic.Bool // it asked too often

	tokens   atomic.Int64
	progress sync.Map // token → func(chat.ToolProgress)
}

// maxProbe limits how long a server is asked in one version of the protocol if there is
// another one to try: what does not know how it begins may never answer.
const maxProbe = 5 * time.Second

// newSession connects. The link is ended if that fails.
func newSession(ctx context.Context, l link, timeout time.Duration, log *slog.Logger) (*session, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	s := &session{link: l, log: log, changed: make(chan struct{}, 1), ended: make(chan struct{})}
	s.end = sync.OnceFunc(func() {
		close(s.ended)
		go s.conn.Close()
	})
	var err error
	versions := l.versions()
	for i, version := range versions {
		limit := timeout
		if left := len(versions) - i; left > 1 {
			limit = min(timeout/time.Duration(left), maxProbe)
		}
		err = s.initialize(ctx, version, limit)
		if err == nil || ctx.Err() != nil || err == errSignIn {
			break
		}
	}
	if err != nil {
		l.end()
		return nil, s.because(err)
	}
	s.began = time.Now()
	go func() {
		_ = s.client.Wait()
		s.end()
	}()
	return s, nil
}

func (s *session) initialize(ctx context.Context, version string, timeout time.Duration) (err error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	d := new(delivery)
	client := sdk.NewClient(&sdk.Implementation{Name: "parlor", Version: "1"}, &sdk.ClientOptions{
		Capabilities:                &sdk.ClientCapabilities{},
		ToolListChangedHandler:      func(context.Context, *sdk.ToolListChangedRequest) { s.noteChange() },
		ResourceListChangedHandler:  func(context.Context, *sdk.ResourceListChangedRequest) { s.noteChange() },
		ProgressNotificationHandler: s.noteProgress,
		Logger:                      slog.New(slog.DiscardHandler),
	})
	client.AddReceivingMiddleware(s.withoutPanics, s.withoutFloods)
	s.client, err = client.Connect(d.with(ctx), keep{s}, &sdk.ClientSessionOptions{ProtocolVersion: version})
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("it did not answer within %s", timeout)
	}
	return d.explain(err)
}

// keep is the transport of a session, which keeps the connection.
type keep struct{ s *session }

// Connect implements [sdk.Transport].
func (k keep) Connect(ctx context.Context) (_ sdk.Connection, err error) {
	k.s.conn, err = k.s.link.Connect(ctx)
	return k.s.conn, err
}

// Limits of what a server asks for. Answers that it does not read fill the memory.
const (
	maxAsked   = 100
	askedWhile = 10 * time.Second
)

var errFloods = fmt.Errorf("it has sent more than %d requests within %s", maxAsked, askedWhile)

// withoutFloods ends the session if the server asks for too much.
func (s *session) withoutFloods(next sdk.MethodHandler) sdk.MethodHandler {
	return func(ctx context.Context, method string, r sdk.Request) (sdk.Result, error) {
		if !strings.HasPrefix(method, "notifications/") && !s.asked.allows(maxAsked, askedWhile) {
			s.floods.Store(true)
			s.end()
			return nil, errFloods
		}
		return next(ctx, method, r)
	}
}

// A rate counts what happens.
type rate struct {
	mu    sync.Mutex
	since time.Time
	n     int
}

// allows reports whether it has happened at most so many times in the current while.
func (r *rate) allows(most int, while time.Duration) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Since(r.since) > while {
		r.since, r.n = time.Now(), 0
	}
	r.n++
	return r.n <= most
}

// withoutPanics has a handler that panics end nothing.
func (s *session) withoutPanics(next sdk.MethodHandler) sdk.MethodHandler {
	return func(ctx context.Context, method string, r sdk.Request) (_ sdk.Result, err error) {
		defer func() {
			if p := recover(); p != nil {
				s.log.Error("a message of an MCP server made its handler panic", "method", method, "panic", p, "stack", string(debug.Stack()))
				err = errors.New("internal error")
			}
		}()
		return next(ctx, method, r)
	}
}

// noteChange and noteProgress only take notes: the session cannot be closed before they
// have taken all.
func (s *session) noteChange() {
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

func (s *session) noteProgress(_ context.Context, r *sdk.ProgressNotificationClientRequest) {
	if r.Params == nil {
		return
	}
	if progressed, waits := s.progress.Load(fmt.Sprint(r.Params.ProgressToken)); waits {
		progressed.(func(chat.ToolProgress))(chat.ToolProgress{Progress: r.Params.Progress, Total: max(r.Params.Total, 0), Message: chat.WithoutControls(r.Params.Message)})
	}
}

// forgetChanges forgets those of which the list is about to be learnt.
func (s *session) forgetChanges() {
	select {
	case <-s.changed:
	default:
	}
}

func (s *session) version() string {
	if r := s.client.InitializeResult(); r != nil {
		return r.ProtocolVersion
	}
	return ""
}

// close ends the session and what is behind it, and waits for that.
func (s *session) close() {
	s.end()
	s.link.end()
	_ = s.client.Close()
}

// because returns why the session has ended, or failed with err: how the other end has
// ended says more than that nothing came from there.
func (s *session) because(err error) error {
	why := s.link.why()
	switch {
	case s.floods.Load():
		return errFloods
	case why != "" && err != nil && !errors.Is(err, sdk.ErrConnectionClosed) && !strings.Contains(err.Error(), "EOF"):
		return fmt.Errorf("%w; %s", err, why)
	case why != "":
		return errors.New(why)
	case err == nil:
		return errors.New("the session has ended")
	}
	return err
}

// call runs a tool. The error is errNotRun if the session was over before.
func (s *session) call(ctx context.Context, tool, arguments string, progressed func(chat.ToolProgress)) (string, error) {
	if text := strings.TrimSpace(arguments); text == "" || text == "null" {
		arguments = "{}"
	}
	d := new(delivery)
	params := &sdk.CallToolParams{Name: tool, Arguments: json.RawMessage(arguments)}
	token := fmt.Sprintf("parlor-%d", s.tokens.Add(1))
	params.SetProgressToken(token)
	s.progress.Store(token, progressed)
	result, err := s.client.CallTool(d.with(ctx), params)
	s.progress.Delete(token)
	if err != nil {
		return "", s.failure(ctx, d, err)
	}
	text := textOf(result)
	switch {
	case result.NeedsInput():
		return "", errNeedsInput
	case result.IsError:
		return "", chat.Refuse(chat.CodeInternal, text)
	}
	return text, nil
}

// failure says in words for the model what has become of a call without a result.
func (s *session) failure(ctx context.Context, d *delivery, err error) error {
	closed := errors.Is(err, sdk.ErrConnectionClosed)
	answer, answered := errors.AsType[*jsonrpc.Error](err)
	rejected := answered && answer.Code == codeRejected
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case d.signIn.Load():
		return errSignIn
	case d.over.Load(), !d.sent.Load() && !rejected:
		return errNotRun
	case answered && !rejected && !closed:
		return chat.Refuse(chat.CodeInternal, "the tool failed: "+answer.Message)
	case !d.sent.Load(), d.refused.Load():
		return chat.Refuse(chat.CodeInternal, "not run: "+forMembers(s.because(d.explain(err)).Error()))
	}
	if !rejected {
		s.await() // so that how the server has ended is known
	}
	return chat.Refuse(chat.CodeInternal, fmt.Sprintf("the tool has not answered (%s); nobody knows whether it has had an effect", forMembers(s.because(d.explain(err)).Error())))
}

// codeRejected is that of an error with which the SDK says that a request has failed and
// the session goes on.
const codeRejected = -32005

// maxAwait limits how long an end that shows is waited for.
const maxAwait = 300 * time.Millisecond

// await waits for the end of the session, not for long.
func (s *session) await() {
	select {
	case <-s.ended:
	case <-time.After(maxAwait):
	}
}

// A delivery is what is known of the way of a request. It travels in its context.
type delivery struct {
	sent    atomic.Bool // some of it, perhaps
	over    atomic.Bool // the server knows the session no more, and has run nothing
	refused atomic.Bool // with a status of 4xx
	signIn  atomic.Bool // wanted, and nothing has run
	status  atomic.Pointer[string]
}

type deliveryKey struct{}

func (d *delivery) with(ctx context.Context) context.Context {
	return context.WithValue(ctx, deliveryKey{}, d)
}

// deliveryOf returns the delivery of a request, which may be of no interest.
func deliveryOf(ctx context.Context) *delivery {
	if d, ok := ctx.Value(deliveryKey{}).(*delivery); ok {
		return d
	}
	return new(delivery)
}

// explain says what the server has answered over HTTP, or why it has not. It leaves out the
// URL, which may hold a secret.
func (d *delivery) explain(err error) error {
	if err != nil && d.signIn.Load() {
		return errSignIn
	}
	if status := d.status.Load(); err != nil && status != nil {
		return fmt.Errorf("it answered %s", *status)
	}
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}

// object returns the JSON of a schema, or that of any object if there is none. It reports
// whether it is the schema of an object.
func object(schema any) (json.RawMessage, bool) {
	raw, err := json.Marshal(schema)
	if err != nil {
		return nil, false
	}
	if bytes.Equal(raw, []byte("null")) {
		return json.RawMessage(`{"type":"object","properties":{}}`), true
	}
	var top struct {
		Type json.RawMessage `json:"type"`
	}
	if raw[0] != '{' || json.Unmarshal(raw, &top) != nil {
		return nil, false
	}
	return raw, top.Type == nil || bytes.Contains(top.Type, []byte(`"object"`))
}
