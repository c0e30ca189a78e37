package rooms

import (
	"context"
	"sync"

	"parlor/actors/room"
	"parlor/protocol/chat"
)

// Limits of the rooms whose edits are remembered.
const (
	maxEditedRooms = 1024
	maxEditedSpans = 1024 // of one room
)

// edits remembers what edits have taken out of conversations. It saves queries from
// reading all records behind the last snapshot of a room. Those may be many: an
// imported chat has no snapshot, and a snapshot in an older format is not read.
type edits struct {
	mu    sync.Mutex
	rooms map[chat.RoomID]edited
}

// edited is what edits have taken out of a conversation up to record seq.
type edited struct {
	epoch string // of the chat
	seq   uint64
	spans chat.Superseded
}

func (e *edits) of(info chat.Info) (edited, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	known, ok := e.rooms[info.Room]
	return known, ok && known.epoch == info.Epoch
}

// keep remembers what is known of a room. If too many rooms are remembered, it
// forgets any other.
func (e *edits) keep(id chat.RoomID, known edited) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.rooms == nil {
		e.rooms = make(map[chat.RoomID]edited)
	}
	if _, replaces := e.rooms[id]; !replaces && len(e.rooms) >= maxEditedRooms {
		for other := range e.rooms {
			delete(e.rooms, other)
			break
		}
	}
	e.rooms[id] = known
}

// superseded returns what edits have taken out of a conversation, as far as the
// edits are on disk.
func (r *Rooms) superseded(ctx context.Context, read *read, info chat.Info) (chat.Superseded, error) {
	known, ok := r.edits.of(info)
	if !ok {
		seq, spans, err := room.SavedSuperseded(r.log, info.Room)
		if err != nil {
			return nil, err
		}
		known = edited{info.Epoch, seq, spans}
	}
	for entry, err := range paced(ctx, read, r.log.Read(string(info.Room), known.seq)) {
		if err != nil {
			return nil, err
		}
		known.seq = entry.Seq
		if !chat.TakesOut(entry.Data) {
			continue
		}
		record, err := chat.DecodeRecord(entry.Seq, entry.Data)
		if err != nil {
			return nil, err
		}
		known.spans = known.spans.After(record)
	}
	if len(known.spans) <= maxEditedSpans {
		r.edits.keep(info.Room, known)
	}
	return known.spans, nil
}
