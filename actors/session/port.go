package session

import (
	"sync/atomic"
	"time"

	"parlor/actors/system"
	"parlor/protocol/engineio"
	"parlor/protocol/socketio"
)

// A Port is the side of a session that its connection feeds. Receive and
// Closed are called from one goroutine at a time.
type Port struct {
	ref     system.Ref[message]
	conn    Conn
	decoder socketio.Decoder
	window  chan struct{} // one element for each event that is not done
	ended   chan struct{} // closed with the session
	letIn   atomic.Bool   // the client has entered a namespace

	membership membership
}

// Receive hands a message to the session. It blocks while the window is full, or that
// of the user, until an event is done or the session has ended.
func (p *Port) Receive(m engineio.Message) {
	packet, complete, err := p.decoder.Decode(m)
	tooLong := err == socketio.ErrConnectTooLong
	switch {
	case err != nil && !tooLong, !complete && !p.letIn.Load(): // a stranger has nothing to attach
		p.conn.Close(reasonParse)
		return
	case !complete:
		return
	}
	p.await(p.membership.begin(size(packet)))
	select {
	case p.window <- struct{}{}:
	case <-p.ended:
		return
	}
	if p.membership.take(p.ended) {
		p.ref.Tell(&received{packet, tooLong})
	}
}

func (p *Port) await(wait time.Duration) {
	if wait <= 0 {
		return
	}
	select {
	case <-time.After(wait):
	case <-p.ended:
	}
}

func size(p socketio.Packet) int {
	bytes := len(p.Data)
	for _, attachment := range p.Attachments {
		bytes += len(attachment)
	}
	return bytes
}

// Closed tells the session that its connection is gone.
func (p *Port) Closed(reason string) { p.ref.Tell(&closed{reason}) }

// done frees a place in both windows.
func (p *Port) done() {
	<-p.window
	p.membership.free()
}
