package rooms

import (
	"context"

	"parlor/actors/room"
	"parlor/protocol/chat"
)

// maxEditedSpans is how many spans of one room are remembered.
const maxEditedSpans = 1024

// edited is what edits have taken out of a conversation up to record seq. It is
// remembered, so that queries need not read all records behind the last snapshot of a
// room. Those may be many: an imported chat has no snapshot, and a snapshot in an older
// format is not read.
type edited struct {
	seq   uint64
	spans chat.Superseded
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
		known = edited{seq, spans}
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
		r.edits.keep(info, known)
	}
	return known.spans, nil
}
