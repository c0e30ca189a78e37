package room

import (
	"slices"

	"parlor/protocol/assistant"
	"parlor/protocol/chat"
	"parlor/protocol/engineio"
)

// A Publication is something that members of a room are told, encoded in the
// dialect that they speak. It is shared by them and must not be changed.
type Publication struct {
	Room   chat.RoomID
	Seq    uint64 // of the record; 0 for what is not recorded
	Gone   bool   // the chat was deleted, and the address is no member any more
	Frames []engineio.Frame
}

// publish tells the members what was recorded, but those that know it from the
// answer to their command.
func (r *Room) publish(record chat.Record) {
	know := r.informed[record.Seq]
	delete(r.informed, record.Seq)
	know = append(know, r.tellSpeaker(record)...)
	r.deliver(Publication{Room: r.id, Seq: record.Seq}, know, func(d assistant.Dialect) []engineio.Frame {
		return assistant.Record(d, r.id, record)
	})
}

func (r *Room) publishDelta(run *run, text string) {
	r.deliver(Publication{Room: r.id}, nil, func(d assistant.Dialect) []engineio.Frame {
		if run.live {
			return assistant.LiveDelta(d, r.id, run.turn.MessageID, run.length, text, run.spoken)
		}
		return assistant.Delta(d, r.id, run.turn.MessageID, run.length, text)
	})
}

func (r *Room) publishNews(run *run, d chat.Delta) {
	r.deliver(Publication{Room: r.id}, nil, func(dialect assistant.Dialect) []engineio.Frame {
		return assistant.News(dialect, r.id, run.turn.MessageID, d)
	})
}

func (r *Room) publishGone() {
	r.deliver(Publication{Room: r.id, Gone: true}, nil, func(assistant.Dialect) []engineio.Frame { return assistant.Gone(r.id) })
}

// deliver sends p to all members but a few, encoded once for each dialect that
// is spoken here. Whoever's dialect has no event for it gets nothing.
func (r *Room) deliver(p Publication, except []Address, encode func(assistant.Dialect) []engineio.Frame) {
	var encoded [assistant.Dialects]*Publication
	for address, m := range r.members {
		if slices.Contains(except, address) {
			continue
		}
		if encoded[m.dialect] == nil {
			dialect := p
			dialect.Frames = encode(m.dialect)
			encoded[m.dialect] = &dialect
		}
		if e := encoded[m.dialect]; len(e.Frames) > 0 {
			address.Deliver(e)
		}
	}
}
