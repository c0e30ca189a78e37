package transport

import (
	"bytes"
	"errors"
	"io"
	"sync"

	"github.com/gorilla/websocket"

	"parlor/protocol/engineio"
)

// spareBuffer is the size up to which a message's buffer is used again. A buffer of the longest
// usual message has grown past 64 KiB.
const spareBuffer = 128 << 10

// buffers hold messages while they arrive. An idle connection has none.
var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// spare keeps a buffer for the next message, unless it has become large.
func spare(buf *bytes.Buffer) {
	if buf.Cap() <= spareBuffer {
		buf.Reset()
		buffers.Put(buf)
	}
}

// read handles the packets that have arrived, and returns when its buffer is
// empty. It reports over if the connection has to end.
func (s *socket) read() (end ending, over bool) {
	for {
		p, err := s.readPacket()
		if err != nil {
			return s.failed(err), true
		}
		if end, over := s.conn.handle(p); over {
			return end, true
		}
		if s.in.Buffered() == 0 {
			return ending{}, false
		}
	}
}

// readPacket reads the next packet, whose data is a copy.
func (s *socket) readPacket() (engineio.Packet, error) {
	limit := s.conn.maxPayload()
	s.ws.SetReadLimit(int64(limit))
	kind, r, err := s.ws.NextReader()
	if err != nil {
		return engineio.Packet{}, err
	}
	buf := buffers.Get().(*bytes.Buffer)
	defer spare(buf)
	if s.conn.server.opts.PerMessageDeflate { // the WebSocket's own limit is that before inflating
		r = io.LimitReader(r, int64(limit)+1)
	}
	arrived := s.conn.part()
	defer arrived.letGo()
	if _, err := buf.ReadFrom(arrived.counting(r)); err != nil {
		return engineio.Packet{}, err
	}
	if buf.Len() > limit {
		return engineio.Packet{}, websocket.ErrReadLimit
	}
	p, err := engineio.Decode(buf.Bytes(), kind == websocket.BinaryMessage)
	p.Data = bytes.Clone(p.Data)
	return p, err
}

// failed returns the ending that an error of readPacket leads to. It has no
// effect if the connection is ending already.
func (s *socket) failed(err error) ending {
	var goodbye *websocket.CloseError
	switch {
	case errors.As(err, &goodbye) && goodbye.Code != websocket.CloseAbnormalClosure:
		return ending{reason: ReasonTransportClose, code: goodbye.Code, clientLeft: true}
	case errors.Is(err, websocket.ErrReadLimit):
		return ending{reason: ReasonTransportError, code: websocket.CloseMessageTooBig}
	case errors.Is(err, engineio.ErrUnknownType):
		return ending{reason: ReasonParseError, code: websocket.CloseProtocolError}
	case errors.Is(err, engineio.ErrEncoding):
		return ending{reason: ReasonTransportError, code: websocket.CloseInvalidFramePayloadData}
	case s.wire.readErr != nil:
		return ending{reason: ReasonTransportClose, abrupt: true}
	}
	return ending{reason: ReasonTransportError, code: websocket.CloseProtocolError}
}
