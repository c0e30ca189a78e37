package provider

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"parlor/protocol/chat"
	"parlor/transport/provider/upstream"
)

// A network is all that a bubble can reach: HTTP handlers, by address.
type network struct {
	mu    sync.Mutex
	hosts map[string]http.HandlerFunc
	asked map[string]int
}

func newNetwork() *network {
	return &network{hosts: make(map[string]http.HandlerFunc), asked: make(map[string]int)}
}

func (n *network) serve(address string, h http.HandlerFunc) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.hosts[address] = h
}

func (n *network) times(address string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.asked[address]
}

// oneConn is a listener of one connection.
type oneConn chan net.Conn

func (l oneConn) Accept() (net.Conn, error) {
	if c, ok := <-l; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}
func (l oneConn) Close() error   { return nil }
func (l oneConn) Addr() net.Addr { return &net.TCPAddr{} }

// dial connects to a handler.
func (n *network) dial(_ context.Context, _, address string) (net.Conn, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.asked[address]++
	h := n.hosts[address]
	if h == nil {
		return nil, errors.New("connection refused")
	}
	client, server := net.Pipe()
	l := make(oneConn, 1)
	l <- server
	close(l)
	s := &http.Server{Handler: h}
	s.SetKeepAlivesEnabled(false)
	go s.Serve(l)
	return client, nil
}

func (n *network) options(o Options) Options {
	o.Upstream = upstream.Options{DialContext: n.dial}
	return o
}

