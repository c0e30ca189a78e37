package assistant

import (
	"bytes"
	"unicode/utf8"

	"parlor/protocol/chat"
	"parlor/protocol/engineio"
	"parlor/protocol/socketio"
)

// live reports whether the SPA is told of an answer piece by piece, in the
// events of the realtime family: if the model is asked in sessions, unless the
// question came in the other family (with an id of the page's own), whose
// spinner only a whole message ends.
func live(duplex bool, localID string) bool { return duplex && localID == "" }

// Live reports the same of a running turn.
func Live(t chat.Turn) bool { return live(t.Duplex, t.Correlation) }

// The bodies of the realtime family, WIRE-ASSISTANT §8, under the names that
// the SPA knows: those of OpenAI's protocol before it became generally available.
type (
	liveText struct {
		Type       string         `json:"type"`
		Item       chat.MessageID `json:"item_id"`
		Transcript string         `json:"transcript"`
	}
	liveDone struct {
		Type      string       `json:"type"`
		Response  liveResponse `json:"response"`
		Timestamp string       `json:"timestamp"`
	}
	liveResponse struct {
		ID     chat.MessageID `json:"id"`
		Status string         `json:"status"`
		Output []liveItem     `json:"output"`
		Usage  *liveUsage     `json:"usage"`
	}
	liveUsage struct {
		Input  int `json:"input_tokens"`
		Output int `json:"output_tokens"`
		Total  int `json:"total_tokens"`
	}
	liveItem struct {
		ID      chat.MessageID `json:"id"`
		Type    string         `json:"type"`
		Role    chat.Role      `json:"role"`
		Status  string         `json:"status,omitempty"`
		Content []liveContent  `json:"content"`
	}
	liveContent struct {
		Type string `json:"type"`
		Text string `json:"text"`
	}
	liveUser struct {
		Type    string       `json:"type"`
		Room    string       `json:"room_id"`
		Message liveEnvelope `json:"message"`
	}
	liveEnvelope struct {
		Type string         `json:"type"`
		ID   chat.MessageID `json:"id"`
		Data struct {
			Item liveItem `json:"item"`
		} `json:"data"`
	}
)

const (
	textDelta       = "response.text.delta"
	transcriptDelta = "response.audio_transcript.delta"
	transcriptDone  = "response.audio_transcript.done"
	audioDelta      = "response.audio.delta"
	responseDone    = "response.done"
	userMessage     = "user.message"
	transcribed     = "conversation.item.input_audio_transcription.completed"
)

// livePieces is [Delta] for a live answer, which is spoken or not: the SPA's
// dialect has events for it.
func livePieces(d Dialect, room chat.RoomID, messageID chat.MessageID, offset int, text string, spoken bool) []engineio.Frame {
	f := frames(Delta(d, room, messageID, offset, text))
	if d == Documented {
		return f
	}
	kind := textDelta
	if spoken {
		kind = transcriptDelta
	}
	return append(f, livePiece(room, kind, messageID, text))
}

// livePiece is written by hand, like chunk.
func livePiece(room chat.RoomID, kind string, messageID chat.MessageID, delta string) engineio.Frame {
	arg := make([]byte, 0, 96+len(delta)+len(delta)/8)
	arg = append(arg, `{"type":"`...)
	arg = append(arg, kind...)
	arg = append(arg, `","item_id":`...)
	arg = socketio.AppendString(arg, string(messageID))
	arg = append(arg, `,"delta":`...)
	arg = socketio.AppendString(arg, delta)
	return socketio.EventFrame(Namespace, name("receive_message", string(room)), append(arg, '}'))
}

// Audio encodes a spoken piece of the answer messageID. It is for listening
// now: it is never told again, and dropped for clients that are behind.
func Audio(d Dialect, room chat.RoomID, messageID chat.MessageID, audio string) []engineio.Frame {
	var f frames
	if d != SPA {
		arg := make([]byte, 0, 64+len(audio))
		arg = append(arg, `{"message_id":`...)
		arg = socketio.AppendString(arg, string(messageID))
		arg = append(arg, `,"audio":`...)
		arg = socketio.AppendString(arg, audio)
		f = append(f, socketio.EventFrame(Namespace, name("audio", string(room)), append(arg, '}')))
	}
	if d != Documented {
		f = append(f, livePiece(room, audioDelta, messageID, audio))
	}
	return f
}

// heard encodes, for who said it, the record of what was understood: the SPA
// fills the bubble that waits for it.
func heard(d Dialect, room chat.RoomID, r chat.Record) []engineio.Frame {
	var f frames
	if d != SPA {
		f.documented(string(room), r)
	}
	if m, ok := r.Message(); ok && d != Documented {
		f.emit("receive_message", string(room), liveText{transcribed, m.ID, Visible(m)})
	}
	return f
}

