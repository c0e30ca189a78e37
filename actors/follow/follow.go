// Package follow tells a room to those who read it by HTTP: what was recorded since they
// were there, and then what happens.
//
//	Follow → join → inbox ← publications of the room
//	           ↓
//	log → records that were missed → text so far → inbox → tell
//
// # Order
//
// A follower is told each record behind its place once and in order. What the room
// publishes while records are read waits in the follower's inbox. The room's answer to
// the join says with which record and with how much text the inbox begins, so nothing is
// missing and nothing comes twice.
//
// # Slow followers
//
// An inbox holds a bounded number of bytes. When it is full, what the room publishes is
// dropped. The follower is then told what the inbox holds, joins again, and reads from the
// log what it has missed. So a slow follower costs no more than a fast one, and a follower
// that is told nothing any more costs its inbox.
package follow

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"time"

	"parlor/actors/resume"
	"parlor/actors/room"
	"parlor/protocol/chat"
)

// Plain is the name of the encoder that [NewPlain] makes.
const Plain = "plain"

// NewPlain makes the encoder of followers that do with the notices alone.
func NewPlain(chat.Info) room.Encoder { return plain{} }

type plain struct{}

// Encode implements room.Encoder.
func (plain) Encode(chat.RoomID, chat.Notice) any { return plain{} }

// Rooms is the part of the rooms that followers need.
type Rooms interface {
	Open(to room.Recipient) room.Address
	Forget(a room.Address)
	Tell(id chat.RoomID, m room.Message)
	Records(ctx context.Context, u chat.User, id chat.RoomID, after uint64) iter.Seq2[chat.Record, error]

	// These are for those who follow all their chats.
	Watch(u chat.User, w room.Watcher)
	Unwatch(u chat.UserID, w room.Watcher)
	Running(ctx context.Context, u chat.User) ([]chat.Activity, error)
	List(ctx context.Context, u chat.User, offset, limit int) ([]chat.Info, int, error)
	Since(ctx context.Context, u chat.User, id chat.RoomID, at time.Time) (before, last chat.Place, err error)
}

// Options configure a [Follower]. Rooms and Encoders have no default.
type Options struct {
	Rooms    Rooms
	Encoders room.Encoders // those of the rooms
	MaxBytes int           // that may wait for one follower. Zero means 1 MiB
}

// A Follower follows rooms. Its methods may be called from any goroutine.
type Follower struct {
	rooms    Rooms
	encoders room.Encoders
	maxBytes int
	replays  resume.Replays[missed]
}

// New returns a Follower.
func New(o Options) *Follower {
	return &Follower{rooms: o.Rooms, encoders: o.Encoders, maxBytes: cmp.Or(o.MaxBytes, 1<<20)}
}

var errNoEncoder = errors.New("follow: there is no such encoder")

// Follow tells the user what the room of a chat says behind a place, until ctx ends. It
// calls tell on this goroutine. Its error is that of tell, the cause of ctx, or a
// [*chat.Error] if the room does not let the user in, or not any more.
func (f *Follower) Follow(ctx context.Context, u chat.User, id chat.ID, from chat.Place, encoder string, tell func(chat.Told) error) error {
	if f.encoders[encoder] == nil {
		return errNoEncoder
	}
	s := &following{Follower: f, user: u, room: id.Room(), encoder: encoder, tell: tell}
	return s.follow(ctx, from, f.maxBytes)
}

// follow follows a place with an inbox of so many bytes.
func (s *following) follow(ctx context.Context, from chat.Place, maxBytes int) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	s.inbox = newInbox(maxBytes, cancel)
	s.address = s.rooms.Open(s.inbox)
	defer s.leave()
	return s.run(ctx, from)
}

// A following is one call of Follow.
type following struct {
	*Follower
	user    chat.User
	room    chat.RoomID
	encoder string
	apart   bool // the user is not shown to be in the room
	tell    func(chat.Told) error
	address room.Address
	inbox   *inbox

	encode func(chat.RoomID, chat.Notice) any
	epoch  string
	seq    uint64     // of the last record that the user has been told
	next   *chat.Told // that is to be told, or nil: see put
}

// run joins the room, and joins it again each time the inbox was too small.
func (s *following) run(ctx context.Context, from chat.Place) error {
	for first := true; ; first = false {
		joined, err := s.join(ctx, !first || from.Seq > 0)
		if err == nil && first {
			err = s.enter(joined, from)
		}
		if err == nil {
			err = s.catchUp(ctx, joined)
		}
		if err == nil {
			err = s.live(ctx)
		}
		if err != nil {
			return err
		}
	}
}

// join empties the inbox, and makes it a listener of the room.
func (s *following) join(ctx context.Context, returning bool) (j room.Joined, err error) {
	s.rooms.Tell(s.room, &room.Join{Caller: s.caller(s.inbox.expect()), Encoder: s.encoder, Returning: returning || s.apart, Apart: s.apart})
	select {
	case reply := <-s.inbox.replies:
		if reply.Err != nil {
			return j, reply.Err
		}
		return reply.Body.(room.Joined), nil
	case <-ctx.Done():
		return j, context.Cause(ctx)
	}
}

// leave ends what join began.
func (s *following) leave() {
	s.rooms.Tell(s.room, &room.Leave{Caller: s.caller(0)})
	s.rooms.Forget(s.address)
}

func (s *following) caller(ref uint64) room.Caller {
	return room.Caller{User: s.user, Address: s.address, Ref: ref}
}

// enter tells how the room stands, and finds where the user's place is in it.
func (s *following) enter(j room.Joined, from chat.Place) error {
	s.encode = s.encoders[s.encoder](j.Chat).Encode
	s.epoch, s.seq = j.Epoch, from.Seq
	entered := j.Entered()
	switch {
	case from.Now:
		s.seq = j.Seq
	case from.Epoch != "" && from.Epoch != j.Epoch:
		s.seq, entered.Anew = 0, chat.RestartEpoch
	case from.Seq > j.Seq:
		s.seq, entered.Anew = 0, chat.RestartAhead
	}
	return s.put(0, entered, s.encode(s.room, entered))
}

// live tells what the inbox gets. It returns nil when the inbox has become too small.
func (s *following) live(ctx context.Context) error {
	for {
		p, more := s.inbox.take()
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case p != nil && p.Seq > 0 && p.Seq <= s.seq: // it was read from the log
		case p != nil:
			if err := s.publish(p); err != nil {
				return err
			}
		case !more:
			return nil
		default:
			if err := s.settle(); err != nil {
				return err
			}
			select {
			case <-s.inbox.filled:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
	}
}

func (s *following) publish(p *room.Publication) error {
	if p.Seq > 0 {
		s.seq = p.Seq
	}
	return s.put(p.Seq, p.Notice, p.Encoded)
}

// put tells what was put before, of which it is known now that more follows. What the
// encoding has no form for is left out.
func (s *following) put(seq uint64, n chat.Notice, encoded any) error {
	if encoded == nil {
		return nil
	}
	before := s.next
	s.next = &chat.Told{Seq: seq, Epoch: s.epoch, Notice: n, Encoded: encoded}
	if before == nil {
		return nil
	}
	before.More = true
	return s.tell(*before)
}

// settle tells what was put last, since nothing follows for now.
func (s *following) settle() error {
	last := s.next
	if s.next = nil; last == nil {
		return nil
	}
	return s.tell(*last)
}
