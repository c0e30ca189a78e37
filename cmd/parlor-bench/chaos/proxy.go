package chaos

import (
	"net"
	"slices"
	"sync"
	"time"
)

// A proxy is the network between visitors and the server. Its methods may be
// called by several goroutines at once.
type proxy struct {
	url      string
	target   string
	listener net.Listener
	wg       sync.WaitGroup

	mu     sync.Mutex
	links  []*link // oldest first
	closed bool
}

// A link is a connection of a visitor with the server.
type link struct {
	client, server *net.TCPConn
	gate           sync.RWMutex // held while the link is stalled
}

// windowBytes is what the network keeps on its way to a visitor that does not
// read: little, so that it is the server that has to.
const windowBytes = 8 << 10

func newProxy(target string) (*proxy, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &proxy{url: "http://" + listener.Addr().String(), target: target, listener: listener}
	p.wg.Go(p.accept)
	return p, nil
}

// close cuts all connections and waits.
func (p *proxy) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	_ = p.listener.Close()
	p.cutAll()
	p.wg.Wait()
}

func (p *proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.wg.Go(func() { p.serve(client.(*net.TCPConn)) })
	}
}

func (p *proxy) serve(client *net.TCPConn) {
	server, err := net.Dial("tcp", p.target)
	if err != nil { // the server is down
		reset(client)
		return
	}
	l := &link{client: client, server: server.(*net.TCPConn)}
	_ = l.server.SetReadBuffer(windowBytes)
	_ = l.client.SetWriteBuffer(windowBytes)
	if !p.add(l) {
		l.cut()
		return
	}
	defer p.remove(l)
	defer l.cut()
	var both sync.WaitGroup
	both.Go(func() { l.copy(l.server, l.client) })
	both.Go(func() { l.copy(l.client, l.server) })
	both.Wait()
}

func (p *proxy) add(l *link) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	p.links = append(p.links, l)
	return true
}

func (p *proxy) remove(l *link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.links = slices.DeleteFunc(p.links, func(o *link) bool { return o == l })
}

// copy forwards until an end closes, and then cuts the other.
func (l *link) copy(to, from *net.TCPConn) {
	defer l.cut()
	buffer := make([]byte, 4<<10)
	for {
		n, err := from.Read(buffer)
		l.pass()
		if _, werr := to.Write(buffer[:n]); err != nil || werr != nil {
			return
		}
	}
}

// pass waits while the link is stalled.
func (l *link) pass() {
	l.gate.RLock()
	defer l.gate.RUnlock()
}

// cut ends the link without a word, and what is on its way is lost.
func (l *link) cut() {
	reset(l.client)
	reset(l.server)
}

func reset(c *net.TCPConn) {
	_ = c.SetLinger(0)
	_ = c.Close()
}

// cutOne cuts the n-th link, counted round, and reports whether there was one.
func (p *proxy) cutOne(n int) bool {
	l := p.link(n)
	if l != nil {
		l.cut()
	}
	return l != nil
}

// cutAll cuts all links and returns how many there were.
func (p *proxy) cutAll() int {
	p.mu.Lock()
	links := slices.Clone(p.links)
	p.mu.Unlock()
	for _, l := range links {
		l.cut()
	}
	return len(links)
}

// stall forwards nothing over the n-th link for a while, and then goes on. It
// reports whether there was one that was not stalled.
func (p *proxy) stall(n int, d time.Duration) bool {
	l := p.link(n)
	if l == nil || !l.gate.TryLock() {
		return false
	}
	time.AfterFunc(d, l.gate.Unlock)
	return true
}

func (p *proxy) link(n int) *link {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.links) == 0 {
		return nil
	}
	return p.links[n%len(p.links)]
}
