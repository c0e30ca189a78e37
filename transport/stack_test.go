package transport

import (
	"net"
	"net/http"
	"runtime/debug"
	"testing"
	"unsafe"

	"parlor/protocol/engineio"
)

// stackBytes are what a Receiver, or the network below a WebSocket, may take.
const stackBytes = 3 << 10

// The runtime does not move the stack of a goroutine to a larger one while that
// reads or writes a message.
func TestReadingAndWritingNeedNoLargerStack(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // the collector moves stacks too, to smaller ones
	moves := make(chan bool, 1)
	go func() { moves <- stackMoves(2 * stackBytes) }()
	if !<-moves {
		t.Skip("a goroutine of its own starts with a large stack here")
	}
	reads, writes := make(chan bool, 1), make(chan bool, 10)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := newSite(t, stackListener{l, writes}, Options{Accept: func(c *Conn) Receiver {
		return receive(func(engineio.Message) {
			reads <- stackMoves(stackBytes)
			_ = c.Send(text("answer"))
		})
	}}, &http.Server{})
	s.dial = new(net.Dialer).DialContext
	c := s.connect(t)
	for len(writes) > 0 {
		<-writes // the handshake, on a goroutine of net/http
	}
	for range 10 {
		c.send("4question")
		if <-reads {
			t.Error("the reader's stack was moved")
		}
		c.read()
		if <-writes {
			t.Error("the writer's stack was moved")
		}
	}
}

// A stackListener accepts connections that report for each write whether it
// moves the stack.
type stackListener struct {
	net.Listener
	moves chan<- bool
}

func (l stackListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return stackConn{c, l.moves}, err
}

type stackConn struct {
	net.Conn
	moves chan<- bool
}

func (c stackConn) Write(p []byte) (int, error) {
	c.moves <- stackMoves(stackBytes)
	return c.Conn.Write(p)
}

// stackMoves reports whether the goroutine's stack is moved when this many
// bytes more of it are needed.
func stackMoves(bytes int) bool {
	var local byte
	before := address(&local)
	descend(bytes)
	return address(&local) != before
}

//go:noinline
func address(p *byte) uintptr { return uintptr(unsafe.Pointer(p)) }

// descend uses a number of bytes of stack.
//
//go:noinline
func descend(bytes int) byte {
	var frame [256]byte
	if bytes < len(frame) {
		return frame[bytes]
	}
	return descend(bytes-len(frame)) + frame[bytes%len(frame)]
}
