package main

import (
	"context"
	"iter"

	"parlor/actors/turn"
	"parlor/protocol/chat"
	"parlor/transport/tools"
	"parlor/transport/traces"
)

// openTraces begins to trace turns, if that is wanted.
func (s *server) openTraces() (err error) {
	if !s.Traces {
		return nil
	}
	s.traces, err = traces.New(traces.Options{Version: version(), Logger: s.log, Upstream: s.models.Upstream})
	if err != nil {
		return err
	}
	s.parts.add("traces", s.traces.Close)
	return nil
}

// tracer follows the attempts at turns, or is nil if nobody wants that.
func (s *server) tracer() turn.Tracer {
	var follows turn.Tracer
	if s.traces != nil {
		follows = s.traces
	}
	if !s.RequestLog {
		return follows
	}
	if follows == nil {
		follows = untraced{}
	}
	return turnLog{follows, s.log}
}

// untraced follows nothing.
type untraced struct{}

// Begin and Called implement [turn.Tracer].
func (untraced) Begin(chat.Info, chat.Turn) (context.Context, func(chat.TurnEnded)) {
	return context.Background(), func(chat.TurnEnded) {}
}
func (untraced) Called(context.Context, chat.ToolCall) (end func()) { return func() {} }

// asked is who answers prompts.
func (s *server) asked() charging { return charging{s.models, s.limits, s.traces} }

// stream asks a model, in a span if there are traces.
func (c charging) stream(ctx context.Context, p chat.Prompt) iter.Seq2[chat.Delta, error] {
	if c.traces == nil {
		return c.Current.Stream(ctx, p)
	}
	return c.traces.Stream(ctx, p, c.Current.Stream)
}

// tracedTools run each call in a span.
type tracedTools struct {
	*tools.Registry
	traces *traces.Traces
}

// Run implements [turn.Tools].
func (t tracedTools) Run(ctx context.Context, r chat.ToolRun) (string, error) {
	return t.traces.Run(ctx, r, t.Registry.Run)
}

// called are the tools that models may call.
func (s *server) called() turn.Tools {
	if s.traces == nil {
		return s.tools
	}
	return tracedTools{s.tools, s.traces}
}
