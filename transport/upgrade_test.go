package transport

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"parlor/protocol/engineio"
)

// stillPolls checks that the connection works by polling.
func (p *poller) stillPolls() {
	p.t.Helper()
	p.send("4still here")
	p.wants(p.get(), "4still here")
}

// TestUpgradeKeepsTheConnection checks that the Conn is the same before and
// after, and that what waits goes over the WebSocket.
func TestUpgradeKeepsTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := listenPipe(t, Options{})
		p := s.poll(t)
		conn := <-s.opened
		_ = conn.Send(text("by poll"))
		ws := p.probe()
		p.wants(p.get(), "4by poll") // rather than a noop
		_ = conn.Send(text("by websocket"))
		ws.send("5")
		if got := ws.read(); got != "4by websocket" {
			t.Errorf("got %q, want what was queued", got)
		}
		if len(s.opened) != 0 || conn.ID() != p.sid {
			t.Error("the upgrade opened another connection")
		}
		ws.send("1")
		go ws.end()
		if got := <-s.closed; got != ReasonTransportClose {
			t.Errorf("got reason %q, want %q", got, ReasonTransportClose)
		}
	})
}

// TestProbeEndsThePoll checks that a poll that waits is answered at once, and that each
// one which comes before the client has moved is answered soon.
func TestProbeEndsThePoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := listenPipe(t, Options{})
		p := s.poll(t)
		poll := p.getLater()
		synctest.Wait()
		start := time.Now()
		ws := p.probe()
		p.wants(<-poll, "6")
		if got := time.Since(start); got != 0 {
			t.Errorf("answered after %v", got)
		}
		p.wants(p.get(), "6")
		p.wants(p.get(), "6")
		if got := time.Since(start); got != 2*overtaking {
			t.Errorf("answered two more after %v, want %v", got, 2*overtaking)
		}
		ws.Close()
	})
}

// TestHeartbeatGoesOnAfterUpgrade checks that neither the ping that waits nor
// the one that is due is lost.
func TestHeartbeatGoesOnAfterUpgrade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := listenPipe(t, Options{})
		start := time.Now()
		p := s.poll(t)
		ws := p.probe()
		time.Sleep(interval / 3)
		ws.Close()
		time.Sleep(interval) // a ping waits
		ws = p.probe()
		ws.send("5")
		if got := ws.read(); got != "2" {
			t.Errorf("got %q, want a ping", got)
		}
		ws.send("3")
		ws.pingAt(start, interval/3+2*interval)
		go ws.end()
		s.endsAt(t, start, ReasonPingTimeout, interval/3+2*interval+timeout)
	})
}

// TestUpgradeTimeout has clients that stop in the middle of an upgrade.
func TestUpgradeTimeout(t *testing.T) {
	for _, probed := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s := listenPipe(t, Options{})
			p := s.poll(t)
			ws, err := p.websocket()
			if err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			if probed {
				ws.send("2probe")
				ws.read()
			}
			ws.end()
			if got := time.Since(start); got != DefaultUpgradeTimeout {
				t.Errorf("closed after %v, want %v", got, DefaultUpgradeTimeout)
			}
			p.stillPolls()
			poll := p.getLater()
			synctest.Wait()
			if len(poll) != 0 {
				t.Error("polls are still answered at once")
			}
			ws = p.probe() // another one is welcome
			p.wants(<-poll, "6")
			ws.Close()
		})
	}
}

