package transport

import (
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// BenchmarkFanOut sends each frame to 100 connections; an operation is one
// delivery. The clients share the process and its processors. Burst is how
// many frames are sent before all clients have to have read them.
func BenchmarkFanOut(b *testing.B) {
	for _, burst := range []int{1, 32} {
		b.Run(fmt.Sprintf("burst=%d", burst), func(b *testing.B) { benchmarkFanOut(b, burst) })
	}
}

func benchmarkFanOut(b *testing.B, burst int) {
	const clients = 100
	payload := text(string(make([]byte, 333)))
	onWire := int64(len(payload.Data) + 4) // with the WebSocket's header

	s := listen(b, Options{PingInterval: time.Hour})
	arrived := &counter{reached: make(chan struct{})}
	var conns []*Conn
	for range clients {
		r := s.connectRaw(b, "", "")
		r.upgraded(b)
		conns = append(conns, <-s.opened)
		if _, _, err := readFrame(r); err != nil {
			b.Fatal(err)
		}
		go func() { _, _ = io.Copy(arrived, r.in) }()
	}

	b.ReportAllocs()
	b.ResetTimer()
	for sent := 0; sent < b.N; {
		n := min(clients*burst, b.N-sent)
		arrived.goal.Add(int64(n) * onWire)
		for range n {
			if err := conns[sent%clients].Send(payload); err != nil {
				b.Fatal(err)
			}
			sent++
		}
		<-arrived.reached
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "deliveries/s")
}

// A counter counts bytes, and says when there are as many as its goal.
type counter struct {
	n, goal atomic.Int64
	reached chan struct{}
}

func (c *counter) Write(p []byte) (int, error) {
	if c.n.Add(int64(len(p))) == c.goal.Load() {
		c.reached <- struct{}{}
	}
	return len(p), nil
}

// BenchmarkEcho sends messages back and forth on one connection.
func BenchmarkEcho(b *testing.B) {
	s := listen(b, Options{})
	c := s.connect(b)
	message := "4" + string(make([]byte, 333))
	b.ReportAllocs()
	for b.Loop() {
		c.send(message)
		c.read()
	}
}

// chromeHeaders are what Chrome sends with a WebSocket's handshake besides what
// connectRaw does, and the cookie of someone who is signed in.
var chromeHeaders = "Pragma: no-cache\r\nCache-Control: no-cache\r\n" +
	"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36\r\n" +
	"Origin: http://a\r\nAccept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: en-GB,en-US;q=0.9,en;q=0.8\r\n" +
	"Cookie: access_token=" + strings.Repeat("x", 200) + "\r\n" +
	"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"

// BenchmarkIdleConnection reports what an open connection keeps, the client's
// network connection included.
func BenchmarkIdleConnection(b *testing.B) {
	for _, test := range []struct {
		name, headers string
		keep          []string
	}{
		{"headers=few", "", nil},
		{"headers=Chrome", chromeHeaders, nil},
		{"headers=Chrome,kept=Cookie", chromeHeaders, []string{"Authorization", "Cookie"}},
		{"headers=Chrome,kept=none", chromeHeaders, []string{}},
	} {
		b.Run(test.name, func(b *testing.B) { benchmarkIdle(b, test.headers, test.keep) })
	}
}

func benchmarkIdle(b *testing.B, headers string, keep []string) {
	const connections = 2000
	for b.Loop() {
		b.StopTimer()
		s := listen(b, Options{PingInterval: time.Hour, KeepHeaders: keep, Accept: func(*Conn) Receiver { return discard{} }})
		clients := make([]*raw, connections)
		before := memory()
		b.StartTimer()
		for i := range clients {
			clients[i] = s.connectRaw(b, headers, "")
			clients[i].upgraded(b)
			<-s.opened
			if _, _, err := readFrame(clients[i]); err != nil {
				b.Fatal(err)
			}
			clients[i].in = nil
		}
		b.StopTimer()
		heap, stack := memory().since(before)
		b.ReportMetric(heap/connections, "heap-B/conn")
		b.ReportMetric(stack/connections, "stack-B/conn")
		for _, c := range clients {
			_ = c.Close()
		}
		_ = s.Server.Close()
		b.StartTimer()
	}
}

type used struct{ heap, stack uint64 }

func memory() used {
	time.Sleep(100 * time.Millisecond) // let handlers and writers return
	runtime.GC()
	runtime.GC() // empties the pools, and shrinks stacks
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return used{m.HeapAlloc, m.StackInuse}
}

func (u used) since(before used) (heap, stack float64) {
	return float64(u.heap) - float64(before.heap), float64(u.stack) - float64(before.stack)
}

// BenchmarkIdlePoller reports what a connection keeps between two polls.
func BenchmarkIdlePoller(b *testing.B) {
	const connections = 2000
	for b.Loop() {
		b.StopTimer()
		s := listen(b, Options{PingInterval: time.Hour, Accept: func(*Conn) Receiver { return discard{} }})
		p := s.newPoller(b)
		p.do("GET", "?EIO=4&transport=polling", nil)
		before := memory()
		b.StartTimer()
		for range connections {
			p.do("GET", "?EIO=4&transport=polling", nil)
		}
		b.StopTimer()
		heap, stack := memory().since(before)
		b.ReportMetric(heap/connections, "heap-B/conn")
		b.ReportMetric(stack/connections, "stack-B/conn")
		_ = s.Server.Close()
		b.StartTimer()
	}
}

// BenchmarkPollEcho sends messages back and forth by polling.
func BenchmarkPollEcho(b *testing.B) {
	p := listen(b, Options{}).poll(b)
	message := "4" + strings.Repeat("x", 333)
	b.ReportAllocs()
	for b.Loop() {
		p.send(message)
		p.wants(p.get(), message)
	}
}
