package resume

import (
	"cmp"
	"container/list"
	"context"
	"errors"
	"iter"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"parlor/protocol/chat"
)

// The defaults of [Replays].
const (
	defaultCacheBytes = 32 << 20
	defaultKeepFor    = 10 * time.Second
)

// patience is how long a client waits for another one that reads and gets no record.
const patience = time.Second

// ErrTooMuch says that a client has missed more than may be replayed.
var ErrTooMuch = errors.New("resume: too much was missed")

// Replays reads the records that clients have missed. After a restart all clients of a
// room come back together, so Replays keeps for a short time what it has read: a record
// is read, decoded and encoded once for all clients that use the same encoder. The zero
// value is ready to use, and the methods may be called from any goroutine.
type Replays[F any] struct {
	MaxBytes int           // of frames that are kept. Zero means 32 MiB
	KeepFor  time.Duration // after the last use. Zero means 10 seconds

	mu      sync.Mutex
	windows map[window]*list.Element // of *cached[F]
	byUse   list.List                // the latest use is in front
	bytes   int
	timer   *time.Timer // until the next sweep; nil if no window is kept
}

// A Source says how to read the records of a room, and how to encode them.
type Source[F any] struct {
	Room    chat.RoomID
	Epoch   string // of the room's log
	Encoder string // the name of what Encode does

	Records func(ctx context.Context, after uint64) iter.Seq2[chat.Record, error]
	Encode  func(chat.Notice) []F
	Size    func(F) int
}

// Missed is the frames of one record. It is shared by clients and must not be changed.
type Missed[F any] struct {
	Seq    uint64
	Frames []F
	Record *chat.Record // if what a client is told of it depends on the client
	size   int
}

// particular returns the record if what a client is told of it depends on the client: if it
// has an origin (see [Standing.Sent]), or an answer with it begins or ends of which the
// client may have a part (see [Place.SetText]). Of what was written it has no content.
func particular(r chat.Record) *chat.Record {
	switch e := r.Event.(type) {
	case chat.MessageAdded:
		if e.Origin == "" {
			return nil
		}
		if !r.Spoken() {
			r.Event = chat.MessageAdded{MessageID: e.MessageID, ClientID: e.ClientID, Origin: e.Origin, Unasked: e.Unasked}
		}
	case chat.TurnQueued:
		if e.Origin == "" {
			return nil
		}
	case chat.TurnStarted:
		if !e.Duplex || e.Attempt == 1 {
			return nil
		}
	case chat.TurnEnded:
		if !e.Duplex {
			return nil
		}
	default:
		return nil
	}
	return &r
}

// A window names the records of one room in one encoding.
type window struct {
	room           chat.RoomID
	epoch, encoder string
}

// cached is the part of a window that is kept: all records after record after, up to
// record last. One goroutine at a time holds the token, and may read and change it.
type cached[F any] struct {
	window
	token    chan struct{}
	progress atomic.Uint64 // grows with each record that is read, and with each use of the token

	after, last uint64
	records     []Missed[F]
	bytes       int

	// A client that has no more than a record before tooFar has missed more than
	// limit bytes up to record tooMuch. No Read had a larger limit so far.
	tooFar, tooMuch uint64
	limit           int

	// Guarded by Replays.mu:
	users        int // that wait for the token or hold it
	lastUse      time.Time
	countedBytes int // in Replays.bytes
}

// Read returns the records of the source after record after, up to record last, which
// must be on disk. It fails with [ErrTooMuch] if they have more than limit bytes; one
// record alone is never too much. While another client reads the same room, Read waits
// for it.
func (r *Replays[F]) Read(ctx context.Context, s Source[F], after, last uint64, limit int) ([]Missed[F], error) {
	c := r.take(window{s.Room, s.Epoch, s.Encoder})
	defer r.release(c)
	switch ok, err := c.acquire(ctx); {
	case err != nil:
		return nil, err
	case !ok:
		return new(cached[F]).read(ctx, s, after, last, limit, true)
	}
	defer func() { c.progress.Add(1); <-c.token }()
	defer r.count(c)
	switch {
	case limit > c.limit:
		c.limit, c.tooFar = limit, 0
	case after < c.tooFar && last >= c.tooMuch:
		return nil, ErrTooMuch
	}
	err := c.fill(ctx, s, after, last, limit)
	missed := c.between(after, last)
	if err == nil && size(missed) > limit && len(missed) > 1 {
		err = ErrTooMuch
	}
	switch {
	case err == nil:
		return slices.Clip(missed), nil
	case errors.Is(err, ErrTooMuch) && limit == c.limit && after >= c.tooFar:
		c.tooFar, c.tooMuch = after+1, last
	}
	return nil, err
}

// acquire waits for the token. It reports false if the client that has the token gets
// no records: reads of a client may have to wait for other reads of its user, and then
// other users must not wait for this client.
func (c *cached[F]) acquire(ctx context.Context) (ok bool, err error) {
	for {
		before := c.progress.Load()
		timer := time.NewTimer(patience)
		select {
		case c.token <- struct{}{}:
			timer.Stop()
			return true, nil
		case <-ctx.Done():
			timer.Stop()
			return false, ctx.Err()
		case <-timer.C:
			if c.progress.Load() == before {
				return false, nil
			}
		}
	}
}

