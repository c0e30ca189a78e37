package emit

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"parlor/actors/session"
	"parlor/protocol/chat"
)

// A call waits for the acknowledgement of a client.
type call struct {
	hub      *Hub
	user     chat.UserID
	event    string
	args     []json.RawMessage
	deadline time.Time
	answered chan session.Answer // has room for one

	mu    sync.Mutex
	asked seat   // zero: no socket of the user is there
	gone  []seat // that were asked before
}

// Call asks one client, and waits for its acknowledgement. Of a user that is the one who
// came last. Its errors are a [*chat.Error], or that of ctx.
func (h *Hub) Call(ctx context.Context, e chat.Call) (chat.Acknowledgement, error) {
	if refusal := h.refusalOfCall(e); refusal != nil {
		return chat.Acknowledgement{}, refusal
	}
	seats := h.find(e.To)
	if len(seats) == 0 {
		return chat.Acknowledgement{}, chat.Refuse(chat.CodeNotFound, "nobody is connected whom to names")
	}
	at := seats[len(seats)-1]
	c := &call{
		hub: h, user: at.user, event: e.Event, args: e.Args,
		deadline: time.Now().Add(e.Timeout), answered: make(chan session.Answer, 1),
	}
	if !h.begin(c) {
		return chat.Acknowledgement{}, chat.Refuse(chat.CodeBusy, "too many calls wait for an acknowledgement already")
	}
	defer h.end(c)
	c.askAt(at)

	timer := time.NewTimer(e.Timeout)
	defer timer.Stop()
	select {
	case a := <-c.answered:
		return chat.Acknowledgement{Args: a.Args, Attachments: a.Attachments}, nil
	case <-timer.C:
		return chat.Acknowledgement{}, chat.Refuse(chat.CodeTimeout, fmt.Sprintf("no client has acknowledged within %v", e.Timeout))
	case <-ctx.Done():
		return chat.Acknowledgement{}, ctx.Err()
	}
}

func (h *Hub) refusalOfCall(e chat.Call) *chat.Error {
	switch refusal := h.refusal(e.Emission); {
	case refusal != nil:
		return refusal
	case len(e.To.Users)+len(e.To.Sessions) != 1:
		return chat.Refuse(chat.CodeInvalid, "a call is for one user or one session")
	case e.Timeout <= 0 || e.Timeout > h.MaxCallTimeout:
		return chat.Refuse(chat.CodeInvalid, fmt.Sprintf("timeout must be more than 0 and at most %v", h.MaxCallTimeout))
	}
	return nil
}

func (h *Hub) begin(c *call) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.waiting >= h.MaxCalls {
		return false
	}
	h.waiting++
	h.calls[c.user] = append(h.calls[c.user], c)
	return true
}

func (h *Hub) end(c *call) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.waiting--
	left := slices.DeleteFunc(h.calls[c.user], func(other *call) bool { return other == c })
	if h.calls[c.user] = left; len(left) == 0 {
		delete(h.calls, c.user)
	}
}

// ask asks the newest socket of the user in the place of gone, which cannot answer any
// more. It does nothing if another socket than gone is being asked.
func (c *call) ask(gone seat) {
	c.mu.Lock()
	if c.asked != gone {
		c.mu.Unlock()
		return
	}
	c.gone = append(c.gone, gone)
	next := c.hub.newest(c.user, c.gone)
	c.asked = next
	c.mu.Unlock()
	if next != (seat{}) {
		c.send(next)
	}
}

func (c *call) askAt(at seat) {
	c.mu.Lock()
	c.asked = at
	c.mu.Unlock()
	c.send(at)
}

// send asks a socket. No lock is held: the socket may say at once that it is closed.
func (c *call) send(to seat) {
	to.socket.Call(time.Until(c.deadline), func(a session.Answer, err error) {
		switch err {
		case nil:
			select {
			case c.answered <- a:
			default: // another client was faster
			}
		case session.ErrDisconnected:
			c.ask(to)
		}
	}, c.event, c.args...)
}

// newest returns the socket of the user that came last, and is not gone.
func (h *Hub) newest(u chat.UserID, gone []seat) seat {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, at := range slices.Backward(h.users[u]) {
		if !slices.Contains(gone, at) {
			return at
		}
	}
	return seat{}
}
