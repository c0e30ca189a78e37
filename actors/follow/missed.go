package follow

import (
	"context"
	"errors"
	"iter"

	"parlor/actors/resume"
	"parlor/actors/room"
	"parlor/protocol/chat"
)

// maxShared is how many records a follower may have missed to get them from what is kept
// for all that come back. One that is further behind reads the log by itself.
const maxShared = 256

// A missed is a record that followers have missed, as it is kept for all that use one
// encoder.
type missed struct {
	record  chat.Record
	encoded any
}

// catchUp tells the records that the user has missed up to the join, and the text so far
// of the running turn.
func (s *following) catchUp(ctx context.Context, j room.Joined) error {
	if err := s.replay(ctx, j.Seq); err != nil {
		return err
	}
	if j.Turn == nil || j.Turn.Content+j.Turn.Thought == "" {
		return nil
	}
	soFar := j.Turn.SoFar()
	return s.put(0, soFar, s.encode(s.room, soFar))
}

func (s *following) replay(ctx context.Context, last uint64) error {
	if s.seq < last && last-s.seq <= maxShared {
		shared, err := s.replays.Read(ctx, s.source(), s.seq, last, s.maxBytes)
		if !errors.Is(err, resume.ErrTooMuch) {
			return s.putShared(ctx, shared, last, err)
		}
	}
	for s.seq < last {
		before := s.seq
		if err := s.readOn(ctx, last); err != nil {
			return err
		}
		if s.seq == before { // the room is about to say so
			return errDeleted
		}
	}
	return nil
}

func (s *following) putShared(ctx context.Context, shared []resume.Missed[missed], last uint64, err error) error {
	for _, one := range shared {
		for _, m := range one.Frames {
			if err := s.putMissed(ctx, m.record, m.encoded); err != nil {
				return err
			}
		}
	}
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err == nil:
		s.seq = last
	}
	return err
}

// readOn reads records from the log, and tells them while it reads.
func (s *following) readOn(ctx context.Context, last uint64) error {
	for record, err := range s.rooms.Records(ctx, s.user, s.room, s.seq) {
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			return err
		case record.Seq > last:
			return nil
		}
		if err := s.putMissed(ctx, record, s.encode(s.room, chat.Missed{Record: record})); err != nil {
			return err
		}
	}
	return nil
}

func (s *following) putMissed(ctx context.Context, r chat.Record, encoded any) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	s.seq = r.Seq
	return s.put(r.Seq, chat.Missed{Record: r}, encoded)
}

// source says how the records are read that are kept for all followers.
func (s *following) source() resume.Source[missed] {
	return resume.Source[missed]{
		Room: s.room, Epoch: s.epoch, Encoder: s.encoder,
		Records: func(ctx context.Context, after uint64) iter.Seq2[chat.Record, error] {
			return s.rooms.Records(ctx, s.user, s.room, after)
		},
		Encode: func(n chat.Notice) []missed {
			return []missed{{n.(chat.Missed).Record, s.encode(s.room, n)}}
		},
		Size: func(m missed) int { return weigh(m.record) },
	}
}
