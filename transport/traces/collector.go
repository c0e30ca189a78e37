package traces

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// Defaults of OTLP over HTTP.
const (
	defaultEndpoint = "http://localhost:4318"
	tracesPath      = "v1/traces"
	defaultTimeout  = 10 * time.Second
)

// firstPause is the pause before a batch is sent again. Each is twice the one before.
const firstPause = 500 * time.Millisecond

// failureSpan is the time in which failures are logged once.
const failureSpan = time.Minute

// A collector is where spans are sent. It is the client of OpenTelemetry's exporter, in place
// of the one that comes with it: that one links gRPC into the program, of which it needs
// nothing.
type collector struct {
	endpoint *url.URL
	header   http.Header
	timeout  time.Duration // of a batch, with all tries
	gzip     bool
	http     *http.Client
	log      *slog.Logger

	life  context.Context // what is being sent ends with it
	close context.CancelFunc

	mu     sync.Mutex
	logged time.Time // the last failure
	lost   int       // spans since then
}

// variable returns a variable of OpenTelemetry, with its name: the one for traces alone, or
// the one for all signals.
func variable(name string) (value, from string) {
	for _, from := range []string{"OTEL_EXPORTER_OTLP_TRACES_" + name, "OTEL_EXPORTER_OTLP_" + name} {
		if value := os.Getenv(from); value != "" {
			return value, from
		}
	}
	return "", ""
}

// newCollector reads the environment.
func newCollector(log *slog.Logger) (*collector, error) {
	c := &collector{timeout: defaultTimeout, log: log}
	c.life, c.close = context.WithCancel(context.Background())
	for _, read := range []func() error{c.readProtocol, c.readEndpoint, c.readHeaders, c.readTimeout, c.readCompression, c.readTLS} {
		if err := read(); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func (c *collector) readProtocol() error {
	if value, from := variable("PROTOCOL"); value != "" && value != "http/protobuf" {
		return fmt.Errorf("%s: must be http/protobuf, which is all that this server speaks, not %q", from, value)
	}
	return nil
}

// readEndpoint reads the URL. The one for all signals is that below which those of signals are.
func (c *collector) readEndpoint() error {
	value, from := variable("ENDPOINT")
	u, err := url.Parse(cmp.Or(value, defaultEndpoint))
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return fmt.Errorf("%s: must be an http or https URL", from)
	}
	if from != "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT" {
		u = u.JoinPath(tracesPath)
	}
	c.endpoint = u
	return nil
}

func (c *collector) readHeaders() error {
	value, from := variable("HEADERS")
	c.header = http.Header{"Content-Type": {"application/x-protobuf"}, "User-Agent": {"parlor"}}
	for pair := range strings.SplitSeq(value, ",") {
		if strings.TrimSpace(pair) == "" {
			continue
		}
		name, text, found := strings.Cut(pair, "=")
		text, err := url.PathUnescape(strings.TrimSpace(text))
		if name = strings.TrimSpace(name); !found || name == "" || err != nil {
			return fmt.Errorf("%s: must be NAME=VALUE, with commas between them", from) // the values may be keys
		}
		c.header.Set(name, text)
	}
	return nil
}

func (c *collector) readTimeout() error {
	value, from := variable("TIMEOUT")
	if value == "" {
		return nil
	}
	ms, err := strconv.Atoi(value)
	if err != nil || ms <= 0 {
		return fmt.Errorf("%s: must be a number of milliseconds, not %q", from, value)
	}
	c.timeout = time.Duration(ms) * time.Millisecond
	return nil
}

func (c *collector) readCompression() error {
	value, from := variable("COMPRESSION")
	if value != "" && value != "gzip" && value != "none" {
		return fmt.Errorf("%s: must be gzip or none, not %q", from, value)
	}
	c.gzip = value == "gzip"
	if c.gzip {
		c.header.Set("Content-Encoding", "gzip")
	}
	return nil
}

func (c *collector) readTLS() error {
	config := new(tls.Config)
	if file, from := variable("CERTIFICATE"); file != "" {
		text, err := os.ReadFile(file)
		config.RootCAs = x509.NewCertPool()
		if err != nil || !config.RootCAs.AppendCertsFromPEM(text) {
			return fmt.Errorf("%s: no certificates can be read: %w", from, cmp.Or(err, errors.New("not PEM")))
		}
	}
	if file, from := variable("CLIENT_CERTIFICATE"); file != "" {
		key, _ := variable("CLIENT_KEY")
		own, err := tls.LoadX509KeyPair(file, key)
		if err != nil {
			return fmt.Errorf("%s: %w", from, err)
		}
		config.Certificates = []tls.Certificate{own}
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = config
	c.http = &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return nil
}

// Start implements [otlptrace.Client].
func (c *collector) Start(context.Context) error { return nil }

// Stop implements [otlptrace.Client].
func (c *collector) Stop(context.Context) error {
	c.http.CloseIdleConnections()
	return nil
}

// UploadTraces implements [otlptrace.Client]. Failures are logged here: the SDK would log each.
func (c *collector) UploadTraces(ctx context.Context, spans []*tracepb.ResourceSpans) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	defer context.AfterFunc(c.life, cancel)()
	body, err := c.encode(spans)
	if err == nil {
		err = c.sendUntil(ctx, body)
	}
	if err != nil {
		c.failed(count(spans), err)
	}
	return nil
}

// encode makes the body. An ExportTraceServiceRequest has the one field that TracesData has.
func (c *collector) encode(spans []*tracepb.ResourceSpans) ([]byte, error) {
	body, err := proto.Marshal(&tracepb.TracesData{ResourceSpans: spans})
	if err != nil || !c.gzip {
		return body, err
	}
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err = w.Write(body)
	err = cmp.Or(err, w.Close()) // after which all bytes are there
	return b.Bytes(), err
}

// sendUntil sends a body, again and again while the collector cannot take it.
func (c *collector) sendUntil(ctx context.Context, body []byte) error {
	for pause := firstPause; ; pause *= 2 {
		again, err := c.send(ctx, body)
		if !again {
			return err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return err
		}
	}
}

// send sends a body once. It reports whether that may succeed later.
func (c *collector) send(ctx context.Context, body []byte) (again bool, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.endpoint.String(), bytes.NewReader(body))
	if err != nil {
		return false, err
	}
	r.Header = c.header.Clone()
	resp, err := c.http.Do(r)
	if err != nil {
		return ctx.Err() == nil, err
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)) // so that the connection can be used again
	switch resp.StatusCode {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		again = true
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return again, fmt.Errorf("the collector answered %s", resp.Status)
	}
	return false, nil
}

// failed logs that spans were lost, once in a while.
func (c *collector) failed(spans int, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lost += spans
	if now := time.Now(); c.logged.IsZero() || now.Sub(c.logged) >= failureSpan {
		c.log.Warn("traces cannot be sent", "spans", c.lost, "err", err)
		c.logged, c.lost = now, 0
	}
}

func count(resources []*tracepb.ResourceSpans) (spans int) {
	for _, r := range resources {
		for _, s := range r.ScopeSpans {
			spans += len(s.Spans)
		}
	}
	return spans
}