// TestBadProbes sends what no upgrade begins or goes on with: the WebSocket is
// closed, and the connection stays.
func TestBadProbes(t *testing.T) {
	s := listen(t, Options{MaxPayload: 1000})
	p := s.poll(t)
	for name, bytes := range map[string]string{
		"message":           frame(0x81, "4hello"),
		"binary":            frame(0x82, "2probe"),
		"other ping":        frame(0x81, "2abc"),
		"upgrade first":     frame(0x81, "5"),
		"garbage packet":    frame(0x81, "abc"),
		"garbage bytes":     "test",
		"unmasked":          "\x81\x062probe",
		"too long":          announced(1 << 62),
		"close":             frame(0x88, "\x03\xe8"),
		"two probes":        frame(0x81, "2probe") + frame(0x81, "2probe"),
		"message for 5":     frame(0x81, "2probe") + frame(0x81, "4hello"),
		"garbage for 5":     frame(0x81, "2probe") + "test",
		"upgrade with data": frame(0x81, "2probe") + frame(0x81, "5x"),
	} {
		t.Run(name, func(t *testing.T) {
			r := s.upgradeRaw(t, p.sid, "")
			r.upgraded(t)
			if _, err := io.WriteString(r, bytes); err != nil {
				t.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, r.in) // ends
			_ = r.Close()
			p.stillPolls()
		})
	}
	t.Run("bytes before the answer", func(t *testing.T) { // CVE-2022-21676
		_, _ = io.Copy(io.Discard, s.upgradeRaw(t, p.sid, "test").in)
		s.settle(p.sid)
		p.stillPolls()
	})
	t.Run("reset", func(t *testing.T) {
		for _, bytes := range []string{"", frame(0x81, "2probe"), "test"} { // before the answer
			r := s.upgradeRaw(t, p.sid, bytes)
			_ = r.Conn.(*net.TCPConn).SetLinger(0)
			_ = r.Close()
			s.settle(p.sid)
		}
		p.stillPolls()
	})
	if len(s.closed) != 0 {
		t.Errorf("the connection was closed: %s", <-s.closed)
	}
}

// settle waits until no WebSocket is being upgraded to.
func (s *site) settle(sid string) {
	for claimed := true; claimed; time.Sleep(time.Millisecond) {
		c := s.find(sid)
		c.mu.Lock()
		claimed = c.carrier.(*polling).claimed
		c.mu.Unlock()
	}
}

// upgradeRaw asks for a WebSocket for the sid, and sends after at once.
func (s *site) upgradeRaw(t testing.TB, sid, after string) *raw {
	t.Helper()
	return s.rawRequest(t, "GET "+query+"&sid="+sid+" HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"+after)
}

// TestUpgradesAreAnOption switches them, and each transport, off.
func TestUpgradesAreAnOption(t *testing.T) {
	for name, opts := range map[string]Options{
		"disabled":     {DisableUpgrades: true},
		"polling only": {Transports: []string{TransportPolling, "webtransport"}},
	} {
		t.Run(name, func(t *testing.T) {
			p := listen(t, opts).poll(t)
			if !strings.Contains(p.open, `"upgrades":[]`) {
				t.Errorf("got open packet %s", p.open)
			}
			if _, err := p.websocket(); err == nil {
				t.Error("the upgrade was let in")
			}
			p.refused(p.do("GET", "?EIO=4&transport=webtransport", nil), 0)
			p.stillPolls()
		})
	}
	s := listen(t, Options{Transports: []string{TransportWebSocket}})
	p := s.newPoller(t)
	p.refused(p.do("GET", "?EIO=4&transport=polling", nil), 0)
	c := s.connect(t)
	c.send("4hello")
	if got := c.read(); got != "4hello" {
		t.Errorf("got %q", got)
	}
}

// TestCloseWhileUpgrading closes the probing WebSocket, too.
func TestCloseWhileUpgrading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := listenPipe(t, Options{})
		p := s.poll(t)
		conn := <-s.opened
		ws := p.probe()
		start := time.Now()
		conn.Close("bye")
		ws.end()
		p.wants(p.get(), "6\x1e1")
		if got := time.Since(start); got != 0 {
			t.Errorf("closed after %v", got)
		}
		if got := <-s.closed; got != "bye" {
			t.Errorf("got reason %q", got)
		}
	})
}

// TestServerCloseWhileUpgrading waits for the probing goroutine.
func TestServerCloseWhileUpgrading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := listenPipe(t, Options{})
		ws := s.poll(t).probe()
		go ws.end()
		_ = s.Server.Close()
		if got := s.size(); got != 0 {
			t.Errorf("%d connections are left", got)
		}
	})
}

// TestUpgradeWaitsForThePost has a client that moves while its POST is being
// received: the Receiver must not be called by two.
func TestUpgradeWaitsForThePost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release, received := make(chan struct{}), ""
		s := listenPipe(t, Options{Accept: func(*Conn) Receiver {
			return receive(func(m engineio.Message) {
				<-release
				received += string(m.Data)
			})
		}})
		p := s.poll(t)
		done := make(chan struct{})
		go func() { p.send("4a\x1e4b"); close(done) }()
		synctest.Wait()
		ws := p.probe()
		ws.send("5")
		go ws.send("4c")
		for range 3 {
			synctest.Wait()
			release <- struct{}{}
		}
		<-done
		synctest.Wait()
		if received != "abc" {
			t.Errorf("received %q, want abc", received)
		}
		ws.Close()
	})
}

