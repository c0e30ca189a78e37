package queries

import (
	"context"
	"slices"
	"sync"

	"parlor/actors/access"
	"parlor/actors/conversation"
	"parlor/persistence"
	"parlor/protocol/chat"
)

// Limits of what is kept in memory of the models that chats use.
const (
	maxUsed   = 100    // models of one user, and chats that are read to find them
	maxOwners = 10_000 // users; a user who asks again is read again
)

// used knows which models the chats of each user use. It reads a user's chats once,
// and then learns from what rooms write.
type used struct {
	mu      sync.Mutex
	byOwner map[string]*usedBy
}

// usedBy are the models of one user's chats.
type usedBy struct {
	reading sync.Mutex // held by the one who reads the chats
	read    bool       // guarded by reading

	mu     sync.Mutex
	models []chat.Model // ID and APISource alone, the latest first
}

// of returns the models of an owner.
func (s *used) of(owner string) *usedBy {
	s.mu.Lock()
	defer s.mu.Unlock()
	if one := s.byOwner[owner]; one != nil {
		return one
	}
	if s.byOwner == nil {
		s.byOwner = make(map[string]*usedBy)
	}
	for other := range s.byOwner {
		if len(s.byOwner) < maxOwners {
			break
		}
		delete(s.byOwner, other)
	}
	s.byOwner[owner] = new(usedBy)
	return s.byOwner[owner]
}

// note learns from a chat's row that is written. What it was told when that fails to
// reach the disk does no harm.
func (s *used) note(row persistence.Chat) {
	var info chat.Info
	for _, owner := range append([]string{row.Owner, ""}, row.Members...) { // the list of everybody's chats has the name ""
		s.mu.Lock()
		one := s.byOwner[owner]
		s.mu.Unlock()
		if one == nil {
			continue
		}
		if info.ID == "" {
			var err error
			if info, err = conversation.ReadRow(row); err != nil {
				return
			}
		}
		one.add(info)
	}
}

// add makes the chat's model the latest one.
func (one *usedBy) add(info chat.Info) {
	one.mu.Lock()
	defer one.mu.Unlock()
	if len(one.models) > 0 && one.models[0].ID == info.ModelID {
		return
	}
	models := slices.DeleteFunc(slices.Clone(one.models), func(m chat.Model) bool { return m.ID == info.ModelID })
	models = slices.Insert(models, 0, chat.Model{ID: info.ModelID, APISource: info.APISource})
	one.models = models[:min(len(models), maxUsed)]
}

// list returns the models, which must not be changed.
func (one *usedBy) list() []chat.Model {
	one.mu.Lock()
	defer one.mu.Unlock()
	return one.models
}

// Used returns the models of the chats that List lists first, of each the ID and the
// APISource alone, and also those of chats that were deleted lately. It reads the disk
// once for a user.
func (q *Queries) Used(ctx context.Context, u chat.User) ([]chat.Model, error) {
	scope, refusal := q.Access.Scope(u, access.List)
	if refusal != nil {
		return nil, refusal
	}
	one := q.used.of(string(scope.User))
	one.reading.Lock()
	defer one.reading.Unlock()
	if one.read {
		return one.list(), nil
	}
	infos, _, err := q.List(ctx, u, 0, maxUsed)
	if err != nil {
		return nil, err
	}
	since := one.list()
	for _, info := range slices.Backward(infos) {
		one.add(info)
	}
	for _, m := range slices.Backward(since) {
		one.add(chat.Info{ModelID: m.ID, APISource: m.APISource})
	}
	one.read = true
	return one.list(), nil
}

// Wrote notes that a chat's row is written. [Queries.Used] learns from it.
func (q *Queries) Wrote(row persistence.Chat) { q.used.note(row) }
