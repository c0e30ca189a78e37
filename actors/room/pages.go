package room

import (
	"slices"
	"sync"
	"time"

	"parlor/actors/access"
	"parlor/protocol/chat"
)

// maxOffers is how many connections of one user may offer tools in a room. Past it the one
// that was used least recently offers none any more.
const maxOffers = 16

// pages are the tools that listeners offer to run. The rest of the room belongs to its
// goroutine, but these are read by those of turns too.
type pages struct {
	mu     sync.Mutex
	offers []offer // the one that was used last is the last
}

// Offer takes the tools that an app of the caller runs which is not connected: it sends
// requests, and answers calls in them. The offer stands for as long as an app has to answer a
// call. The reply is empty.
type Offer struct {
	Caller
	Tools []chat.Tool
}

func (*Offer) roomMessage() {}

func (c *Offer) do(r *Room) {
	if refusal := r.admit(c.Caller, access.Send); refusal != nil {
		r.refuse(c.Caller, refusal)
		return
	}
	if refusal := r.Tools.Admit(c.Tools); refusal != nil {
		r.refuse(c.Caller, refusal)
		return
	}
	limit := r.Tools.PageTimeout("")
	r.pages.put(offer{user: c.User.ID, until: time.Now().Add(limit), tools: c.Tools})
	r.self.After(limit, &pageTick{}) // it ends no call, but the room may leave memory then
	r.stage.pageCame(c.User.ID)
	r.reply(c.Caller, nil)
}

// An offer is the tools that one page has. Without an address the page is not connected: it
// sends requests by HTTP, and the offer stands until a time.
type offer struct {
	user    chat.UserID
	address Address
	until   time.Time
	tools   []chat.Tool
}

func (o *offer) has(tool string) bool {
	return slices.ContainsFunc(o.tools, func(t chat.Tool) bool { return t.Name == tool })
}

// put puts an offer in the place of the one that the page has made before.
func (p *pages) put(o offer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	same := func(other offer) bool { return other.user == o.user && other.address == o.address }
	p.offers = slices.DeleteFunc(p.offers, same)
	if len(o.tools) == 0 {
		return
	}
	mine := func(other offer) bool { return other.user == o.user }
	count := 0
	for _, other := range p.offers {
		if mine(other) {
			count++
		}
	}
	if count >= maxOffers {
		oldest := slices.IndexFunc(p.offers, mine)
		p.offers = slices.Delete(p.offers, oldest, oldest+1)
	}
	p.offers = append(p.offers, o)
}

// leave forgets what a page offers that is closed, and returns it.
func (p *pages) leave(a Address) (left offer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.offers = slices.DeleteFunc(p.offers, func(o offer) bool {
		if o.address == a {
			left = o
		}
		return o.address == a
	})
	return left
}

// stands reports whether an app that is not connected offers tools.
func (p *pages) stands() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.ContainsFunc(p.offers, func(o offer) bool { return o.address.IsZero() && !o.stale() })
}

// use notes that a page was used: it is the first one to be asked.
func (p *pages) use(a Address) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := slices.IndexFunc(p.offers, func(o offer) bool { return o.address == a }); i >= 0 {
		used := p.offers[i]
		p.offers = append(slices.Delete(p.offers, i, i+1), used)
	}
}

// of returns the tools that the pages of a user offer. Of those with the same name it is that
// of the page which was used last.
func (p *pages) of(u chat.UserID) (tools []chat.Tool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, o := range slices.Backward(p.offers) {
		if o.user != u || o.stale() {
			continue
		}
		for _, t := range o.tools {
			if !slices.ContainsFunc(tools, func(other chat.Tool) bool { return other.Name == t.Name }) {
				tools = append(tools, t)
			}
		}
	}
	return tools
}

// choose returns a page of the user that offers the tool.
func (p *pages) choose(u chat.UserID, tool string) (page offer, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, o := range slices.Backward(p.offers) {
		if o.user == u && o.has(tool) && !o.stale() {
			if ok = true; !o.address.IsZero() {
				return o, true
			}
			page = o
		}
	}
	return page, ok
}

func (o *offer) stale() bool { return o.address.IsZero() && !time.Now().Before(o.until) }
