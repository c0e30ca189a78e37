package assistant

import (
	"time"

	"parlor/actors/recovery"
	wire "parlor/protocol/assistant"
	"parlor/protocol/chat"
)

// againWithin is how soon a second regenerate without an id is taken for a repetition of
// the first. An official client with retries repeats a packet whose acknowledgement is
// late, and nothing in the packet tells that from another press of the button.
const againWithin = 5 * time.Second

// An again is the last regenerate of a client that named no id.
type again struct {
	request wire.Regenerate
	made    chat.ClientID // in place of an id
	at      time.Time
}

// idOf returns the idempotency key of the request. If the client has named none, idOf
// makes one, which a repetition gets too.
func (c *client) idOf(r wire.Regenerate) chat.ClientID {
	if r.ClientID != "" {
		return r.ClientID
	}
	if c.again == nil || r != c.again.request || time.Since(c.again.at) >= againWithin {
		c.again = &again{request: r, made: chat.ClientID("unnamed-" + recovery.NewID())}
	}
	c.again.at = time.Now()
	return c.again.made
}
