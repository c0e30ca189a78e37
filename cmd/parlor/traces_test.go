package main

import (
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// TestTraces follows a turn with a call of a tool from the message to the provider, and on to a
// collector that speaks OTLP over HTTP.
func TestTraces(t *testing.T) {
	s := startTraced(t, "--traces")
	said := s.ask(t)
	turn := s.line(t, "turn", "message", said["message_id"])
	if turn["end"] != "completed" {
		t.Fatalf("the turn has ended as %v", turn)
	}
	root := s.span(t, "invoke_agent traced")
	if attributes := told(root); attributes["parlor.turn.id"] != turn["turn"] || attributes["parlor.message.id"] != said["message_id"] ||
		attributes["gen_ai.conversation.id"] != turn["chat"] || attributes["user.id"] != "alice" {
		t.Errorf("the turn %v is traced as %v", turn, attributes)
	}
	trace, parents := hex.EncodeToString(root.TraceId), make(map[string]string)
	asked, called := []string{}, []string{}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, span := range s.spans {
		parents[fmt.Sprintf("00-%s-%x-01", trace, span.SpanId)] = span.Name
		if span.Name != root.Name && hex.EncodeToString(span.ParentSpanId) != hex.EncodeToString(root.SpanId) {
			t.Errorf("%s is no child of the turn", span.Name)
		}
	}
	for _, header := range s.asked {
		asked = append(asked, parents[header])
	}
	for _, header := range s.called {
		called = append(called, parents[header])
	}
	if fmt.Sprint(asked, called) != "[chat upstream chat upstream] [execute_tool look]" || len(s.spans) != 4 {
		t.Errorf("%d spans; the provider was asked in %q, and the tool in %q", len(s.spans), asked, called)
	}
	if strings.Contains(s.bodies, "geheim") || s.key != "a key" {
		t.Errorf("the collector was told what somebody said, or not who sends it: %q", s.key)
	}
}

// Without the setting nobody is told anything.
func TestNoTraces(t *testing.T) {
	if testing.Short() {
		t.Skip("it starts another server")
	}
	s := startTraced(t)
	said := s.ask(t)
	s.line(t, "turn", "message", said["message_id"])
	s.mu.Lock()
	defer s.mu.Unlock()
	if fmt.Sprintf("%q %q", s.asked, s.called) != `["" ""] [""]` || s.spans != nil {
		t.Errorf("the provider was told %q, the tool %q, a collector %v", s.asked, s.called, s.spans)
	}
}

// traced is a server with a model that calls a tool, and a collector.
type traced struct {
	complaining

	mu     sync.Mutex
	spans  []*tracepb.Span
	bodies string
	key    string   // that the collector was sent
	asked  []string // the headers traceparent that the provider got
	called []string // and those of the tool
}

func startTraced(t *testing.T, args ...string) *traced {
	t.Helper()
	s := &traced{complaining: complaining{dir: t.TempDir()}}
	others := http.NewServeMux()
	others.HandleFunc("POST /v1/traces", s.collect)
	others.HandleFunc("POST /chat/completions", s.complete)
	others.HandleFunc("POST /look", func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.called = append(s.called, r.Header.Get("Traceparent"))
		_, _ = io.WriteString(w, "geheim")
	})
	server := httptest.NewServer(others)
	t.Cleanup(server.Close)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.URL)
	t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-key=a%20key")
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "20") // ms
	log, err := os.Create(filepath.Join(s.dir, "parlor.log"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { log.Close() })
	s.url = startLogging(t, log, append(args, "--request-log", "--log-format=json", "--titles=off", `--providers={"mine":{"base_url":"`+server.URL+`"}}`,
		`--models=[{"model_id":"traced","provider":"mine","upstream_model":"upstream","tools":["look"]}]`,
		`--tools={"look":{"url":"`+server.URL+`/look","description":"Look.","approval":"never"}}`)...)
	return s
}

// ask asks the model.
func (s *traced) ask(t *testing.T) (said map[string]any) {
	t.Helper()
	chat := s.post(t, "/api/v1/chat", "", `{"model_id":"traced"}`)["chat_id"].(string)
	return s.post(t, "/api/v1/chat/"+chat+"/messages", "", `{"content":"geheim"}`)
}

// collect is the collector.
func (s *traced) collect(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var data tracepb.TracesData
	if err == nil {
		err = proto.Unmarshal(body, &data)
	}
	if err != nil || r.Header.Get("Content-Type") != "application/x-protobuf" {
		http.Error(w, "not OTLP", http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bodies, s.key = s.bodies+string(body), r.Header.Get("X-Key")
	for _, resource := range data.ResourceSpans {
		for _, scope := range resource.ScopeSpans {
			s.spans = append(s.spans, scope.Spans...)
		}
	}
}

// complete is the provider: it has a tool called, and then answers.
func (s *traced) complete(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, r.Header.Get("Traceparent"))
	w.Header().Set("Content-Type", "text/event-stream")
	delta := `{"content":"geheim"},"finish_reason":"stop"`
	if len(s.asked) == 1 {
		delta = `{"tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"look","arguments":"{}"}}]},"finish_reason":"tool_calls"`
	}
	fmt.Fprintf(w, "data: {\"id\":\"1\",\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":%s}]}\n\ndata: [DONE]\n\n", delta)
}

// span waits for a span.
func (s *traced) span(t *testing.T, name string) *tracepb.Span {
	t.Helper()
	for range 3000 {
		s.mu.Lock()
		for _, span := range s.spans {
			if span.Name == name {
				s.mu.Unlock()
				return span
			}
		}
		s.mu.Unlock()
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("there is no span %q among %v:\n%s", name, s.spans, s.log(t))
	return nil
}

// told are the texts of a span.
func told(s *tracepb.Span) map[string]any {
	all := make(map[string]any)
	for _, a := range s.Attributes {
		all[a.Key] = a.Value.GetStringValue()
	}
	return all
}
