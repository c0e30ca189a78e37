package traces

import (
	"context"
	"iter"

	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.41.0"
	"go.opentelemetry.io/otel/trace"

	"parlor/protocol/chat"
)

// A Stream asks a model, see [provider.Models].
type Stream func(ctx context.Context, p chat.Prompt) iter.Seq2[chat.Delta, error]

// Stream asks a model in a span of its own. In a session, each answer has one.
func (t *Traces) Stream(ctx context.Context, p chat.Prompt, ask Stream) iter.Seq2[chat.Delta, error] {
	if p.Input != nil {
		return t.session(ctx, p, ask)
	}
	return func(yield func(chat.Delta, error) bool) {
		r := t.request(ctx, p)
		defer r.span.End()
		for d, err := range ask(r.ctx, p) {
			r.heard(d, err)
			if !yield(d, err) {
				return
			}
		}
	}
}

// A request is one to a model.
type request struct {
	ctx   context.Context
	span  trace.Span
	first bool // something of the answer was heard
}

func (t *Traces) request(ctx context.Context, p chat.Prompt) *request {
	provider, model := t.o.Upstream(p.Model)
	of, _ := ctx.Value(turnOfKey{}).(turnOf)
	attrs := []attribute.KeyValue{semconv.GenAIOperationNameChat, semconv.GenAIRequestModel(string(model)), providerName(provider), modelKey.String(string(p.Model))}
	if of.chat != "" {
		attrs = append(attrs, semconv.GenAIConversationID(string(of.chat)))
	}
	if p.User != "" {
		attrs = append(attrs, semconv.UserID(string(p.User)))
	}
	if p.MaxTokens > 0 {
		attrs = append(attrs, semconv.GenAIRequestMaxTokens(p.MaxTokens))
	}
	ctx, span := t.tracer.Start(ctx, "chat "+string(model), trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(attrs...))
	return &request{ctx: passedOn(ctx, span), span: span}
}

// heard notes what the model, or its provider, has answered.
func (r *request) heard(d chat.Delta, err error) {
	switch {
	case err != nil && r.ctx.Err() != nil:
		r.span.SetAttributes(endKey.String(string(chat.StateStopped)))
		return
	case err != nil:
		fail(r.span, err)
		return
	}
	if d.Retrying != nil {
		r.span.AddEvent("retry", trace.WithAttributes(semconv.ErrorTypeKey.String(string(d.Retrying.Code))))
	}
	if d.Model != "" {
		r.span.SetAttributes(semconv.GenAIResponseModel(string(d.Model)))
	}
	if !r.first && (d.Answers() || d.Thought != "") {
		r.first = true
		r.span.AddEvent("first_token")
	}
	if d.Finish != "" {
		r.span.SetAttributes(semconv.GenAIResponseFinishReasons(string(d.Finish)))
	}
	used(r.span, d.Usage)
}

// session follows the answers of a session. The request of each begins, as far as can be seen
// here, with its first word.
func (t *Traces) session(ctx context.Context, p chat.Prompt, ask Stream) iter.Seq2[chat.Delta, error] {
	return func(yield func(chat.Delta, error) bool) {
		var r *request // of the answer that is being given
		defer func() {
			if r != nil {
				r.span.End()
			}
		}()
		for d, err := range ask(ctx, p) {
			if r == nil && d.Answer != "" {
				r = t.answering(d.Answer, p)
			}
			if r != nil {
				r.heard(d, err)
			}
			if r != nil && d.Ended != nil {
				if d.Ended.Error != nil {
					fail(r.span, d.Ended.Error)
				}
				r.span.End()
				r = nil
			}
			if !yield(d, err) {
				return
			}
		}
	}
}

// answering begins the request of an answer, or returns nil if no turn gives it.
func (t *Traces) answering(id chat.MessageID, p chat.Prompt) *request {
	t.mu.Lock()
	ctx := t.live[id]
	t.mu.Unlock()
	if ctx == nil {
		return nil
	}
	return t.request(ctx, p)
}
