package room

import (
	"slices"
	"strings"
	"time"

	"parlor/actors/access"
	"parlor/protocol/assistant"
	"parlor/protocol/chat"
	"parlor/protocol/engineio"
)

// What people say reaches the model at once and is recorded later, when it was
// written down:
//
//	AppendAudio … CommitAudio → line → Heard → MessageAdded, on disk
//	              Respond → TurnQueued (Spoken) → … → TurnEnded, behind that
//
// So an answer may begin before its question is recorded, but does not end.
// What nobody understood in time is recorded without words.
type voice struct {
	speaker chat.UserID // of whom speech waits to be committed
	since   time.Time   // when there was some last
	unheard []*speech   // in the order in which they were said
}

// speech is a message on its way from the ear to the log.
type speech struct {
	id    chat.MessageID
	by    Caller
	after uint64 // the last record when it was said
	timer *time.Timer

	understood bool
	text       string
	gen        int // of head when it was handed to the log; -1 before
}

// speakerPause is how long somebody who has not finished keeps the word.
const speakerPause = 3 * time.Second

var (
	errNotListening = chat.Refuse(chat.CodeInvalid, "the model of this chat does not listen")
	errSpeaking     = chat.Refuse(chat.CodeBusy, "somebody else is speaking")
	errMumbled      = chat.Refuse(chat.CodeBusy, "too much speech waits to be understood")
	errInaudible    = chat.Refuse(chat.CodeProviderTimeout, "what was said was not understood in time")
)

// unheard is the end of the time in which a message has to be understood.
type unheard struct{ message chat.MessageID }

func (*unheard) roomMessage() {}

// waiting returns what was not understood yet.
func (v *voice) waiting() (waiting []*speech) {
	for _, u := range v.unheard {
		if !u.understood {
			waiting = append(waiting, u)
		}
	}
	return waiting
}

func (v *voice) find(id chat.MessageID) *speech {
	if i := slices.IndexFunc(v.unheard, func(u *speech) bool { return u.id == id }); i >= 0 {
		return v.unheard[i]
	}
	return nil
}

// hears reports whether what was said as message will be recorded.
func (r *Room) hears(message chat.MessageID) bool { return r.voice.find(message) != nil }

// awaitsPrompt reports whether the turn cannot go on before its prompt is
// recorded: it has to end, or to ask a model that has not heard it.
func (r *Room) awaitsPrompt(t chat.Turn) bool {
	switch {
	case !t.Unheard, !r.hears(t.Prompt):
		return false
	case r.run.of(t.ID):
		return r.run.end != nil
	}
	return t.Attempt == 0 && (r.line == nil || r.line.model != t.ModelID)
}

// listen returns the line that the caller may speak on.
func (r *Room) listen(c Caller) (*line, *chat.Error) {
	if refusal := r.admit(c, access.Send); refusal != nil {
		return nil, refusal
	}
	if v := &r.voice; v.speaker != "" && v.speaker != c.User.ID && time.Since(v.since) < speakerPause {
		return nil, errSpeaking
	}
	if run := r.run; run != nil && run.line != nil && run.line.model != r.head.Chat.ModelID {
		r.bargeIn(c.User.ID) // on the model that the chat had before
	}
	l := r.lineFor(r.head.Chat.ModelID)
	switch {
	case l == nil:
		return nil, errNotListening
	case l.full():
		return nil, errMumbled
	}
	if r.voice.speaker != "" && r.voice.speaker != c.User.ID { // who has left a sentence unfinished
		l.tell(chat.AudioClear{})
		r.voice.speaker = ""
	}
	return l, nil
}

// appendAudio passes on what somebody is saying, over any answer: clients send
// no silence.
func (r *Room) appendAudio(c *AppendAudio) {
	l, refusal := r.listen(c.Caller)
	if refusal == nil && len(c.Audio) > r.MaxAudioBytes {
		refusal = errTooLarge
	}
	if refusal != nil {
		refuse(c.Caller, refusal)
		return
	}
	r.voice.speaker, r.voice.since = c.User.ID, time.Now()
	r.bargeIn(c.User.ID)
	l.tell(chat.AudioAppend{Audio: c.Audio})
	reply(c.Caller, Taken{})
}

func (r *Room) clearAudio(c *ClearAudio) {
	l, refusal := r.listen(c.Caller)
	if refusal != nil {
		refuse(c.Caller, refusal)
		return
	}
	r.voice.speaker = ""
	l.tell(chat.AudioClear{})
	reply(c.Caller, Taken{})
}