// fill reads the records that are not kept yet.
func (c *cached[F]) fill(ctx context.Context, s Source[F], after, last uint64, limit int) error {
	if c.last < after || last <= c.after || c.after == c.last { // what is kept is of no use
		c.after, c.last, c.records, c.bytes = after, after, nil, 0
	}
	if after < c.after {
		kept := size(c.between(c.after, last))
		older, err := c.read(ctx, s, after, c.after, limit-kept, kept == 0)
		if err != nil {
			return err
		}
		c.records, c.after = append(older, c.records...), after
		c.bytes += size(older)
	}
	if last <= c.last {
		return nil
	}
	kept := size(c.between(after, c.last))
	newer, err := c.read(ctx, s, c.last, last, limit-kept, kept == 0)
	c.records = append(c.records, newer...)
	c.bytes += size(newer)
	switch {
	case err == nil:
		c.last = last
	case len(newer) > 0: // these are kept for the next client
		c.last = newer[len(newer)-1].Seq
	}
	c.trim()
	return err
}

// trim drops the oldest records, if a client that has missed them has missed too much.
func (c *cached[F]) trim() {
	for len(c.records) > 1 && c.bytes-c.records[0].size > c.limit {
		c.after = c.records[0].Seq
		c.bytes -= c.records[0].size
		c.records = c.records[1:]
	}
}

// between returns the records after record after, up to record last.
func (c *cached[F]) between(after, last uint64) []Missed[F] {
	bySeq := func(m Missed[F], seq uint64) int { return cmp.Compare(m.Seq, seq+1) }
	from, _ := slices.BinarySearchFunc(c.records, after, bySeq)
	to, _ := slices.BinarySearchFunc(c.records, last, bySeq)
	return c.records[from:max(from, to)]
}

// read reads and encodes the records after record after, up to record last. If they are
// too much it returns the first of them, as many as are not. If alone is set the first
// record is never too much.
func (c *cached[F]) read(ctx context.Context, s Source[F], after, last uint64, limit int, alone bool) (missed []Missed[F], err error) {
	for record, err := range s.Records(ctx, after) {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return missed, err
		}
		c.progress.Add(1)
		if record.Seq > last {
			break
		}
		m := Missed[F]{Seq: record.Seq, Frames: s.Encode(chat.Missed{Record: record}), Record: particular(record)}
		if len(m.Frames) == 0 && m.Record == nil {
			continue
		}
		for _, f := range m.Frames {
			m.size += s.Size(f)
		}
		if limit -= m.size; limit < 0 && !(alone && len(missed) == 0) {
			return missed, ErrTooMuch
		}
		missed = append(missed, m)
	}
	return missed, nil
}

func size[F any](missed []Missed[F]) (bytes int) {
	for _, m := range missed {
		bytes += m.size
	}
	return bytes
}

// take returns what is kept of a window. It stays until it is released.
func (r *Replays[F]) take(w window) *cached[F] {
	r.mu.Lock()
	defer r.mu.Unlock()
	e, ok := r.windows[w]
	if !ok {
		if r.windows == nil {
			r.windows = make(map[window]*list.Element)
		}
		e = r.byUse.PushFront(&cached[F]{window: w, token: make(chan struct{}, 1)})
		r.windows[w] = e
	}
	r.byUse.MoveToFront(e)
	c := e.Value.(*cached[F])
	c.users++
	return c
}

func (r *Replays[F]) release(c *cached[F]) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c.users--
	c.lastUse = time.Now()
	r.dropLocked()
}

// count counts the bytes that are kept now.
func (r *Replays[F]) count(c *cached[F]) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.bytes += c.bytes - c.countedBytes
	c.countedBytes = c.bytes
}

// dropLocked drops what was not used for KeepFor. While there are more than MaxBytes, it
// also drops what was used least recently.
func (r *Replays[F]) dropLocked() {
	oldest := time.Now().Add(-cmp.Or(r.KeepFor, defaultKeepFor))
	var before *list.Element
	for e := r.byUse.Back(); e != nil; e = before {
		before = e.Prev()
		c := e.Value.(*cached[F])
		if c.users > 0 {
			continue
		}
		if c.lastUse.After(oldest) && r.bytes <= cmp.Or(r.MaxBytes, defaultCacheBytes) {
			break
		}
		r.byUse.Remove(e)
		delete(r.windows, c.window)
		r.bytes -= c.countedBytes
	}
	switch {
	case r.byUse.Len() == 0:
		if r.timer != nil {
			r.timer.Stop()
			r.timer = nil
		}
	case r.timer == nil:
		r.timer = time.AfterFunc(cmp.Or(r.KeepFor, defaultKeepFor), r.sweep)
	}
}

// sweep drops what was not used for KeepFor, and starts the timer again if anything is
// left.
func (r *Replays[F]) sweep() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.timer = nil
	r.dropLocked()
}
