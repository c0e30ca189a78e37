package follow_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	"parlor/actors/actortest"
	"parlor/actors/follow"
	"parlor/protocol/chat"
)

// A reader follows a room, and again from where it was each time that it is cut. It
// notes what is wrong with what it is told.
type reader struct {
	t    testing.TB
	user chat.User

	mu      sync.Mutex
	place   chat.Place
	records []uint64
	told    []chat.Told
	faults  []error
	texts   map[chat.MessageID]string // of running answers
	gate    chan struct{}             // nil, or tell waits for an element
	cut     context.CancelFunc
	ended   chan error
}

func newReader(t testing.TB, user chat.UserID) *reader {
	return &reader{t: t, user: chat.User{ID: user}, texts: make(map[chat.MessageID]string)}
}

// follow begins to follow where the reader was.
func (r *reader) follow(f *follow.Follower, encoder string) {
	ctx, cut := context.WithCancel(context.Background())
	r.cut, r.ended = cut, make(chan error, 1)
	place, ended := r.place, r.ended
	go func() {
		ended <- f.Follow(ctx, r.user, theChat, place, encoder, func(told chat.Told) error { return r.take(ctx, told) })
	}()
}

// stop cuts the reader off.
func (r *reader) stop() error {
	r.cut()
	return <-r.ended
}

// noted returns what the reader was told so far, and how many records.
func (r *reader) noted() (told []chat.Told, records int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.told), len(r.records)
}

func (r *reader) take(ctx context.Context, told chat.Told) error {
	if r.gate != nil {
		select {
		case <-r.gate:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.told = append(r.told, told)
	if err := r.check(told); err != nil {
		r.faults = append(r.faults, err)
	}
	return nil
}

func (r *reader) check(told chat.Told) error {
	switch n := told.Notice.(type) {
	case chat.Entered:
		clear(r.texts)
		r.place.Epoch = n.Epoch
	case chat.Record:
		return r.record(n, true)
	case chat.Missed:
		return r.record(n.Record, false)
	case chat.TextSoFar:
		r.texts[n.Turn.MessageID] = n.Text
	case chat.Text:
		id := n.Turn.MessageID
		if string(n.Before) != r.texts[id] {
			return fmt.Errorf("a piece follows %q, and the reader has %q", n.Before, r.texts[id])
		}
		r.texts[id] += n.Piece
	}
	return nil
}

func (r *reader) record(record chat.Record, live bool) error {
	if record.Seq != r.place.Seq+1 {
		return fmt.Errorf("record %d came after record %d", record.Seq, r.place.Seq)
	}
	r.place.Seq = record.Seq
	r.records = append(r.records, record.Seq)
	switch e := record.Event.(type) {
	case chat.TurnStarted:
		r.texts[e.MessageID] = ""
	case chat.TurnEnded:
		if text := r.texts[e.MessageID]; live && e.MessageID != "" && e.State == chat.StateCompleted && text != e.Content {
			return fmt.Errorf("the answer is %q, and the reader was told %q", e.Content, text)
		}
	}
	return nil
}

// newFollower makes a follower of the server's rooms. A small inbox holds a few
// publications.
func newFollower(s *actortest.Server, maxBytes int) *follow.Follower {
	return follow.New(follow.Options{Rooms: s.Rooms, Encoders: encoders(), MaxBytes: maxBytes})
}
