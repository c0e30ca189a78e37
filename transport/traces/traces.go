// Package traces tells an OpenTelemetry collector of turns: what was asked of whom, how long
// it took, and how it ended.
//
//	Begin ─ a span for each attempt at a turn ─┬ Stream: one for each request to a model
//	                                           └ Run, Called: one for each call of a tool
//	spans → queue → batch → OTLP over HTTP
//
// Attributes follow the semantic conventions for generative AI. They have ids, names of models
// and tools, numbers and codes, and nobody's words: no prompt, answer, argument or text of an
// error.
//
// # Slow collectors
//
// A span that ends goes into a bounded queue. If that is full the span is dropped, so a
// collector that is slow, or not there, holds nobody up.
package traces

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.41.0"
	"go.opentelemetry.io/otel/trace"

	"parlor/protocol/chat"
	"parlor/transport/traceparent"
)

// closeTimeout is how long the last spans may take to be sent.
const closeTimeout = time.Second

// Attributes of our own.
const (
	turnKey    = attribute.Key("parlor.turn.id")
	messageKey = attribute.Key("parlor.message.id") // that is answered
	answerKey  = attribute.Key("parlor.answer.id")
	attemptKey = attribute.Key("parlor.turn.attempt")
	endKey     = attribute.Key("parlor.end")
	stepsKey   = attribute.Key("parlor.steps")
	modelKey   = attribute.Key("parlor.model.id") // as chats name it
	pageKey    = attribute.Key("parlor.tool.on_page")
)

// Options configure [Traces].
type Options struct {
	Version string // of the server
	Logger  *slog.Logger

	// Upstream returns the provider of a model, and its name there.
	Upstream func(chat.ModelID) (provider string, model chat.ModelID)

	// Processor gets the spans in place of a collector. Tests set it.
	Processor sdk.SpanProcessor
}

// Traces make spans. All methods may be called from any goroutine.
type Traces struct {
	o        Options
	provider *sdk.TracerProvider
	close    func() // gives up what is being sent
	tracer   trace.Tracer

	mu   sync.Mutex
	live map[chat.MessageID]context.Context // of turns that run, by their answers
}

// New returns Traces that go where the environment says, in the variables of OpenTelemetry. It
// asks nobody. Its error names the variable that is wrong. The caller closes it.
func New(o Options) (*Traces, error) {
	if o.Processor != nil {
		return start(o, func() {})
	}
	c, err := newCollector(o.Logger)
	if err != nil {
		return nil, fmt.Errorf("traces: %w", err)
	}
	o.Logger.Info("turns are traced", "collector", c.endpoint.Redacted())
	return send(o, c)
}

// send starts traces that go to the collector.
func send(o Options, c *collector) (*Traces, error) {
	o.Processor = sdk.NewBatchSpanProcessor(otlptrace.NewUnstarted(c))
	return start(o, c.close)
}

func start(o Options, close func()) (*Traces, error) {
	from, err := resource.New(context.Background(),
		resource.WithAttributes(semconv.ServiceName("parlor"), semconv.ServiceVersion(o.Version)), resource.WithTelemetrySDK(), resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("traces: OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	p := sdk.NewTracerProvider(sdk.WithSpanProcessor(o.Processor), sdk.WithResource(from))
	return &Traces{o: o, provider: p, close: close, tracer: p.Tracer("parlor"), live: make(map[chat.MessageID]context.Context)}, nil
}

// Close sends the spans that wait, unless that takes too long.
func (t *Traces) Close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, closeTimeout)
	defer cancel()
	_ = t.provider.Shutdown(ctx) // the collector's failures are logged already
	t.close()
	return nil
}

// turnOf is the turn that a context belongs to.
type turnOf struct {
	chat chat.ID
}

type turnOfKey struct{}

// Begin begins the span of an attempt at a turn.
func (t *Traces) Begin(in chat.Info, turn chat.Turn) (context.Context, func(chat.TurnEnded)) {
	provider, model := t.o.Upstream(turn.ModelID)
	ctx, span := t.tracer.Start(context.Background(), "invoke_agent "+string(turn.ModelID), trace.WithSpanKind(trace.SpanKindInternal), trace.WithAttributes(
		semconv.GenAIOperationNameInvokeAgent, semconv.GenAIAgentName(string(turn.ModelID)), semconv.GenAIRequestModel(string(model)), providerName(provider),
		semconv.GenAIConversationID(string(in.ID)), semconv.UserID(string(turn.By)),
		turnKey.String(string(turn.ID)), messageKey.String(string(turn.Prompt)), answerKey.String(string(turn.MessageID)), attemptKey.Int(turn.Attempt),
	))
	ctx = passedOn(context.WithValue(ctx, turnOfKey{}, turnOf{in.ID}), span)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.live[turn.MessageID] = ctx
	return ctx, func(end chat.TurnEnded) {
		t.mu.Lock()
		delete(t.live, turn.MessageID)
		t.mu.Unlock()
		span.SetAttributes(endKey.String(ending(end.State)), stepsKey.Int(end.Steps))
		used(span, end.Usage)
		if end.Error != nil {
			fail(span, end.Error)
		}
		span.End()
	}
}

// ending names the end of an attempt. Another attempt goes on with the turn of one that has
// no state.
func ending(s chat.State) string {
	if s == "" {
		return "cut"
	}
	return string(s)
}

// passedOn returns a context whose requests name the span as the one that they belong to.
func passedOn(ctx context.Context, span trace.Span) context.Context {
	c := span.SpanContext()
	return traceparent.With(ctx, fmt.Sprintf("00-%s-%s-%s", c.TraceID(), c.SpanID(), c.TraceFlags()))
}

// fail marks a span as failed. The text of the error may quote what was asked, so only its
// code is told.
func fail(span trace.Span, err error) {
	span.SetStatus(codes.Error, "")
	span.SetAttributes(semconv.ErrorTypeKey.String(string(chat.AsError(err).Code)))
}

func used(span trace.Span, u *chat.Usage) {
	if u != nil {
		span.SetAttributes(semconv.GenAIUsageInputTokens(u.PromptTokens), semconv.GenAIUsageOutputTokens(u.CompletionTokens))
	}
}

// providerNames are those of the conventions that are not ours.
var providerNames = map[string]attribute.KeyValue{
	"azure":   semconv.GenAIProviderNameAzureAIOpenAI,
	"gemini":  semconv.GenAIProviderNameGCPGemini,
	"mistral": semconv.GenAIProviderNameMistralAI,
	"xai":     semconv.GenAIProviderNameXAI,
}

func providerName(name string) attribute.KeyValue {
	if known, ok := providerNames[name]; ok {
		return known
	}
	return semconv.GenAIProviderNameKey.String(name)
}