// TestUpgradeUnderLoad moves 100 clients from polling to a WebSocket while
// both sides send all the time: nothing may be lost, doubled or reordered.
func TestUpgradeUnderLoad(t *testing.T) {
	const clients, messages = 100, 300
	var pushes sync.WaitGroup
	s := listen(t, Options{Accept: func(c *Conn) Receiver {
		pushes.Go(func() {
			for i := range messages {
				if err := c.Send(text("pushed " + strconv.Itoa(i))); err != nil {
					t.Errorf("send: %v", err)
				}
				time.Sleep(100 * time.Microsecond) // so that it takes as long as an upgrade
			}
		})
		return &numbers{t: t, conn: c}
	}})
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() { (&mover{poller: s.poll(t), count: messages}).run() })
	}
	wg.Wait()
	pushes.Wait()
}

// numbers is an application that expects numbered messages, and answers each.
type numbers struct {
	t    *testing.T
	conn *Conn
	next int
}

func (n *numbers) Receive(m engineio.Message) {
	if got := string(m.Data); got != strconv.Itoa(n.next) {
		n.t.Errorf("server: got message %s, want %d", got, n.next)
	}
	frame := text("answered " + strconv.Itoa(n.next))
	n.next++
	if err := n.conn.Send(frame); err != nil {
		n.t.Errorf("send: %v", err)
	}
}

func (n *numbers) Closed(string) {}

// A mover does what the official client does: it opens by polling, probes a
// WebSocket while it goes on, pauses, and moves. It sends count numbers, and
// checks the answers, and as many messages that it has not asked for.
type mover struct {
	*poller
	count int

	mu   sync.Mutex
	sent int

	pushed, answered int // of one goroutine at a time
}

func (m *mover) run() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	pause := make(chan struct{})
	var requests sync.WaitGroup
	requests.Go(func() { m.pollUntil(ctx, pause) })
	requests.Go(func() { m.postUntil(ctx, pause) })

	ws, err := m.websocket()
	if err != nil {
		m.t.Error(err)
		return
	}
	ws.send("2probe")
	if got := ws.read(); got != "3probe" {
		m.t.Errorf("got %q, want 3probe", got)
	}
	close(pause)
	requests.Wait() // the last poll is answered with a noop if with nothing else
	ws.send("5")
	go func() {
		for n := m.take(); n < m.count; n = m.take() {
			if ws.WriteMessage(websocket.TextMessage, []byte("4"+strconv.Itoa(n))) != nil {
				return
			}
		}
	}()
	for m.pushed < m.count || m.answered < m.count {
		m.check(ws.read())
	}
	_ = ws.Close()
}

// take returns the next number to send.
func (m *mover) take() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sent++
	return m.sent - 1
}

// left returns how many there are.
func (m *mover) left() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.count - m.sent
}

func (m *mover) postUntil(ctx context.Context, pause chan struct{}) {
	for !closed(pause) && m.left() > 100 { // some are for afterwards
		first := m.take()
		body := fmt.Sprintf("4%d\x1e4%d\x1e4%d", first, m.take(), m.take())
		got, err := m.try(ctx, "POST", m.query(), strings.NewReader(body))
		if err != nil || got.status != http.StatusOK {
			m.t.Errorf("POST: got %d %s, error %v", got.status, got.body, err)
			return
		}
	}
}

func (m *mover) pollUntil(ctx context.Context, pause chan struct{}) {
	for !closed(pause) {
		got, err := m.try(ctx, "GET", m.query(), nil)
		if err != nil || got.status != http.StatusOK {
			m.t.Errorf("GET: got %d %s, error %v", got.status, got.body, err)
			return
		}
		for packet := range strings.SplitSeq(got.body, "\x1e") {
			if packet != "6" {
				m.check(packet)
			}
		}
	}
}

func (m *mover) check(packet string) {
	kind, number, _ := strings.Cut(packet, " ")
	next := &m.answered
	if kind == "4pushed" {
		next = &m.pushed
	}
	if number != strconv.Itoa(*next) {
		m.t.Errorf("client: got %q, want number %d", packet, *next)
	}
	*next++
}

func closed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}
