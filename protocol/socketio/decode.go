package socketio

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"

	"parlor/protocol/engineio"
)

// ErrProtocol is returned by [Decoder.Decode] for what no client may send.
// The connection that it came from is to be closed.
var ErrProtocol = errors.New("socketio: protocol violation")

func violation(what string) error { return fmt.Errorf("%w: %s", ErrProtocol, what) }

// The violations, made once: a storm of them should cost nothing.
var (
	errType        = violation("unknown packet type")
	errAttachments = violation("illegal number of attachments")
	errID          = violation("illegal acknowledgement id")
	errPayload     = violation("illegal payload")
	errEventName   = violation("illegal event name")
	errManyArgs    = violation("too many arguments")
	errPlaceholder = violation("illegal attachments")
	errTooLarge    = violation("attachments too large")
	errStrayBinary = violation("attachment of no packet")
	errStrayText   = violation("text while attachments are due")
)

// ErrConnectTooLong is returned by [Decoder.Decode], together with the packet, for a
// CONNECT whose payload is longer than MaxConnectBytes. It is no violation: the client
// can be told.
var ErrConnectTooLong = errors.New("socketio: payload of CONNECT too long")

// A Decoder puts the packets of one connection together. Its zero value is
// ready to use. It must not be used by several goroutines at once, and holds
// nothing that would have to be closed.
type Decoder struct {
	// MaxAttachments limits the attachments of one packet. Zero means
	// DefaultMaxAttachments.
	MaxAttachments int

	// MaxBytes limits a packet with attachments, all together. Zero means
	// DefaultMaxBytes.
	MaxBytes int

	// MaxConnectBytes limits the payload of a CONNECT, which anybody can send. A
	// longer one is not parsed. Zero means no limit.
	MaxConnectBytes int

	pending   Packet // waits for its attachments
	due       int    // how many are still to come
	size      int    // of what is pending
	namespace string // of the last packet that named one
}

// Decode takes the connection's next message, whose text is UTF-8 since
// [engineio.Decode] let it through. It reports complete with each packet that
// m ends; a packet with attachments takes several messages. The packet keeps
// m's data.
//
// Errors wrap [ErrProtocol] and end the connection: what was pending is
// dropped with it. Only [ErrConnectTooLong] does not.
//
// A packet that passed holds valid JSON of the shape that its type demands.
// EVENT and ACK may have no data at all, as in the reference implementation.
// JSON nested deeper than encoding/json accepts (10,000 levels) is refused.
func (d *Decoder) Decode(m engineio.Message) (p Packet, complete bool, err error) {
	if m.Binary {
		complete, err = d.attach(m.Data)
	} else {
		complete, err = d.header(m.Data)
	}
	if complete || err != nil {
		p, d.pending, d.due, d.size = d.pending, Packet{}, 0, 0
	}
	if err != nil && err != ErrConnectTooLong {
		return Packet{}, false, err
	}
	return p, complete, err
}

// attach adds an attachment to the packet that waits for it.
func (d *Decoder) attach(data []byte) (complete bool, err error) {
	if d.due == 0 {
		return false, errStrayBinary
	}
	if d.size += len(data); d.size > cmp.Or(d.MaxBytes, DefaultMaxBytes) {
		return false, errTooLarge
	}
	d.pending.Attachments = append(d.pending.Attachments, data)
	d.due--
	return d.due == 0, nil
}

// header reads a packet's text: the whole packet unless attachments follow.
//
//	<type>[<attachments>-][<namespace>,][<id>][<JSON>]
func (d *Decoder) header(text []byte) (complete bool, err error) {
	if d.due > 0 {
		return false, errStrayText
	}
	if len(text) == 0 || text[0] < '0' || text[0] > '0'+byte(BinaryAck) {
		return false, errType
	}
	p := Packet{Type: PacketType(text[0] - '0')}
	rest := text[1:]
	if p.Type.binary() {
		if d.due, rest, err = cutAttachments(rest, d.maxAttachments()); err != nil {
			return false, err
		}
	}
	p.Namespace, rest = d.cutNamespace(rest)
	if p.ID, p.HasID, rest, err = cutID(rest); err != nil {
		return false, err
	}
	if p.Type == Connect && d.MaxConnectBytes > 0 && len(rest) > d.MaxConnectBytes {
		d.pending = p
		return true, ErrConnectTooLong
	}
	if len(rest) > 0 {
		p.Data = rest
	}
	d.pending, d.size = p, len(text)
	return d.due == 0, checkPayload(p, d.due)
}

