package openwebui

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"parlor/protocol/chat"
	"parlor/protocol/engineio"
	wire "parlor/protocol/openwebui"
)

const (
	// usageFor is how long a model is in use whose client does not say so again.
	usageFor = 3 * time.Second

	// tellEvery is how often a client is told at most who is there. What changes in between
	// is told together.
	tellEvery = 250 * time.Millisecond

	// circleFor is the age at which it is found out anew whom a user may see.
	circleFor = 30 * time.Second

	// lookRounds is how often that is done before news is told: what one user sees shows that
	// what is known of another is old.
	lookRounds = 2

	// maxModels is how many models one client may use at once. More are not noted.
	maxModels = 16
)

// A pool is who is connected, and which models they use. Users are told of those whom they
// may see, so a change costs as much as there are users who may see it. The zero value is
// ready to use, from any goroutine.
type pool struct {
	mu     sync.Mutex
	people map[chat.UserID]*person
	news   map[chat.UserID]bool // who has to be told
	timer  bool                 // runs until they are

	absences map[chat.UserID]*absence
}

// A person is a user who is connected.
type person struct {
	devices map[*client]*device
	circle  chat.Circle
	known   time.Time // when the circle was found out, or zero
	stale   bool      // it does not fit what is known of others
	users   []byte    // the frames that were told last
	models  []byte
}

// A device is a connection of a person.
type device struct {
	models   map[chat.ModelID]*time.Timer // in use, until the timer fires
	informed bool                         // it was told what the person was told last
}

// enter adds a client.
func (p *pool) enter(c *client) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.people == nil {
		p.people, p.news = make(map[chat.UserID]*person), make(map[chat.UserID]bool)
	}
	now := p.people[c.user.ID]
	if now == nil {
		now = &person{devices: make(map[*client]*device), circle: chat.Circle{Users: []chat.UserID{c.user.ID}}}
		p.people[c.user.ID] = now
	}
	now.devices[c] = new(device)
	p.changedLocked(c.user.ID)
}

// leave removes a client, with the models that it uses.
func (p *pool) leave(c *client) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.people[c.user.ID]
	d := now.devices[c]
	for _, t := range d.models {
		t.Stop()
	}
	delete(now.devices, c)
	if len(now.devices) == 0 || len(d.models) > 0 {
		p.changedLocked(c.user.ID)
	}
	if len(now.devices) == 0 {
		delete(p.people, c.user.ID)
		delete(p.news, c.user.ID)
	}
}

// clients returns the clients of a user.
func (p *pool) clients(u chat.UserID) []*client {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now := p.people[u]; now != nil {
		return slices.Collect(maps.Keys(now.devices))
	}
	return nil
}

// lookAround finds out whom the client's user may see. Those who may not see the user any
// more, and those who now may, are told so.
func (p *pool) lookAround(ctx context.Context, c *client) {
	circle, err := c.Rooms.Circle(ctx, c.user)
	if err != nil {
		return // what was known goes on
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.people[c.user.ID]
	if now == nil {
		return
	}
	before := now.circle
	now.known, now.stale = time.Now(), false
	if circle.All == before.All && slices.Equal(circle.Users, before.Users) {
		return
	}
	now.circle = circle
	p.changedLocked(c.user.ID)
	for id, other := range p.seenLocked(before) {
		if !includes(circle, id) {
			other.stale = true
			p.newsLocked(id)
		}
	}
}

// includes reports whether a user belongs to a circle.
func includes(c chat.Circle, u chat.UserID) bool {
	_, found := slices.BinarySearch(c.Users, u)
	return c.All || found
}

// ask has the client told who is there, also if it knows.
func (p *pool) ask(c *client) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if d := p.deviceLocked(c); d != nil {
		d.informed = false
		p.newsLocked(c.user.ID)
	}
}

func (p *pool) deviceLocked(c *client) *device {
	if now := p.people[c.user.ID]; now != nil {
		return now.devices[c]
	}
	return nil
}