func models(names ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method != "GET" || r.URL.Path != "/v1/models" {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{"object":"list","data":[`)
		for i, name := range names {
			if i > 0 {
				io.WriteString(w, ",")
			}
			io.WriteString(w, `{"id":"`+name+`","object":"model","max_model_len":4096}`)
		}
		io.WriteString(w, `]}`)
	}
}

// within runs a test in a bubble with models of its own.
func within(t *testing.T, o Options, test func(t *testing.T, n *network, m *Models)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		n.serve("127.0.0.1:11434", models("llama3.2:3b", "qwen3"))
		n.serve("127.0.0.1:8080", models("mine"))
		n.serve("10.0.0.5:80", models("far"))
		m := newModels(t, n.options(o))
		defer m.Close()
		synctest.Wait()
		test(t, n, m)
	})
}

// A list is not believed everything.
func TestOddLists(t *testing.T) {
	h := host{name: "p", filter: Filter{}.compile(10)}
	got, err := h.decodeModels(strings.NewReader(`{"object":"list","data":[{"id":"a","max_model_len":9000000000000000000},
		{"id":"b","max_model_len":-1},{"id":"a"},{"id":""},{"id":"c d"},7,{"id":{}},{"id":"d","context_window":"large"}]}`))
	if diff := cmp.Diff([]chat.ModelID{"p:a", "p:b", "p:d"}, ids(got)); diff != "" || err != nil || got[0].ContextWindow != maxWindow || got[1].ContextWindow != 0 {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

func TestDiscovery(t *testing.T) {
	yes, no := true, false
	for _, test := range []struct {
		name string
		opts Options
		want []chat.ModelID
	}{
		{"on", Options{Discover: true}, []chat.ModelID{"llamacpp:mine", "ollama:llama3.2:3b", "ollama:qwen3", "eliza"}},
		{"off", Options{}, []chat.ModelID{"eliza"}},
		{"never itself", Options{Discover: true, Listen: "127.0.0.1:8080"}, []chat.ModelID{"ollama:llama3.2:3b", "ollama:qwen3", "eliza"}},
		{"never itself on all addresses", Options{Discover: true, Listen: ":8080"}, []chat.ModelID{"ollama:llama3.2:3b", "ollama:qwen3", "eliza"}},
		{"one is not asked", Options{Discover: true, Providers: map[string]ProviderConfig{"ollama": {Discover: &no}}}, []chat.ModelID{"llamacpp:mine", "eliza"}},
		{"only one is asked", Options{Providers: map[string]ProviderConfig{"ollama": {Discover: &yes}}}, []chat.ModelID{"ollama:llama3.2:3b", "ollama:qwen3", "eliza"}},
		{"those that are named come first", Options{Discover: true, Providers: map[string]ProviderConfig{"ollama": {BaseURL: "http://10.0.0.5/v1"}}},
			[]chat.ModelID{"ollama:far", "llamacpp:mine", "eliza"}},
		{"not on other computers", Options{Providers: map[string]ProviderConfig{"ollama": {BaseURL: "http://10.0.0.5/v1"}}}, []chat.ModelID{"eliza"}},
		{"but where it is wanted", Options{Providers: map[string]ProviderConfig{"mine": {BaseURL: "http://10.0.0.5/v1", Discover: &yes}}},
			[]chat.ModelID{"mine:far", "eliza"}},
		{"behind what is configured", Options{Discover: true, Models: []Config{
			{ModelID: "first", Provider: "eliza"},
			{ModelID: "ollama:qwen3", Provider: "ollama", DisplayName: "Q"},
		}}, []chat.ModelID{"first", "ollama:qwen3", "llamacpp:mine", "ollama:llama3.2:3b", "eliza"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			within(t, test.opts, func(t *testing.T, n *network, m *Models) {
				if diff := cmp.Diff(test.want, ids(m.List())); diff != "" {
					t.Errorf("list (-want +got):\n%s", diff)
				}
				if got := n.times("10.0.0.5:80"); got > 0 && test.want[0] != "mine:far" && test.want[0] != "ollama:far" {
					t.Errorf("another computer was asked %d times", got)
				}
			})
		})
	}
}

func TestDiscoveredModel(t *testing.T) {
	within(t, Options{Discover: true}, func(t *testing.T, n *network, m *Models) {
		want := chat.Model{
			ID: "ollama:llama3.2:3b", APISource: "aisuite", Provider: "ollama", DisplayName: "llama3.2:3b",
			FullName: "ollama:llama3.2:3b", ContextWindow: 4096, State: chat.ProviderClosed,
		}
		got, ok := m.Model("ollama:llama3.2:3b")
		if diff := cmp.Diff(want, got); !ok || diff != "" {
			t.Errorf("model (-want +got):\n%s", diff)
		}
		if refusal := m.Refusal("vllm:x"); refusal == nil || !strings.Contains(refusal.Message, "was not found") {
			t.Errorf("a server that is not there: %v", refusal)
		}
		if refusal := m.Refusal("ollama:pulled-since"); refusal != nil {
			t.Errorf("a server that is there: %v", refusal)
		}
	})
}

// A model that was found has its context window by whatever name it is asked, and
// finding it costs the same among many.
func TestDiscoveredWindows(t *testing.T) {
	var names []string
	for i := range DefaultDiscoverLimit + 1 {
		names = append(names, fmt.Sprint("m", i))
	}
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		n.serve("127.0.0.1:8080", models(names...))
		n.serve("127.0.0.1:11434", models("only"))
		m := newModels(t, n.options(Options{Discover: true}))
		defer m.Close()
		synctest.Wait()
		for _, id := range []chat.ModelID{"llamacpp:m0", "llama.cpp:m0", "aisuite.llamacpp:m199", "ollama:only"} {
			if got, ok := m.Model(id); !ok || got.ContextWindow != 4096 {
				t.Errorf("%s: %+v, %v", id, got, ok)
			}
		}
		if got, _ := m.Model("llamacpp:m200"); got.ContextWindow != 0 {
			t.Errorf("one too many is listed: %+v", got)
		}
		if got := len(m.List()); got != DefaultDiscoverLimit+2 {
			t.Errorf("%d models are listed", got)
		}
		many, one := testing.AllocsPerRun(10, func() { m.Model("llamacpp:m1") }), testing.AllocsPerRun(10, func() { m.Model("ollama:only") })
		if many > one {
			t.Errorf("%v allocations among many, %v alone", many, one)
		}
	})
}

func TestDiscoveryGoesOn(t *testing.T) {
	within(t, Options{Discover: true}, func(t *testing.T, n *network, m *Models) {
		n.serve("127.0.0.1:11434", nil)
		n.serve("127.0.0.1:8000", models("new"))
		time.Sleep(discoverEvery)
		synctest.Wait()
		if diff := cmp.Diff([]chat.ModelID{"llamacpp:mine", "vllm:new", "eliza"}, ids(m.List())); diff != "" {
			t.Errorf("a minute later (-want +got):\n%s", diff)
		}
		if refusal := m.Refusal("ollama:llama3.2:3b"); refusal != nil {
			t.Errorf("a server that was there: %v", refusal)
		}
	})
}

// Listing the models has them looked for again, soon but not all the time.
func TestListingDiscovers(t *testing.T) {
	within(t, Options{Discover: true}, func(t *testing.T, n *network, m *Models) {
		time.Sleep(2 * discoverPause)
		n.serve("127.0.0.1:8000", models("new"))
		before := n.times("127.0.0.1:8000")
		for range 100 {
			m.List()
			time.Sleep(discoverPause / 100)
		}
		synctest.Wait()
		if got := n.times("127.0.0.1:8000") - before; got < 1 || got > 2 {
			t.Errorf("asked %d times in %v", got, discoverPause)
		}
		if refusal := m.Refusal("vllm:new"); refusal != nil {
			t.Error(refusal)
		}
	})
}

// A server that hangs, floods or says something else is not there, and holds
// up neither the list nor the others.
func TestDiscoveryOfStrangers(t *testing.T) {
	var hung atomic.Bool
	for name, h := range map[string]http.HandlerFunc{
		"hangs":    func(_ http.ResponseWriter, r *http.Request) { hung.Store(true); <-r.Context().Done() },
		"floods":   func(w http.ResponseWriter, _ *http.Request) { flood(w) },
		"a page":   func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<html>") },
		"JSON":     func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{"data":[{"id":"x"}]}`) },
		"an error": func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusForbidden) },
		"redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://10.0.0.5/v1/models", http.StatusFound)
		},
		"bad names": models(" ", "two words", strings.Repeat("x", maxModelIDLen), ""),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork()
				n.serve("127.0.0.1:11434", models("well"))
				n.serve("127.0.0.1:8000", h)
				m := newModels(t, n.options(Options{Discover: true}))
				defer m.Close()
				start := time.Now()
				m.List()
				if time.Since(start) != 0 {
					t.Error("the list was waited for")
				}
				synctest.Wait()
				for range 2 {
					if diff := cmp.Diff([]chat.ModelID{"ollama:well", "eliza"}, ids(m.List())); diff != "" {
						t.Errorf("list (-want +got):\n%s", diff)
					}
					time.Sleep(discoverTimeout)
					synctest.Wait()
				}
				if n.times("10.0.0.5:80") > 0 {
					t.Error("a redirect was followed")
				}
			})
		})
	}
	if !hung.Load() {
		t.Error("the server that hangs was not asked")
	}
}

