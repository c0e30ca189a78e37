package chaos

import (
	"bufio"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// echo is a server that says what it is told.
func echo(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				_, _ = io.Copy(conn, conn)
			}()
		}
	}()
	return listener.Addr().String()
}

func dial(t *testing.T, p *proxy) (say func(string) error) {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(p.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	lines := bufio.NewReader(conn)
	return func(text string) error {
		if _, err := io.WriteString(conn, text+"\n"); err != nil {
			return err
		}
		got, err := lines.ReadString('\n')
		if err == nil && got != text+"\n" {
			t.Errorf("got %q, want %q", got, text)
		}
		return err
	}
}

// The network forwards, waits and breaks as it is told to.
func TestProxy(t *testing.T) {
	p, err := newProxy(echo(t))
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	if p.cutOne(7) || p.stall(7, time.Hour) {
		t.Error("cut or stalled a link, and there is none")
	}
	a, b := dial(t, p), dial(t, p)
	for _, say := range []func(string) error{a, b, a} {
		if err := say("hello"); err != nil {
			t.Fatal(err)
		}
	}
	if !p.stall(0, time.Millisecond) {
		t.Error("the first link was not stalled")
	}
	if err := a("late"); err != nil {
		t.Errorf("after a stall: %v", err)
	}
	if n := p.cutAll(); n != 2 {
		t.Errorf("cut %d links, want 2", n)
	}
	if a("lost") == nil || b("lost") == nil {
		t.Error("a link that was cut answers")
	}
	if err := dial(t, p)("hello again"); err != nil {
		t.Error(err)
	}
}
