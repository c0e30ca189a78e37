package transport

import (
	"bytes"
	"errors"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/gorilla/websocket"

	"parlor/protocol/engineio"
)

// post receives the packets in the body of a POST, in order, and then answers: a
// busy Receiver slows its client down.
func (p *polling) post(w http.ResponseWriter, r *http.Request) {
	control := http.NewResponseController(w)
	if refusal := p.enterPost(control); refusal != nil {
		refuse(w, r, refusal)
		return
	}
	end, err := p.receive(w, r)
	if end.reason == ReasonTransportClose {
		p.awaitPoll()
	}
	if end.reason != "" {
		p.conn.shut(end)
	}
	p.leavePost() // before the client can know that it may send the next one
	var tooLong *http.MaxBytesError
	switch {
	case errors.As(err, &tooLong):
		ignoreBody(w)
		w.WriteHeader(http.StatusRequestEntityTooLarge)
	case err != nil:
		refuse(w, r, engineio.ErrBadRequest)
	default:
		pollHeader(w, r)
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte("ok"))
	}
}

// enterPost makes a POST the current one. A second POST at the same time ends the
// connection.
func (p *polling) enterPost(control *http.ResponseController) *engineio.Error {
	c := p.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if refusal := p.refusalLocked(); refusal != nil {
		return refusal
	}
	if p.currentPost != nil {
		p.violatedLocked()
		return engineio.ErrBadRequest
	}
	p.currentPost, p.body = make(chan struct{}), control
	return nil
}

// leavePost notes that the current POST has ended.
func (p *polling) leavePost() {
	p.conn.mu.Lock()
	defer p.conn.mu.Unlock()
	close(p.currentPost)
	p.currentPost, p.body = nil, nil
}

// awaitPoll waits until a GET waits, or none can have been sent before the POST whose
// packets were just received, see overtaking.
func (p *polling) awaitPoll() {
	came := p.expectPoll()
	if came == nil {
		return
	}
	select {
	case <-came:
	case <-time.After(overtaking):
	}
}

// expectPoll returns what is closed when the next GET comes, or nil if none is needed.
func (p *polling) expectPoll() <-chan struct{} {
	p.conn.mu.Lock()
	defer p.conn.mu.Unlock()
	if p.waiting != nil || p.conn.end.reason != "" {
		return nil
	}
	p.expected = make(chan struct{})
	return p.expected
}

// posted waits until there is no current POST.
func (p *polling) posted() {
	for {
		p.conn.mu.Lock()
		posting := p.currentPost
		p.conn.mu.Unlock()
		if posting == nil {
			return
		}
		<-posting
	}
}

// receive reads the body and handles its packets. It returns an ending if the
// connection has to end, and an error if the body is refused. A body that is too
// long is refused and does not end the connection.
func (p *polling) receive(w http.ResponseWriter, r *http.Request) (ending, error) {
	if mediaType, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); mediaType == "application/octet-stream" {
		return ending{reason: ReasonTransportError}, engineio.ErrBadRequest // binary bodies belong to protocol 3
	}
	buf := buffers.Get().(*bytes.Buffer)
	defer spare(buf)
	arrived := p.conn.part()
	defer arrived.letGo()
	if err := p.readBody(buf, arrived, w, r); err != nil {
		if tooLong := new(http.MaxBytesError); errors.As(err, &tooLong) {
			return ending{}, err
		}
		return ending{reason: ReasonTransportError}, err
	}
	for packet, err := range engineio.Packets(buf.Bytes(), p.conn.server.opts.MaxPayloadPackets) {
		if err != nil {
			return ending{reason: ReasonParseError}, err
		}
		if !packet.Binary { // the data of a binary packet is a copy already
			packet.Data = bytes.Clone(packet.Data)
		}
		end, over := p.conn.handle(packet)
		switch {
		case !over:
		case end.code == websocket.CloseProtocolError:
			return end, engineio.ErrBadRequest
		default:
			return end, nil
		}
	}
	return ending{}, nil
}

// readBody reads the whole body unless it is too long, or the connection ends
// meanwhile.
func (p *polling) readBody(buf *bytes.Buffer, arrived *part, w http.ResponseWriter, r *http.Request) error {
	limit := int64(p.conn.maxPayload())
	if r.ContentLength > limit {
		return &http.MaxBytesError{Limit: limit}
	}
	_, err := buf.ReadFrom(arrived.counting(http.MaxBytesReader(w, r.Body, limit)))

	p.conn.mu.Lock()
	defer p.conn.mu.Unlock()
	p.body = nil
	return err
}

// pollHeader sets the headers of an answer to a polling request.
func pollHeader(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=UTF-8")
	h.Set("Cache-Control", "no-store")
	// Old versions of Internet Explorer take some messages for an attack.
	if agent := r.UserAgent(); strings.Contains(agent, ";MSIE") || strings.Contains(agent, "Trident/") {
		h.Set("X-XSS-Protection", "0")
	}
}
