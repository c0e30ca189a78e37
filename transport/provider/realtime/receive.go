package realtime

import (
	"cmp"
	"context"
	"slices"
	"time"

	"parlor/protocol/chat"
	"parlor/transport/provider/upstream"
)

// receive handles a server event, or the end of the connection.
func (s *session) receive(r received) {
	if r.err != nil {
		s.lost(s.lostBy(r.err, s.noticed))
		return
	}
	s.noticed = nil
	switch e := &r.serverEvent; e.Type {
	case "error":
		s.refused(cmp.Or(e.Error, new(serverError)))
	case "response.created":
		s.created(&e.Response)
	case "response.output_item.added":
		s.produced(e)
		s.callItem(e.ResponseID, e.Item, false)
	case "response.output_item.done":
		s.callItem(e.ResponseID, e.Item, true)
	case "conversation.item.created", "conversation.item.added":
		s.callItem(s.speaking(), e.Item, false)
	case "conversation.item.done":
		s.callItem(s.speaking(), e.Item, true)
	case "response.function_call_arguments.delta":
		s.argument(e)
	case "response.function_call_arguments.done":
		s.callItem(e.ResponseID, serverItem{e.ItemID, functionCall, e.CallID, e.Name, e.Arguments}, true)
	case "response.output_text.delta", "response.output_audio_transcript.delta":
		s.text(e.ResponseID, e.Delta)
	case "response.output_audio.delta":
		s.piece(e.ResponseID, chat.Delta{Audio: e.Delta.String()})
	case "response.done":
		s.done(&e.Response)
	case "input_audio_buffer.committed":
		s.committed(e.ItemID)
	case "conversation.item.input_audio_transcription.completed":
		s.written(e.ItemID, chat.Heard{Text: e.Transcript})
	case "conversation.item.input_audio_transcription.failed":
		s.written(e.ItemID, chat.Heard{Error: s.reported(cmp.Or(e.Error, new(serverError))).Err})
	}
}

// refused handles an error event. It leaves the session open, and what it means
// depends on the client event that it names. One that names none is taken for
// the refusal of an answer that has not begun, and else kept: it may be why the
// connection ends next. That of an expired session certainly is.
func (s *session) refused(e *serverError) {
	commit := slices.IndexFunc(s.commits, func(c commit) bool { return c.event == e.EventID })
	created := slices.IndexFunc(s.items, func(i item) bool { return i.event != "" && i.event == e.EventID })
	switch {
	case e.Code == sessionExpired:
		f := s.reported(e)
		f.Retryable = true // though its type is that of a bad request
		s.lost(f)
	case e.EventID == s.config:
		f := s.reported(e)
		f.Retryable = false
		s.lost(f)
	case commit >= 0:
		s.deaf(s.commits[commit].message, s.reported(e))
		s.forget(string(s.commits[commit].message))
		s.commits = slices.Delete(s.commits, commit, commit+1)
	case created >= 0: // the answer would be one to something else
		s.items = slices.Delete(s.items, created, created+1)
		s.fail(s.reported(e))
	case s.flight != nil && s.flight.id == "" && e.Code == activeResponse:
		s.again(s.reported(e))
	case s.flight != nil && s.flight.id == "" && e.EventID == s.flight.event && s.flight.ask != nil && len(s.flight.ask.Tools) > 0 && !s.noTools && refusesTools.MatchString(e.Message):
		s.noTools = true
		s.flight = nil // it is asked for again
	case s.flight != nil && s.flight.id == "" && (e.EventID == "" || e.EventID == s.flight.event):
		s.fail(s.reported(e))
		if e.EventID != "" { // nothing was begun
			s.flight = nil
			s.overdue.Stop()
		}
	case e.EventID == "":
		s.noticed = e
	}
}

// append passes on what somebody is saying. If a part of it was lost, so is the
// rest: nothing is tried again for it.
func (s *session) append(ctx context.Context, in chat.AudioAppend) {
	if s.lostPart || !s.connected(ctx) {
		s.lostPart = true
		return
	}
	s.send(clientEvent{Type: "input_audio_buffer.append", Audio: in.Audio})
	s.appended = true
}

// commit makes what was appended a message.
func (s *session) commit(ctx context.Context, in chat.AudioCommit) {
	lost := s.lostPart
	s.lostPart = false
	switch {
	case lost && s.conn != nil:
		s.send(clientEvent{Type: "input_audio_buffer.clear"})
		fallthrough
	case lost, !s.connected(ctx):
		s.appended = false
		s.deaf(in.MessageID, errUnheard)
		return
	}
	s.appended = false
	s.commits = append(s.commits, commit{in.MessageID, s.send(clientEvent{Type: "input_audio_buffer.commit"})})
	s.items = append(s.items, item{key: string(in.MessageID), spoken: true})
}

// committed names the item of the oldest commit.
func (s *session) committed(id string) {
	if len(s.commits) == 0 {
		return
	}
	message := s.commits[0].message
	s.commits = s.commits[1:]
	if id == "" {
		s.deaf(message, errUnwritten)
		return
	}
	if i := s.items.find(string(message)); i >= 0 {
		s.items[i].id = id
	}
	s.heard[id] = heard{message, time.Now()}
}

// written tells what was understood of an item.
func (s *session) written(id string, h chat.Heard) {
	said, ok := s.heard[id]
	if !ok {
		return
	}
	delete(s.heard, id)
	h.MessageID = said.message
	s.out.put(chat.Delta{Heard: &h})
}

// deaf tells that nothing was understood, and why.
func (s *session) deaf(message chat.MessageID, f *upstream.Failure) {
	s.out.put(chat.Delta{Heard: &chat.Heard{MessageID: message, Error: f.Err}})
}

func (s *session) forget(key string) {
	if i := s.items.find(key); i >= 0 {
		s.items = slices.Delete(s.items, i, i+1)
	}
}
