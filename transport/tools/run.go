package tools

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"parlor/protocol/chat"
)

// maxError limits the text of an error that a model is told, in bytes.
const maxError = 64 << 10

var errIdle = errors.New("the tool shows no sign of life")

// Run runs a call, and returns its result for the model.
func (r *Registry) Run(ctx context.Context, run chat.ToolRun) (string, error) {
	t, found := r.awaitTool(ctx, run.Call.Name)
	if !found {
		return "", chat.Refuse(chat.CodeNotFound, "not run: there is no such tool any more, or its server cannot be reached")
	}
	own := time.Duration(r.opts.Settings[t.Name].Timeout)
	limit, idle := cmp.Or(own, t.Timeout, DefaultTimeout), t.Idle
	if own > 0 {
		idle = 0
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	ctx, alive, end := watch(ctx, idle)
	defer end()
	result, err := t.Run(ctx, run, alive)
	switch {
	case err == nil:
		return chat.Harmless(result), nil
	case context.Cause(ctx) == errIdle:
		err = chat.Refuse(chat.CodeInternal, fmt.Sprintf("the tool has shown no sign of life for %s; nobody knows whether it has had an effect", idle))
	case ctx.Err() == context.DeadlineExceeded:
		err = chat.Refuse(chat.CodeInternal, fmt.Sprintf("the tool did not answer within %s; nobody knows whether it has had an effect", limit))
	}
	return "", readable(err)
}

// watch returns a context that ends when alive was not called for so long.
func watch(ctx context.Context, idle time.Duration) (_ context.Context, alive, end func()) {
	if idle == 0 {
		return ctx, func() {}, func() {}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	timer := time.AfterFunc(idle, func() { cancel(errIdle) })
	return ctx, func() { timer.Reset(idle) }, func() { timer.Stop(); cancel(nil) }
}

// readable returns an error whose text a model can be told.
func readable(err error) error {
	told := chat.AsError(err)
	text := chat.WithoutControls(told.Message)
	if len(text) > maxError {
		text = strings.ToValidUTF8(text[:maxError], "") + " (cut)"
	}
	if text == told.Message {
		return err
	}
	return chat.Refuse(told.Code, text)
}

// startPatience limits how long requests to models wait for servers that have not told
// their tools yet, from the start on.
const startPatience = 10 * time.Second

// expect notes servers whose tools are put later.
func (r *Registry) expect(servers []string) {
	r.first, r.put = make(map[string]<-chan struct{}), make(map[string]func())
	for _, server := range servers {
		known := make(chan struct{})
		r.first[server], r.put[server] = known, sync.OnceFunc(func() { close(known) })
	}
	if len(servers) == 0 {
		return
	}
	patience, end := context.WithTimeout(context.Background(), startPatience)
	context.AfterFunc(patience, end)
	r.patience = patience.Done()
}

// awaitServers waits until the servers have told their tools that a model may call. It
// does so at the start only.
func (r *Registry) awaitServers(m chat.ModelID) {
	for _, pattern := range r.opts.Model(m).Tools {
		server, _, _ := strings.Cut(pattern, "/")
		if known, expected := r.first[server]; expected {
			select {
			case <-known:
			case <-r.patience:
			}
		}
	}
}

// awaitTool finds a tool. If its server has not told its tools yet, it waits for them: a
// call may have waited for a person while this server was started again.
func (r *Registry) awaitTool(ctx context.Context, name string) (Tool, bool) {
	server, _, _ := strings.Cut(name, "/")
	if known, expected := r.first[server]; expected {
		select {
		case <-known:
		case <-ctx.Done():
		}
	}
	return r.byName(name)
}

func (r *Registry) byName(name string) (Tool, bool) { return named(r.Tools(), name) }
