package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"parlor/persistence"
	"parlor/protocol/chat"
)

// A Dead is an event that was given up: a dead letter. Its content is in the log.
type Dead struct {
	ID       string      `json:"id"` // of the delivery
	Hook     string      `json:"webhook"`
	Event    string      `json:"event"`
	Chat     chat.ID     `json:"chat_id"`
	Room     chat.RoomID `json:"room_id"`
	Seq      uint64      `json:"seq"`
	Index    int         `json:"index"` // of the event among those of the record
	Epoch    string      `json:"epoch"` // of the chat
	At       time.Time   `json:"at"`    // when it was given up
	Attempts int         `json:"attempts"`
	Error    string      `json:"error"` // of the last
}

const deadOf = "dead/"

func (d Dead) name() string { return fmt.Sprintf("%s%s/%d.%d", deadOf, d.Hook, d.Seq, d.Index) }

// cutName splits the name of a value into its kind and the hook.
func cutName(name string) (kind, hook string) {
	kind, rest, _ := strings.Cut(name, "/")
	hook, _, _ = strings.Cut(rest, "/")
	return kind + "/", hook
}

// A graveyard is the dead letters, oldest first.
type graveyard struct {
	mu      sync.Mutex
	letters []Dead
}

func (g *graveyard) load(value []byte) {
	var d Dead
	if json.Unmarshal(value, &d) == nil {
		g.letters = append(g.letters, d)
	}
}

func (g *graveyard) sort() {
	slices.SortStableFunc(g.letters, func(a, b Dead) int { return a.At.Compare(b.At) })
}

// bury keeps a dead letter. If there are too many, the oldest is dropped.
func (e *Engine) bury(ctx context.Context, d Dead) error {
	if err := e.put(ctx, string(d.Room), d.name(), d); err != nil {
		return err
	}
	e.dead.mu.Lock()
	defer e.dead.mu.Unlock()
	e.dead.letters = append(e.dead.letters, d)
	if len(e.dead.letters) > e.MaxDead {
		oldest := e.dead.letters[0]
		e.dead.letters = slices.Delete(e.dead.letters, 0, 1)
		e.Logger.Error("webhook: too many dead letters, the oldest is dropped", "webhook", oldest.Hook, "id", oldest.ID, "room", oldest.Room, "seq", oldest.Seq)
		e.Log.DeleteHook(string(oldest.Room), oldest.name(), func(error) {})
	}
	return nil
}

func (e *Engine) exhume(ctx context.Context, d Dead) error {
	err := wait(ctx, func(done func(error)) { e.Log.DeleteHook(string(d.Room), d.name(), done) })
	e.dead.mu.Lock()
	defer e.dead.mu.Unlock()
	e.dead.letters = slices.DeleteFunc(e.dead.letters, func(other Dead) bool { return other.ID == d.ID })
	return err
}

// Dead returns the dead letters of a hook, or of all if hook is empty, oldest first.
func (e *Engine) Dead(hook string) (all []Dead) {
	e.dead.mu.Lock()
	defer e.dead.mu.Unlock()
	for _, d := range e.dead.letters {
		if hook == "" || d.Hook == hook {
			all = append(all, d)
		}
	}
	return all
}

// Replay delivers dead letters of a hook: that with the id, or all if id is empty. It ends
// with the first that fails. Those whose chat was deleted are dropped.
func (e *Engine) Replay(ctx context.Context, hook, id string) (delivered int, err error) {
	found := false
	for _, d := range e.Dead(hook) {
		if id != "" && d.ID != id {
			continue
		}
		found = true
		sent, err := e.replay(ctx, d)
		if err != nil {
			return delivered, fmt.Errorf("%s: %w", d.ID, err)
		}
		if sent {
			delivered++
		}
	}
	if !found && id != "" {
		return 0, fmt.Errorf("there is no dead letter %s of %s", id, hook)
	}
	return delivered, nil
}

func (e *Engine) replay(ctx context.Context, dead Dead) (sent bool, err error) {
	d, err := e.again(dead)
	if err != nil {
		return false, err
	}
	if sent = d.ID != ""; sent {
		if err := e.Send(ctx, dead.Hook, d); err != nil {
			return false, err
		}
	}
	return sent, e.exhume(ctx, dead)
}

// again reads from the log what is to be delivered. It has no id if it is not there any
// more.
func (e *Engine) again(dead Dead) (d Delivery, err error) {
	info, err := e.chat(dead.Room)
	switch {
	case errors.Is(err, persistence.ErrNotFound), err == nil && info.Epoch != dead.Epoch:
		return Delivery{}, nil
	case err != nil:
		return Delivery{}, err
	}
	for entry, err := range e.Log.Read(string(dead.Room), dead.Seq-1) {
		if err != nil {
			return Delivery{}, err
		}
		record, err := chat.DecodeRecord(entry.Seq, entry.Data)
		if err != nil {
			return Delivery{}, err
		}
		all := e.deliveries(Hook{Name: dead.Hook, Events: []string{dead.Event}}, info, record)
		if dead.Index < len(all) {
			return all[dead.Index], nil
		}
		break
	}
	return Delivery{}, nil
}

// A Status is how a hook fares.
type Status struct {
	Hook      string    `json:"webhook"`
	Since     time.Time `json:"since"`
	Delivered int       `json:"delivered"` // since the start of the server
	Waiting   int       `json:"waiting"`   // rooms
	Dead      int       `json:"dead"`
	Error     string    `json:"error,omitempty"` // of the last delivery, if it failed
}

// List returns how the hooks fare.
func (e *Engine) List() (all []Status) {
	for _, h := range e.hooks {
		h.mu.Lock()
		s := Status{Hook: h.Name, Since: h.since, Delivered: h.delivered, Waiting: len(h.lines)}
		if h.failing != nil {
			s.Error = h.failing.Error()
		}
		h.mu.Unlock()
		s.Dead = len(e.Dead(h.Name))
		all = append(all, s)
	}
	return all
}
