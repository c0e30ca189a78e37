package traces

import (
	"context"

	semconv "go.opentelemetry.io/otel/semconv/v1.41.0"
	"go.opentelemetry.io/otel/trace"

	"parlor/protocol/chat"
)

// Run runs a call of a tool in a span of its own.
func (t *Traces) Run(ctx context.Context, r chat.ToolRun, run func(context.Context, chat.ToolRun) (string, error)) (string, error) {
	ctx, span := t.call(ctx, r.Call)
	defer span.End()
	result, err := run(passedOn(ctx, span), r)
	if err != nil {
		fail(span, err)
	}
	return result, err
}

// Called begins the span of a call that a page runs. The returned function ends it.
func (t *Traces) Called(ctx context.Context, c chat.ToolCall) (end func()) {
	_, span := t.call(ctx, c)
	span.SetAttributes(pageKey.Bool(true))
	return func() { span.End() }
}

func (t *Traces) call(ctx context.Context, c chat.ToolCall) (context.Context, trace.Span) {
	ctx, span := t.tracer.Start(ctx, "execute_tool "+c.Name, trace.WithSpanKind(trace.SpanKindInternal), trace.WithAttributes(
		semconv.GenAIOperationNameExecuteTool, semconv.GenAIToolName(c.Name), semconv.GenAIToolCallID(c.ID), semconv.GenAIToolType("function"),
	))
	if of, ok := ctx.Value(turnOfKey{}).(turnOf); ok {
		span.SetAttributes(semconv.GenAIConversationID(string(of.chat)))
	}
	return ctx, span
}
