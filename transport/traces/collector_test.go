package traces

import (
	"bytes"
	"compress/gzip"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"parlor/protocol/chat"
)

// doer answers requests of a client.
type doer func(*http.Request) (*http.Response, error)

// RoundTrip implements [http.RoundTripper].
func (d doer) RoundTrip(r *http.Request) (*http.Response, error) { return d(r) }

func answered(status int) (*http.Response, error) {
	return &http.Response{StatusCode: status, Status: http.StatusText(status), Body: io.NopCloser(strings.NewReader(""))}, nil
}

// collecting returns traces whose collector answers so, and the log.
func collecting(t *testing.T, d doer) (*Traces, *collector, *bytes.Buffer) {
	t.Helper()
	log := new(bytes.Buffer)
	c, err := newCollector(slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	c.http = &http.Client{Transport: d}
	tr, err := send(Options{Logger: c.log, Upstream: func(m chat.ModelID) (string, chat.ModelID) { return "openai", m }}, c)
	if err != nil {
		t.Fatal(err)
	}
	return tr, c, log
}

func (t *Traces) turn() {
	_, end := t.Begin(chat.Info{ID: "c"}, chat.Turn{ModelID: "m", MessageID: "a"})
	end(chat.TurnEnded{State: chat.StateCompleted})
}

// A collector that hangs holds nobody up, whatever comes, and the end of the server neither.
func TestHungCollectorHoldsNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr, _, _ := collecting(t, func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		})
		began := time.Now()
		for range 5_000 {
			tr.turn()
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("5,000 turns were held up for %s", took)
		}
		if err := tr.Close(t.Context()); err != nil || time.Since(began) > closeTimeout {
			t.Errorf("closing took %s: %v", time.Since(began), err)
		}
		synctest.Wait()
	})
}

// A collector that is not there is one line of the log in a minute.
func TestDeadCollectorIsLoggedOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr, _, log := collecting(t, func(*http.Request) (*http.Response, error) { return nil, io.ErrUnexpectedEOF })
		for range 10 * 60 {
			tr.turn()
			time.Sleep(time.Second)
		}
		_ = tr.Close(t.Context())
		synctest.Wait()
		if n := strings.Count(log.String(), "\n"); n < 8 || n > 11 {
			t.Errorf("%d lines in ten minutes:\n%s", n, log)
		}
	})
}

// A batch that a busy collector does not take is sent again, and all of it comes.
func TestBatchesAreSentAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries, spans := 0, 0
		tr, c, log := collecting(t, nil)
		c.gzip = true
		c.http.Transport = doer(func(r *http.Request) (*http.Response, error) {
			if tries++; tries < 3 {
				return answered(http.StatusServiceUnavailable)
			}
			z, err := gzip.NewReader(r.Body)
			if err != nil {
				t.Error(err)
				return answered(http.StatusBadRequest)
			}
			body, _ := io.ReadAll(z)
			var data tracepb.TracesData
			if err := proto.Unmarshal(body, &data); err != nil {
				t.Error(err)
			}
			spans += count(data.ResourceSpans)
			return answered(http.StatusOK)
		})
		tr.turn()
		tr.turn()
		time.Sleep(20 * time.Second)
		_ = tr.Close(t.Context())
		synctest.Wait()
		if tries != 3 || spans != 2 || log.Len() > 0 {
			t.Errorf("%d spans came in %d tries: %s", spans, tries, log)
		}
	})
}

// The variables are those of OpenTelemetry.
func TestVariables(t *testing.T) {
	for name, test := range map[string]struct {
		env                     map[string]string
		endpoint, header, value string
		err                     string
	}{
		"none":           {nil, "http://localhost:4318/v1/traces", "Content-Type", "application/x-protobuf", ""},
		"for all":        {map[string]string{"ENDPOINT": "https://c.example.com/otlp/"}, "https://c.example.com/otlp/v1/traces", "", "", ""},
		"for traces":     {map[string]string{"ENDPOINT": "https://a", "TRACES_ENDPOINT": "http://b/x"}, "http://b/x", "", "", ""},
		"headers":        {map[string]string{"HEADERS": "api-key=a%20b, other=c"}, "http://localhost:4318/v1/traces", "Api-Key", "a b", ""},
		"bad endpoint":   {map[string]string{"ENDPOINT": "localhost:4318"}, "", "", "", "OTEL_EXPORTER_OTLP_ENDPOINT"},
		"bad headers":    {map[string]string{"TRACES_HEADERS": "secret"}, "", "", "", "OTEL_EXPORTER_OTLP_TRACES_HEADERS"},
		"grpc":           {map[string]string{"PROTOCOL": "grpc"}, "", "", "", "OTEL_EXPORTER_OTLP_PROTOCOL"},
		"bad timeout":    {map[string]string{"TIMEOUT": "10s"}, "", "", "", "OTEL_EXPORTER_OTLP_TIMEOUT"},
		"no certificate": {map[string]string{"CERTIFICATE": "/nowhere"}, "", "", "", "OTEL_EXPORTER_OTLP_CERTIFICATE"},
		"compression":    {map[string]string{"COMPRESSION": "gzip"}, "http://localhost:4318/v1/traces", "Content-Encoding", "gzip", ""},
	} {
		t.Run(name, func(t *testing.T) {
			for key, value := range test.env {
				t.Setenv("OTEL_EXPORTER_OTLP_"+key, value)
			}
			c, err := newCollector(slog.New(slog.DiscardHandler))
			switch {
			case test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err) || strings.Contains(err.Error(), "secret")):
				t.Errorf("error %v, want one of %s", err, test.err)
			case test.err != "":
			case err != nil:
				t.Error(err)
			case c.endpoint.String() != test.endpoint || c.header.Get(test.header) != test.value:
				t.Errorf("to %s with %v", c.endpoint, c.header)
			}
		})
	}
}