// commitAudio makes what the caller said a message.
func (r *Room) commitAudio(c *CommitAudio) {
	l, refusal := r.listen(c.Caller)
	if refusal == nil && len(r.voice.unheard) >= r.MaxUnheard {
		refusal = errMumbled
	}
	if refusal != nil {
		refuse(c.Caller, refusal)
		return
	}
	r.voice.speaker = ""
	r.bargeIn(c.User.ID)
	id := chat.MessageID(newID())
	l.tell(chat.AudioCommit{MessageID: id})
	r.voice.unheard = append(r.voice.unheard, &speech{
		id: id, by: c.Caller, after: r.head.Seq, timer: r.self.After(r.HearTimeout, &unheard{id}), gen: -1,
	})
	reply(c.Caller, Taken{id})
}

// bargeIn stops the running answer of a model that listens, and reports whether
// there was one. Its turn may still wait for its prompt to be written down.
func (r *Room) bargeIn(by chat.UserID) bool {
	if r.run == nil || r.run.line == nil || r.run.end != nil {
		return false
	}
	r.stopRun(by, "barge-in")
	return true
}

// lastSaid returns the last message, and whether it is not recorded yet.
func (r *Room) lastSaid() (last Sent, unheard bool) {
	last = r.head.Last
	for _, u := range r.voice.unheard {
		if u.after >= last.Seq && u.gen != r.gen {
			last, unheard = Sent{MessageID: u.id}, true
		}
	}
	return last, unheard
}

// heard notes what was understood of a message: nothing, if that failed.
func (r *Room) heard(h chat.Heard) {
	u := r.voice.find(h.MessageID)
	if u == nil || u.understood {
		return
	}
	u.timer.Stop()
	u.understood = true
	if h.Error != nil {
		r.log.Warn("speech was not understood", "message", u.id, "err", h.Error)
	}
	u.text = strings.ToValidUTF8(h.Text[:min(len(h.Text), r.MaxMessageBytes)], "")
	r.advance()
}

// writeDown hands to the log what was understood and is not there.
func (r *Room) writeDown() {
	if r.retry != nil || r.deleting || r.broken != nil || !r.head.Exists() {
		return
	}
	for _, u := range r.voice.unheard {
		if !u.understood || u.gen == r.gen || r.starting(u.id) {
			continue
		}
		u.gen = r.gen
		model := r.head.Chat.ModelID
		r.propose(Caller{}, "", nil, chat.MessageAdded{
			MessageID: u.id, Author: chat.User{ID: u.by.User.ID, Name: u.by.User.Name}, Content: u.text,
			ModelID: model, APISource: r.sourceOf(model), Modality: chat.ModalityAudio,
		})
	}
}

// starting reports whether the turn that answers the message is on its way to
// the disk as started. What it is asked is read from there, where the message
// must not be missing because it is behind.
func (r *Room) starting(message chat.MessageID) bool {
	turn, _ := r.head.Turn()
	confirmed, _ := r.shown.Turn()
	return turn.Unheard && turn.Prompt == message && turn.Attempt > 0 && (confirmed.ID != turn.ID || confirmed.Attempt != turn.Attempt)
}

// tellSpeaker tells who has said it what was understood, if that is what the
// record says, and returns who need not be told otherwise.
func (r *Room) tellSpeaker(record chat.Record) []Address {
	e, _ := record.Event.(chat.MessageAdded)
	u := r.voice.find(e.MessageID)
	if u == nil {
		return nil
	}
	m, here := r.members[u.by.Address]
	if !here {
		return nil
	}
	u.by.Address.Deliver(&Publication{Room: r.id, Seq: record.Seq, Frames: assistant.Heard(m.dialect, r.id, record)})
	return []Address{u.by.Address}
}

// wroteDown forgets speech that is on disk.
func (r *Room) wroteDown(id chat.MessageID) {
	r.voice.unheard = slices.DeleteFunc(r.voice.unheard, func(u *speech) bool { return u.id == id })
}

// speak tells the members a spoken piece of the answer. It is not recorded.
func (r *Room) speak(run *run, audio string) {
	if audio == "" {
		return
	}
	run.spoken = true
	r.deliver(Publication{Room: r.id}, nil, func(d assistant.Dialect) []engineio.Frame {
		return assistant.Audio(d, r.id, run.turn.MessageID, audio)
	})
}

// live reports whether the SPA is told of the turn's answer piece by piece.
func (r *Room) live(t chat.Turn) bool { return assistant.Live(r.sourceOf(t.ModelID), t.LocalID) }

// modality returns that of the answer.
func (r *run) modality() string {
	if r.spoken {
		return chat.ModalityAudio
	}
	return ""
}

// sourceOf returns the APISource of a model.
func (r *Room) sourceOf(id chat.ModelID) string {
	model, _ := r.Models.Model(id)
	return model.APISource
}
