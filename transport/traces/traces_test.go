package traces_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/attribute"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"parlor/protocol/chat"
	"parlor/transport/traces"
)

// begin returns traces, and what has become of them.
func begin(t *testing.T) (*traces.Traces, *tracetest.InMemoryExporter) {
	t.Helper()
	kept := tracetest.NewInMemoryExporter()
	tr, err := traces.New(traces.Options{
		Logger: slog.New(slog.DiscardHandler), Processor: sdk.NewSimpleSpanProcessor(kept),
		Upstream: func(m chat.ModelID) (string, chat.ModelID) { return "gemini", "upstream-" + m },
	})
	if err != nil {
		t.Fatal(err)
	}
	return tr, kept
}

// told are the attributes and events of a span that ended, as text.
func told(s tracetest.SpanStub) map[string]string {
	all := map[string]string{"kind": s.SpanKind.String(), "status": s.Status.Code.String()}
	for _, a := range s.Attributes {
		all[string(a.Key)] = a.Value.String()
	}
	for _, e := range s.Events {
		all["event "+e.Name] = attributesOf(e.Attributes)
	}
	if s.Status.Description != "" {
		all["description"] = s.Status.Description
	}
	return all
}

func attributesOf(attrs []attribute.KeyValue) string {
	var all []string
	for _, a := range attrs {
		all = append(all, string(a.Key)+"="+a.Value.String())
	}
	return strings.Join(all, " ")
}

func answers(deltas []chat.Delta, err error) traces.Stream {
	return func(context.Context, chat.Prompt) iter.Seq2[chat.Delta, error] {
		return func(yield func(chat.Delta, error) bool) {
			for _, d := range deltas {
				if !yield(d, nil) {
					return
				}
			}
			if err != nil {
				yield(chat.Delta{}, err)
			}
		}
	}
}

var (
	theChat = chat.Info{ID: "c1"}
	theTurn = chat.Turn{ID: "t1", Prompt: "m1", MessageID: "a1", ModelID: "fast", By: "alice", Attempt: 2}
	prompt  = chat.Prompt{Model: "fast", User: "alice", Messages: []chat.PromptMessage{{Content: "geheim"}}}
)

// A turn is a span, and what is asked for it its children. None has anybody's words.
func TestSpansOfATurn(t *testing.T) {
	tr, kept := begin(t)
	ctx, end := tr.Begin(theChat, theTurn)
	usage := &chat.Usage{PromptTokens: 7, CompletionTokens: 3}
	for range tr.Stream(ctx, prompt, answers([]chat.Delta{
		{Retrying: chat.Refuse(chat.CodeProviderTimeout, "geheim")}, {Thought: "geheim"}, {Text: "geheim"}, {Finish: chat.FinishStop, Usage: usage},
	}, nil)) {
	}
	_, _ = tr.Run(ctx, chat.ToolRun{Call: chat.ToolCall{ID: "call1", Name: "look", Arguments: "geheim"}}, func(context.Context, chat.ToolRun) (string, error) {
		return "geheim", chat.Refuse(chat.CodeInternal, "geheim")
	})
	tr.Called(ctx, chat.ToolCall{ID: "call2", Name: "paint"})()
	for range tr.Stream(ctx, prompt, answers(nil, chat.Refuse(chat.CodeProviderError, "the provider says: geheim"))) {
	}
	end(chat.TurnEnded{State: chat.StateFailed, Error: chat.Refuse(chat.CodeProviderError, "geheim"), Steps: 1, Usage: usage, Content: "geheim", Reason: "geheim"})

	spans := kept.GetSpans()
	names := []string{}
	for _, s := range spans {
		names = append(names, s.Name)
		if parent := spans[len(spans)-1].SpanContext.SpanID(); s.Name != "invoke_agent fast" && s.Parent.SpanID() != parent {
			t.Errorf("%s is no child of the turn", s.Name)
		}
		if text := fmt.Sprint(told(s), s.Name); strings.Contains(text, "geheim") {
			t.Errorf("%s says %s", s.Name, text)
		}
	}
	if diff := cmp.Diff([]string{"chat upstream-fast", "execute_tool look", "execute_tool paint", "chat upstream-fast", "invoke_agent fast"}, names); diff != "" {
		t.Fatalf("spans (-want +got):\n%s", diff)
	}
	for i, want := range []map[string]string{
		{
			"kind": "client", "status": "Unset", "gen_ai.operation.name": "chat", "gen_ai.provider.name": "gcp.gemini", "gen_ai.request.model": "upstream-fast", "parlor.model.id": "fast",
			"gen_ai.conversation.id": "c1", "user.id": "alice", "gen_ai.response.finish_reasons": `["` + string(chat.FinishStop) + `"]`,
			"gen_ai.usage.input_tokens": "7", "gen_ai.usage.output_tokens": "3", "event retry": "error.type=provider_timeout", "event first_token": "",
		},
		{
			"kind": "internal", "status": "Error", "gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "look", "gen_ai.tool.call.id": "call1", "gen_ai.tool.type": "function",
			"gen_ai.conversation.id": "c1", "error.type": "internal",
		},
		{
			"kind": "internal", "status": "Unset", "gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "paint", "gen_ai.tool.call.id": "call2", "gen_ai.tool.type": "function",
			"gen_ai.conversation.id": "c1", "parlor.tool.on_page": "true",
		},
		{
			"kind": "client", "status": "Error", "gen_ai.operation.name": "chat", "gen_ai.provider.name": "gcp.gemini", "gen_ai.request.model": "upstream-fast", "parlor.model.id": "fast",
			"gen_ai.conversation.id": "c1", "user.id": "alice", "error.type": "provider_error",
		},
		{
			"kind": "internal", "status": "Error", "gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "fast", "gen_ai.provider.name": "gcp.gemini", "gen_ai.request.model": "upstream-fast",
			"gen_ai.conversation.id": "c1", "user.id": "alice", "parlor.turn.id": "t1", "parlor.message.id": "m1", "parlor.answer.id": "a1", "parlor.turn.attempt": "2",
			"parlor.end": "failed", "parlor.steps": "1", "gen_ai.usage.input_tokens": "7", "gen_ai.usage.output_tokens": "3", "error.type": "provider_error",
		},
	} {
		if diff := cmp.Diff(want, told(spans[i])); diff != "" {
			t.Errorf("%s (-want +got):\n%s", spans[i].Name, diff)
		}
	}
}