func (d *Decoder) maxAttachments() int {
	if d.MaxAttachments > 0 {
		return d.MaxAttachments
	}
	return DefaultMaxAttachments
}

// cutAttachments reads the number of attachments, which a dash ends. Zero is
// refused: such a packet would never be complete (CVE-2026-69185).
func cutAttachments(b []byte, limit int) (n int, rest []byte, err error) {
	i := 0
	for ; i < len(b) && '0' <= b[i] && b[i] <= '9'; i++ {
		n = n*10 + int(b[i]-'0')
		if n == 0 || n > limit {
			return 0, nil, errAttachments
		}
	}
	if n == 0 || i == len(b) || b[i] != '-' {
		return 0, nil, errAttachments
	}
	return n, b[i+1:], nil
}

// keptNamespace is how long a namespace is at most that a decoder remembers.
const keptNamespace = 64

// cutNamespace reads the namespace, which a comma or the end ends. It is nearly always
// that of the packet before.
func (d *Decoder) cutNamespace(b []byte) (namespace string, rest []byte) {
	if len(b) == 0 || b[0] != '/' {
		return "/", b
	}
	name, rest, _ := bytes.Cut(b, []byte{','})
	if string(name) == d.namespace {
		return d.namespace, rest
	}
	if namespace = string(name); len(name) <= keptNamespace {
		d.namespace = namespace
	}
	return namespace, rest
}

// cutID reads the acknowledgement id. It stops at the limit, however many
// digits follow (CVE-2020-36049).
func cutID(b []byte) (id uint64, ok bool, rest []byte, err error) {
	i := 0
	for ; i < len(b) && '0' <= b[i] && b[i] <= '9'; i++ {
		id = id*10 + uint64(b[i]-'0')
		if id > MaxID {
			return 0, false, nil, errID
		}
	}
	return id, i > 0, b[i:], nil
}

// checkPayload checks that p's data has the shape that its type demands
// (protocol 5, "Packet encoding"), and that its placeholders number the
// attachments that are due.
func checkPayload(p Packet, attachments int) error {
	if len(p.Data) == 0 {
		return nil
	}
	first := p.Data[0]
	switch p.Type {
	case Connect:
		return checkJSON(p.Data, first == '{')
	case ConnectError:
		return checkJSON(p.Data, first == '{' || first == '"')
	case Disconnect:
		return errPayload
	}
	if err := checkJSON(p.Data, first == '['); err != nil {
		return err
	}
	if err := checkArgs(p); err != nil {
		return err
	}
	return checkPlaceholders(p.Data, attachments)
}

func checkJSON(b []byte, shape bool) error {
	if !shape || !json.Valid(withoutPlainText(b)) {
		return errPayload
	}
	return nil
}

// checkArgs checks the number of p's arguments and, if it is an event, that
// it has a name.
func checkArgs(p Packet) error {
	n := 0
	for arg := range Elements(p.Data) {
		if n++; n > MaxArgs {
			return errManyArgs
		}
		if n == 1 && !p.Type.ack() && !validName(arg) {
			return errEventName
		}
	}
	if n == 0 && !p.Type.ack() {
		return errEventName
	}
	return nil
}

func (t PacketType) ack() bool { return t == Ack || t == BinaryAck }

// validName reports whether arg can name an event: a number, or a string that
// is not reserved (CVE-2023-32695).
func validName(arg json.RawMessage) bool {
	switch c := arg[0]; {
	case c == '"' && plain(arg):
		return !Reserved(string(arg[1 : len(arg)-1])) // no copy, unlike that of Text
	case c == '"':
		return !Reserved(Text(arg))
	case c == '-', '0' <= c && c <= '9':
		return true
	}
	return false
}
