package aisdk

import (
	"context"
	"errors"
	"time"

	wire "parlor/protocol/aisdk"
	"parlor/protocol/chat"
)

// resume returns the stream of what the user waits for. It reports false if that is
// nothing. The answer that ended last is told once more for a while: a client that lost
// its connection before the end has a part of it, and cannot know that.
func (s *service) resume(ctx context.Context, u chat.User, id chat.ID) (st stream, ok bool, err error) {
	now, err := s.now(ctx, u, id)
	if err != nil {
		return stream{}, false, err
	}
	if now, err = s.shown(ctx, u, id, now); err != nil {
		return stream{}, false, err
	}
	if t, running := pick(now, u.ID); running {
		st := turnOf(id, t)
		st.runsTools = t.By == u.ID // if it has such calls, this app may be the one that runs them
		return st, true, nil
	}
	newest, _, err := s.rooms.History(ctx, u, id.Room(), 0, 1)
	if err != nil || len(newest) == 0 {
		return stream{}, false, err
	}
	m := newest[0]
	if m.Role != chat.RoleAssistant || time.Since(m.Created) > s.replayWindow {
		return stream{}, false, nil
	}
	return stream{chat: id, whole: &m}, true, nil
}

// shown leaves out the turns that answer messages of another branch, which the client does not
// show.
func (s *service) shown(ctx context.Context, u chat.User, id chat.ID, now chat.Entered) (chat.Entered, error) {
	var turns []chat.Turn
	for _, t := range open(now) {
		if t.PromptSeq > 0 && now.Branched > t.PromptSeq {
			last, _, err := s.rooms.History(ctx, u, id.Room(), t.PromptSeq+1, 1)
			if err != nil {
				return now, err
			}
			if len(last) == 0 || last[0].Seq != t.PromptSeq {
				continue
			}
		}
		turns = append(turns, t)
	}
	now.Turn, now.Queued = nil, turns
	return now, nil
}

// pick returns the turn that the user waits for: the first that answers the user's newest
// message, or else the one that runs or is next.
func pick(now chat.Entered, u chat.UserID) (chat.Turn, bool) {
	turns := open(now)
	mine := chat.MessageID("")
	for _, t := range turns {
		if t.By == u {
			mine = t.Prompt
		}
	}
	for _, t := range turns {
		if mine == "" || t.Prompt == mine {
			return t, true
		}
	}
	return chat.Turn{}, false
}

// open returns the turns of a room that have not ended.
func open(now chat.Entered) []chat.Turn {
	if now.Turn == nil {
		return now.Queued
	}
	return append([]chat.Turn{*now.Turn}, now.Queued...)
}

var errEnough = errors.New("aisdk: enough was told")

// now returns how the room of a chat stands.
func (s *service) now(ctx context.Context, u chat.User, id chat.ID) (now chat.Entered, err error) {
	err = s.rooms.Follow(ctx, u, id, chat.Place{Now: true}, encoder, func(t chat.Told) error {
		now = t.Notice.(chat.Entered) // which comes first
		return errEnough
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return now, err
}

// encoder is the name of the room's encoder that leaves notices as they are: each stream
// makes parts of them on its own.
const encoder = "plain"

// errWrong ends a stream whose client has to forget what it was told.
var errWrong = errors.New("aisdk: the text that was told does not stand")

// run tells a stream, until it is over. More means that further parts follow at once. The
// error is nil if the stream has come to its end, errWrong, or the one that has ended it.
func (s *service) run(ctx context.Context, u chat.User, st stream, tell func(parts []wire.Part, more bool) error) error {
	if st.whole != nil {
		return tell(wire.Whole(*st.whole, st.known, st.old), false)
	}
	if st.old {
		st.answer.Old()
	}
	if st.runsTools {
		st.answer.RunsTools()
	}
	err := s.rooms.Follow(ctx, u, st.chat, st.from, encoder, func(t chat.Told) error {
		parts := st.answer.Tell(t.Notice)
		state := st.answer.State()
		if err := tell(parts, t.More && state == wire.Going); err != nil {
			return err
		}
		switch state {
		case wire.Over:
			return errEnough
		case wire.Wrong:
			return errWrong
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

// A service does what clients ask for, over either transport.
type service struct {
	rooms        Rooms
	models       Models
	replayWindow time.Duration
	wishes       wishes
}
