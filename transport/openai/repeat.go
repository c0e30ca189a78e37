package openai

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"sync"
	"time"

	"parlor/protocol/chat"
)

// Limits of what is taken for a repeated request.
const (
	// repeatWindow is how long after the first request the client may repeat it. The client
	// waits for an answer for ten minutes.
	repeatWindow = 15 * time.Minute

	// restartWindow is how long before and after a start of the server a request may come that
	// a proxy repeats.
	restartWindow = time.Minute

	// streamWindow is how soon a request may repeat one whose client had got the beginning of a
	// stream. A proxy repeats at once. Later a person says the same once more.
	streamWindow = 5 * time.Second

	maxPosts  = 16 << 10 // are remembered
	maxLookup = 20       // newest chats, and newest messages of each, that are looked through
)

// posts remember what was asked, so that a request that comes again is said once.
//
// A request with an Idempotency-Key is told by that. The official client sends none, and a
// request that it repeats differs only by the number of the attempt; one that a proxy repeats
// does not differ at all. So each message is said under a key that begins with a digest of its
// request. A request is a repetition of an equal one if it says that it is one, or if the client
// of the first was gone before the answer, or a moment ago in the middle of a stream. After a
// restart the first one is found by its key in the log.
type posts struct {
	rooms   Rooms
	started time.Time

	mu    sync.Mutex
	equal map[[sha256.Size]byte][]*post // oldest first
	order []*post                       // the same, of all
}

// A post is what one request has said, or begins to say.
type post struct {
	digest [sha256.Size]byte
	at     time.Time
	client chat.ClientID // the idempotency key in the room
	chat   chat.ID       // of the room, if the request begins one

	// The rest is guarded by posts.mu.
	ctx      context.Context // of the last request
	answered bool            // to the end
	left     time.Time       // when the client was gone that had got the beginning of a stream; zero: it had got nothing
}

func newPosts(rooms Rooms) *posts {
	return &posts{rooms: rooms, started: time.Now(), equal: make(map[[sha256.Size]byte][]*post)}
}

const keyPrefix = "openai-"

// begin returns what a request says in a room, or in a new one if that is empty. The caller
// calls end.
func (p *posts) begin(c *call, room chat.ID, body []byte) (*post, error) {
	u := c.user()
	if key := c.r.Header.Get("Idempotency-Key"); key != "" {
		sum := sha256.Sum256([]byte("key\x00" + key))
		return &post{client: keyPrefix + chat.ClientID(hex.EncodeToString(sum[:16])), chat: chat.MakeID(u.ID, [8]byte(sum[16:24]))}, nil
	}
	digest := sha256.Sum256([]byte(strings.Join([]string{string(u.ID), c.r.URL.Path, string(room), string(body)}, "\x00")))
	n := c.r.Header.Get("X-Stainless-Retry-Count")
	says := n != "" && n != "0"
	if known := p.known(digest, says, c.ctx()); known != nil {
		return known, nil
	}
	one := &post{digest: digest, at: time.Now(), ctx: c.ctx()}
	prefix := keyPrefix + hex.EncodeToString(digest[:8]) + "-"
	if says || time.Since(p.started) < restartWindow {
		if err := p.find(c, one, room, prefix, says); err != nil {
			return nil, err
		}
	}
	if one.client == "" {
		var random [16]byte
		rand.Read(random[:])
		one.client = chat.ClientID(prefix + hex.EncodeToString(random[:8]))
		one.chat = chat.MakeID(u.ID, [8]byte(random[8:]))
	}
	p.remember(one)
	return one, nil
}

// known returns the post that a request repeats. Of several, the one is likelier whose client
// was gone before the answer.
func (p *posts) known(digest [sha256.Size]byte, says bool, ctx context.Context) (found *post) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, one := range p.equal[digest] {
		lost := one.ctx.Err() != nil && !one.answered && (one.left.IsZero() || time.Since(one.left) < streamWindow)
		if time.Since(one.at) < repeatWindow && (lost || says && (found == nil || found.ctx.Err() == nil)) {
			found = one
		}
	}
	if found != nil {
		found.ctx, found.answered, found.left = ctx, false, time.Time{}
	}
	return found
}

// remember keeps a post, and forgets the oldest if there are too many.
func (p *posts) remember(one *post) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.equal[one.digest] = append(p.equal[one.digest], one)
	p.order = append(p.order, one)
	for len(p.order) > maxPosts || time.Since(p.order[0].at) >= repeatWindow {
		old := p.order[0]
		p.order[0] = nil
		p.order = p.order[1:]
		if p.equal[old.digest] = p.equal[old.digest][1:]; len(p.equal[old.digest]) == 0 {
			delete(p.equal, old.digest)
		}
	}
}

// end notes whether the request was answered to the end, or else whether a stream has begun.
func (p *posts) end(one *post, answered, begun bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	one.answered = answered
	if begun && !answered {
		one.left = time.Now()
	}
}

// find looks in the log for a message whose key has the prefix. If the request does not say that
// it is a repetition, the message counts only if the end of the server has cut off its answer.
func (p *posts) find(c *call, one *post, room chat.ID, prefix string, says bool) error {
	rooms := []chat.ID{room}
	if room == "" {
		chats, _, err := p.rooms.List(c.ctx(), c.user(), 0, maxLookup)
		if err != nil {
			return err
		}
		rooms = nil
		for _, info := range chats {
			if info.Owner == c.user().ID && time.Since(info.Created) < repeatWindow {
				rooms = append(rooms, info.ID)
			}
		}
	}
	for _, id := range rooms {
		m, err := p.said(c, id, prefix, says)
		if err != nil {
			return err
		}
		if m.ID != "" {
			one.client, one.chat, one.at = m.ClientID, id, m.Created
			return nil
		}
	}
	return nil
}

// said returns the message of a room that a request repeats, or none.
func (p *posts) said(c *call, id chat.ID, prefix string, says bool) (found chat.Message, err error) {
	for m, err := range p.rooms.Messages(c.ctx(), c.user(), id, 0, maxLookup) {
		switch {
		case err != nil:
			return found, err
		case m.Author != nil && m.Author.ID == c.user().ID && strings.HasPrefix(string(m.ClientID), prefix) && p.recent(m.Created, says):
			found = m
		case m.Prompt == found.ID && found.ID != "" && !says && m.Created.Before(p.started):
			found = chat.Message{}
		}
	}
	return found, nil
}

func (p *posts) recent(at time.Time, says bool) bool {
	if says {
		return time.Since(at) < repeatWindow
	}
	return at.Before(p.started) && p.started.Sub(at) < restartWindow
}