// A request that is stopped has not failed, and one whose answer nobody reads on has ended.
func TestStoppedRequests(t *testing.T) {
	tr, kept := begin(t)
	ctx, cancel := context.WithCancel(t.Context())
	for range tr.Stream(ctx, prompt, func(context.Context, chat.Prompt) iter.Seq2[chat.Delta, error] {
		return func(yield func(chat.Delta, error) bool) {
			cancel()
			yield(chat.Delta{}, errors.New("cut"))
		}
	}) {
	}
	for range tr.Stream(t.Context(), prompt, answers([]chat.Delta{{Text: "a"}, {Text: "b"}}, nil)) {
		break
	}
	spans := kept.GetSpans()
	if len(spans) != 2 || told(spans[0])["parlor.end"] != "stopped" || told(spans[0])["status"] != "Unset" {
		t.Errorf("spans %+v", spans)
	}
}

// In a session each answer of a turn is a request of that turn, and others are none.
func TestSpansOfASession(t *testing.T) {
	tr, kept := begin(t)
	_, end := tr.Begin(theChat, theTurn)
	said := prompt
	said.Input = make(chan chat.Input)
	for range tr.Stream(t.Context(), said, answers([]chat.Delta{
		{Answer: "other", Text: "x"}, {Answer: "other", Ended: &chat.Ended{State: chat.StateCompleted}},
		{Answer: "a1", Text: "x"}, {Answer: "a1", Ended: &chat.Ended{State: chat.StateCompleted}},
		{Answer: "a1", Text: "x"}, {Answer: "a1", Ended: &chat.Ended{State: chat.StateFailed, Error: chat.Refuse(chat.CodeProviderError, "no")}},
		{Answer: "a1", Text: "x"},
	}, nil)) {
	}
	end(chat.TurnEnded{State: chat.StateCompleted})
	spans := kept.GetSpans()
	if len(spans) != 4 {
		t.Fatalf("%d spans, want three requests and their turn", len(spans))
	}
	for i, status := range []string{"Unset", "Error", "Unset"} {
		if got := told(spans[i]); got["status"] != status || spans[i].Parent.SpanID() != spans[3].SpanContext.SpanID() {
			t.Errorf("answer %d: %v", i, got)
		}
	}
}
