package main

import (
	"context"
	"log/slog"
	"time"

	"parlor/actors/chats"
	"parlor/protocol/chat"
	"parlor/transport/auth"
)

// handoverPause is how long a handover that failed waits before it is tried again.
const handoverPause = time.Minute

// handOverChats hands the chats of each identity that is linked over to its person, until
// stop is called.
func handOverChats(accounts *auth.Accounts, rooms *chats.Chats, log *slog.Logger) (stop func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	changed, done := make(chan struct{}, 1), make(chan struct{})
	accounts.OnLink(func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	})
	go func() {
		defer close(done)
		for {
			var again <-chan time.Time
			if !handOverAll(ctx, accounts, rooms, log) {
				again = time.After(handoverPause)
			}
			select {
			case <-changed:
			case <-again:
			case <-ctx.Done():
				return
			}
		}
	}()
	return func(context.Context) error {
		cancel()
		<-done
		return nil
	}
}

// handOverAll reports whether nothing is left to hand over.
func handOverAll(ctx context.Context, accounts *auth.Accounts, rooms *chats.Chats, log *slog.Logger) bool {
	whole := true
	for _, l := range accounts.Links() {
		if !l.Moving {
			continue
		}
		err := rooms.HandOver(ctx, l.ID, l.Person)
		if err == nil {
			err = accounts.Moved(ctx, l)
		}
		if err != nil && ctx.Err() == nil {
			log.Warn("some chats of a user who is linked were not handed over yet", "user", l.ID, "person", l.Person, "err", err)
		}
		whole = whole && err == nil
	}
	return whole
}

// people are the members of chats. A user who is linked becomes one as the person.
type people struct {
	*chats.Chats
	accounts *auth.Accounts
}

// SetMember gives a role to the person whose identity was named.
func (p people) SetMember(ctx context.Context, u chat.User, id chat.ID, m chat.Member) (chat.Info, error) {
	m.ID = p.accounts.Person(m.ID)
	return p.Chats.SetMember(ctx, u, id, m)
}

// RemoveMember takes the role of a user away, or of the person whose identity was named.
func (p people) RemoveMember(ctx context.Context, u chat.User, id chat.ID, member chat.UserID) error {
	err := p.Chats.RemoveMember(ctx, u, id, member)
	if person := p.accounts.Person(member); person != member && err != nil && chat.AsError(err).Code == chat.CodeNotFound {
		return p.Chats.RemoveMember(ctx, u, id, person)
	}
	return err
}
