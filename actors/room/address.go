package room

import (
	"sync"

	"parlor/actors/access"
	"parlor/protocol/chat"
)

// An Address names a recipient of replies and publications. It is a value, which
// could cross a wire. The zero Address names nobody.
type Address struct {
	Node string // empty for this one
	ID   uint64 // of a recipient there
}

// IsZero reports whether a names nobody.
func (a Address) IsZero() bool { return a == Address{} }

// A Recipient is what an address leads to. Deliver may be called from any
// goroutine and must not block.
type Recipient interface {
	Deliver(Delivery)
}

// A Delivery is what a room sends to an address: a [Reply] or a [*Publication].
type Delivery interface{ delivery() }

// A Directory leads from addresses to recipients of this process. The zero
// value is empty; the methods may be called from any goroutine.
type Directory struct {
	mu         sync.RWMutex
	last       uint64
	recipients map[uint64]Recipient
}

// Open gives the recipient an address, which the caller closes.
func (d *Directory) Open(r Recipient) Address {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.recipients == nil {
		d.recipients = make(map[uint64]Recipient)
	}
	d.last++
	d.recipients[d.last] = r
	return Address{ID: d.last}
}

// Close forgets the address. No other recipient will get it, and what rooms still
// send to it is dropped. The second call does nothing.
func (d *Directory) Close(a Address) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.recipients, a.ID)
}

// find returns the recipient at the address, or nil.
func (d *Directory) find(a Address) Recipient {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.recipients[a.ID]
}

// reply, repeat and refuse answer a command, unless nobody waits for it.
func (d *Directory) reply(c Caller, body any) { d.answer(c, Reply{Ref: c.Ref, Body: body}) }
func (d *Directory) repeat(c Caller, body any) {
	d.answer(c, Reply{Ref: c.Ref, Body: body, Repeated: true})
}
func (d *Directory) refuse(c Caller, e *chat.Error) { d.answer(c, Reply{Ref: c.Ref, Err: e}) }

func (d *Directory) answer(c Caller, r Reply) {
	if recipient := d.find(c.Address); recipient != nil {
		recipient.Deliver(r)
	}
}

// The supervisor refuses a message in place of its room: with NoRoom if the room
// cannot exist, with Crowded if the sender has too many rooms in memory, with Lost if
// the supervisor failed on the message, and with [Pulse.Hung] if the room handles
// nothing any more.
func (d *Directory) NoRoom(m Message)  { d.turnAway(m, access.ErrNoChat) }
func (d *Directory) Crowded(m Message) { d.turnAway(m, errCrowded) }
func (d *Directory) Lost(m Message)    { d.turnAway(m, errLost) }

func (d *Directory) turnAway(m Message, e *chat.Error) {
	if c, ok := m.(Command); ok {
		d.refuse(c.caller(), e)
	}
}
