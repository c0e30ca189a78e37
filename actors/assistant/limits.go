package assistant

import (
	"context"
	"sync"
	"time"

	"parlor/actors/session"
	wire "parlor/protocol/assistant"
	"parlor/protocol/chat"
)

// A Limiter says how often users may ask for something.
type Limiter interface {
	// Take counts an event of so many bytes, of a user whose client has the address, or
	// returns why it is too much. Events are those that the wire knows, or "".
	Take(user chat.UserID, address, event string, bytes int) *chat.Error
}

// limit counts an event of the client, whether it is understood or not.
func (c *client) limit(e *session.Event) *chat.Error {
	if c.Limits == nil {
		return nil
	}
	bytes := 0
	for _, arg := range e.Args {
		bytes += len(arg)
	}
	for _, attachment := range e.Attachments {
		bytes += len(attachment)
	}
	return c.Limits.Take(c.user.ID, c.socket.RemoteAddr(), wire.Word(e.Name), bytes)
}

// refusalPause is how long a client waits until it is told that it asks too often. The
// event keeps its place in the window meanwhile. So a client that does not listen can only
// be refused some hundred times in a second, which costs others less than its events would.
const refusalPause = 100 * time.Millisecond

func (c *client) refuseLater(e *session.Event, r wire.Request, refusal *chat.Error) {
	c.socket.Go(func(ctx context.Context) func() {
		select {
		case <-time.After(refusalPause):
		case <-ctx.Done():
		}
		return func() { c.refuse(e, r, refusal) }
	})
}

var errTooManyConnections = chat.Refuse(chat.CodeBusy, "you have as many connections as one user may; close some")

// devices counts the connections of each user. The zero value is ready to use.
type devices struct {
	mu sync.Mutex
	of map[chat.UserID]int
}

// add counts a connection, unless the user has limit of them. A limit of 0 is none.
func (d *devices) add(u chat.UserID, limit int) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if limit > 0 && d.of[u] >= limit {
		return false
	}
	if d.of == nil {
		d.of = make(map[chat.UserID]int)
	}
	d.of[u]++
	return true
}

func (d *devices) remove(u chat.UserID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.of[u]--; d.of[u] <= 0 {
		delete(d.of, u)
	}
}

func (d *devices) count(u chat.UserID) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.of[u]
}