// soFar encodes the text so far of a running answer, for a client that may have
// some of it. The SPA is told only of a live answer.
func soFar(d Dialect, room chat.RoomID, n chat.TextSoFar) []engineio.Frame {
	var f frames
	if n.Thought != "" {
		f = append(f, thought(d, room, n.Turn.MessageID, 0, n.Thought)...)
	}
	if n.Text == "" {
		return f
	}
	f = append(f, Delta(d, room, n.Turn.MessageID, 0, n.Text)...)
	if Live(n.Turn) && d != Documented {
		f.goOn(room, n.Turn.MessageID, n.Text, n.Has)
	}
	return f
}

// replay encodes a record for a client that was not there when it was told: it
// lacks what was told before it too, which of a live answer is its text or the rest of it.
func replay(d Dialect, room chat.RoomID, n chat.Missed) []engineio.Frame {
	r := n.Record
	e, ended := r.Event.(chat.TurnEnded)
	if !ended || d == Documented || !live(e.Duplex, e.Correlation) || e.Content == "" {
		return recorded(d, room, r)
	}
	var f frames
	if d != SPA {
		f.documented(string(room), r)
	}
	f.goOn(room, e.MessageID, e.Content, n.Has)
	f.spa(string(room), r)
	return f
}

// goOn tells the SPA what it lacks of a text, if it is known to have the first bytes of it:
// the page adds that to the bubble that it has open. Otherwise goOn closes the bubble and
// opens one with all of the text.
func (f *frames) goOn(room chat.RoomID, messageID chat.MessageID, text string, has int) {
	if has <= 0 || has < len(text) && !utf8.RuneStart(text[has]) {
		f.emit("receive_message", string(room), closing(messageID, "incomplete", ""))
		has = 0
	}
	if has < len(text) {
		*f = append(*f, livePiece(room, textDelta, messageID, text[has:]))
	}
}

// closing closes the SPA's bubble without saying anything.
func closing(messageID chat.MessageID, status, at string) liveDone {
	return liveDone{responseDone, liveResponse{ID: messageID, Status: status, Output: []liveItem{}}, at}
}

// liveEnd ends a live answer for the SPA. One that is not complete has no
// output, which closes its bubble: else the next answer would go on there (§9.5).
func (f *frames) liveEnd(room string, r chat.Record, e chat.TurnEnded) {
	at := chat.Timestamp(r.At)
	if e.State != chat.StateCompleted {
		status := "cancelled"
		if e.State == chat.StateFailed {
			status = "failed"
		}
		f.emit("receive_message", room, closing(e.MessageID, status, at))
		return
	}
	if e.Modality == chat.ModalityAudio {
		f.emit("receive_message", room, liveText{transcriptDone, e.MessageID, e.Content})
	}
	done := closing(e.MessageID, "completed", at)
	done.Response.Output = []liveItem{{e.MessageID, "message", chat.RoleAssistant, "completed", []liveContent{{"text", e.Content}}}}
	if u := e.Usage; u != nil {
		done.Response.Usage = &liveUsage{u.PromptTokens, u.CompletionTokens, u.TotalTokens}
	}
	f.emit("receive_message", room, done)
}

// liveMessage tells the SPA what somebody else said to a model of the realtime
// family.
func (f *frames) liveMessage(room string, r chat.Record) {
	m, _ := r.Message()
	u := liveUser{Type: userMessage, Room: room, Message: liveEnvelope{Type: "conversation.item.create", ID: m.ID}}
	u.Message.Data.Item = liveItem{ID: m.ID, Type: "message", Role: m.Role, Content: []liveContent{{"input_text", Visible(m)}}}
	f.emit("receive_message", room, u)
}

var (
	audioHead   = []byte(`42` + Namespace + `,["audio `)
	messageHead = []byte(`42` + Namespace + `,["receive_message `)
	audioType   = []byte(`,{"type":"` + audioDelta + `"`)
)

// audioTypeEnd is where the type of an event has ended, behind the name of a room.
const audioTypeEnd = 160

// Shed returns the frames without those that a client which is behind can best
// do without: what it should have heard by now. The slice is not changed.
func Shed(frames []engineio.Frame) []engineio.Frame {
	kept := make([]engineio.Frame, 0, len(frames))
	for _, f := range frames {
		if !isAudio(f) {
			kept = append(kept, f)
		}
	}
	return kept
}

// isAudio recognises what [Audio] encodes. No text can look like it: quotes in
// it are escaped.
func isAudio(f engineio.Frame) bool {
	return bytes.HasPrefix(f.Data, audioHead) ||
		bytes.HasPrefix(f.Data, messageHead) && bytes.Contains(f.Data[:min(len(f.Data), audioTypeEnd)], audioType)
}