// use notes that the client uses a model.
func (p *pool) use(c *client, model chat.ModelID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	d := p.deviceLocked(c)
	if d == nil {
		return
	}
	if t := d.models[model]; t != nil {
		t.Reset(usageFor)
		return
	}
	if len(d.models) >= maxModels {
		return
	}
	if d.models == nil {
		d.models = make(map[chat.ModelID]*time.Timer)
	}
	d.models[model] = time.AfterFunc(usageFor, func() { p.unuse(c, model) })
	p.changedLocked(c.user.ID)
}

func (p *pool) unuse(c *client, model chat.ModelID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if d := p.deviceLocked(c); d != nil && d.models[model] != nil {
		delete(d.models, model)
		p.changedLocked(c.user.ID)
	}
}

// changedLocked has those told who may see the user.
func (p *pool) changedLocked(u chat.UserID) {
	p.newsLocked(u)
	now := p.people[u]
	if now == nil {
		return
	}
	for id, other := range p.seenLocked(now.circle) {
		other.stale = other.stale || !includes(other.circle, u)
		p.newsLocked(id)
	}
}

func (p *pool) newsLocked(u chat.UserID) {
	if p.people[u] == nil {
		return
	}
	p.news[u] = true
	if !p.timer {
		p.timer = true
		time.AfterFunc(tellEvery, p.tell)
	}
}

// seenLocked yields those of a circle who are connected.
func (p *pool) seenLocked(c chat.Circle) func(func(chat.UserID, *person) bool) {
	return func(yield func(chat.UserID, *person) bool) {
		if c.All {
			for id, other := range p.people {
				if !yield(id, other) {
					return
				}
			}
			return
		}
		for _, id := range c.Users {
			if other := p.people[id]; other != nil && !yield(id, other) {
				return
			}
		}
	}
}

// tell tells the news. First it finds out anew whom those users may see of whom that is not
// known for long enough: somebody may have been taken out of a chat.
func (p *pool) tell() {
	for range lookRounds {
		for _, c := range p.outdated() {
			p.lookAround(context.Background(), c)
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.timer = false
	var all *lists
	for id := range p.news {
		now := p.people[id]
		if now == nil {
			continue
		}
		if now.circle.All {
			if all == nil {
				made := p.listsLocked(now)
				all = &made
			}
			now.tell(*all)
			continue
		}
		now.tell(p.listsLocked(now))
	}
	clear(p.news)
}

// outdated returns a client of each user who is to be told news, and whose circle is old.
func (p *pool) outdated() (all []*client) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for id := range p.news {
		now := p.people[id]
		if now == nil || now.known.IsZero() || !now.stale && time.Since(now.known) < circleFor {
			continue // or it is being found out
		}
		for c := range now.devices {
			all = append(all, c)
			break
		}
	}
	return all
}

// lists are what a person is told.
type lists struct{ users, models engineio.Frame }

// listsLocked makes the lists of those whom a person may see, the person included.
func (p *pool) listsLocked(of *person) lists {
	var users []chat.UserID
	used := make(map[chat.ModelID]bool)
	limit := 0
	for id, other := range p.seenLocked(of.circle) {
		users = append(users, id)
		for c, d := range other.devices {
			limit = c.maxListed()
			for model := range d.models {
				used[model] = true
			}
		}
	}
	slices.Sort(users)
	models := slices.Sorted(maps.Keys(used))
	return lists{
		wire.Event("user-list", wire.UserList{IDs: users[:min(len(users), limit)], Users: len(users)}),
		wire.Event("usage", wire.ModelList{Models: append([]chat.ModelID{}, models[:min(len(models), limit)]...)}),
	}
}

// tell tells the devices of the person what they do not know.
func (now *person) tell(l lists) {
	newUsers, newModels := !bytes.Equal(l.users.Data, now.users), !bytes.Equal(l.models.Data, now.models)
	for c, d := range now.devices {
		if newUsers || !d.informed {
			c.socket.Send(l.users)
		}
		if newModels || !d.informed {
			c.socket.Send(l.models)
		}
		d.informed = true
	}
	now.users, now.models = l.users.Data, l.models.Data
}