// A provider that the operator wants to be asked may leave out what it is, and
// the log says why it has no models.
func TestDiscoveryThatIsWanted(t *testing.T) {
	yes := true
	for answer, want := range map[string]string{
		`{"data":[{"id":"a/x"}]}`: "",
		`{"models":[]}`:           "no list",
		"":                        "status 403",
	} {
		synctest.Test(t, func(t *testing.T) {
			n := newNetwork()
			n.serve("10.0.0.6:80", func(w http.ResponseWriter, _ *http.Request) {
				if answer == "" {
					w.WriteHeader(http.StatusForbidden)
				}
				io.WriteString(w, answer)
			})
			var log strings.Builder
			m := newModels(t, n.options(Options{
				Providers: map[string]ProviderConfig{"mine": {BaseURL: "http://10.0.0.6/v1?key=secret", Discover: &yes}},
				Logger:    slog.New(slog.NewTextHandler(&log, nil)),
			}))
			time.Sleep(3 * discoverEvery)
			m.Close()
			if got := slices.Contains(ids(m.List()), "mine:a/x"); got != (want == "") {
				t.Errorf("%s: listed: %v", answer, got)
			}
			if said := log.String(); strings.Count(said, "provider=mine") != 1 || !strings.Contains(said, want) || strings.Contains(said, "secret") {
				t.Errorf("%s: the log says %s", answer, said)
			}
		})
	}
}

func flood(w io.Writer) {
	io.WriteString(w, `{"object":"list","data":[`)
	for {
		if _, err := io.WriteString(w, strings.Repeat(`{"id":"x"},`, 1000)); err != nil {
			return
		}
	}
}
