package api

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"parlor/protocol/assistant"
	"parlor/protocol/chat"
)

// Talk is the part of the server that takes what users say. Its methods return when that
// is on disk. They have the errors of [Chats.Get], and those of the Socket.IO events that do
// the same.
type Talk interface {
	Say(ctx context.Context, u chat.User, id chat.ID, m chat.Say) (chat.Said, error)
	Edit(ctx context.Context, u chat.User, id chat.ID, m chat.Edit) (chat.Said, error)
	Regenerate(ctx context.Context, u chat.User, id chat.ID, a chat.Again) (chat.Queued, error)
	Stop(ctx context.Context, u chat.User, id chat.ID, s chat.Stop) (chat.Stopped, error)
	Decide(ctx context.Context, u chat.User, id chat.ID, d chat.Decide) (chat.Decided, error)
}

// The names of the requests that say something.
const (
	sayName  = "POST /chat/{chat_id}/messages"
	editName = "PATCH /chat/{chat_id}/messages/{message_id}"
)

// The answers are the acknowledgements of the Socket.IO events that do the same.
type (
	wireSaid struct {
		OK bool `json:"ok"`
		assistant.MessageSent
		Turns []chat.TurnID `json:"turn_ids"` // ours: that answer it
	}
	wireQueued struct {
		OK bool `json:"ok"`
		assistant.TurnQueued
	}
	wireStopped struct {
		OK bool `json:"ok"`
		assistant.TurnStopped
	}
	wireDecided struct {
		OK bool `json:"ok"`
		assistant.CallDecided
	}
)

// A made answer is of something that is there now. If an earlier request with the same key
// has made it the status is 200 and not 201.
type made struct {
	body     any
	repeated bool
}

func (m made) status() int {
	if m.repeated {
		return http.StatusOK
	}
	return http.StatusCreated
}

// A talkArea takes what users say.
type talkArea struct{ chats Talk }

func (a *talkArea) routes() map[string]endpoint {
	return map[string]endpoint{
		sayName: a.say, editName: a.edit, "POST /chat/{chat_id}/messages/{message_id}/regenerate": inChat(a.regenerate),
		"POST /chat/{chat_id}/calls/{call_id}": inChat(a.decide), "POST /chat/{chat_id}/stop": inChat(a.stop),
	}
}

func (a *talkArea) say(r *http.Request, u chat.User) (any, error) {
	id, m, err := decodeSay(r)
	if err != nil {
		return nil, err
	}
	said, err := a.chats.Say(r.Context(), u, id, m)
	return showSaid(said), worded(err)
}

func (a *talkArea) edit(r *http.Request, u chat.User) (any, error) {
	id, m, err := decodeSay(r)
	if err == nil && (m.Policy != "" || len(m.Files) > 0) {
		err = chat.Refuse(chat.CodeInvalid, "an edit has no policy, since it waits for its turn, and keeps the files of the message")
	}
	if err != nil {
		return nil, err
	}
	said, err := a.chats.Edit(r.Context(), u, id, chat.Edit{
		MessageID: messageID(r), Content: m.Content, ModelID: m.ModelID, ClientID: m.ClientID, Answer: m.Answer,
	})
	return showSaid(said), err
}

// decodeSay reads what is said, and in which chat.
func decodeSay(r *http.Request) (chat.ID, chat.Say, error) {
	id, err := chatID(r)
	if err != nil {
		return "", chat.Say{}, err
	}
	var body struct {
		Content  string        `json:"content"`
		ModelID  chat.ModelID  `json:"model_id"`
		ClientID chat.ClientID `json:"client_message_id"`
		Policy   chat.Policy   `json:"policy"`
		Answer   *bool         `json:"answer"`
		Files    []chat.FileID `json:"files"`
	}
	if err := decodeBody(r, &body); err != nil {
		return "", chat.Say{}, err
	}
	key, err := clientID(r, body.ClientID)
	switch {
	case err != nil:
	case strings.TrimSpace(body.Content) == "" && len(body.Files) == 0:
		err = chat.Refuse(chat.CodeInvalid, "content is missing or empty")
	case body.Policy != "" && !body.Policy.Valid():
		err = chat.Refuse(chat.CodeInvalid, "policy must be "+chat.Policies)
	}
	return id, chat.Say{
		Content: body.Content, ModelID: body.ModelID, ClientID: key, Policy: body.Policy, Answer: body.Answer, Files: body.Files,
	}, err
}

func showSaid(s chat.Said) made {
	return made{wireSaid{
		OK: true, Turns: orEmpty(s.Turns),
		MessageSent: assistant.MessageSent{
			MessageID: s.MessageID, ClientID: s.ClientID, Seq: s.Seq, Replaces: s.Replaces, ReplacesSeq: s.ReplacesSeq,
		},
	}, s.Repeated}
}

func (a *talkArea) regenerate(r *http.Request, u chat.User, id chat.ID) (any, error) {
	var body struct {
		ModelID  chat.ModelID  `json:"model_id"`
		ClientID chat.ClientID `json:"client_message_id"`
	}
	key, err := decodeOptional(r, &body, &body.ClientID)
	if err != nil {
		return nil, err
	}
	queued, err := a.chats.Regenerate(r.Context(), u, id, chat.Again{Answer: messageID(r), ModelID: body.ModelID, ClientID: key})
	return made{wireQueued{true, assistant.TurnQueued{TurnID: queued.TurnID}}, queued.Repeated}, err
}

func (a *talkArea) stop(r *http.Request, u chat.User, id chat.ID) (any, error) {
	var body struct {
		TurnID   chat.TurnID   `json:"turn_id"`
		Reason   string        `json:"reason"`
		ClientID chat.ClientID `json:"client_message_id"`
	}
	key, err := decodeOptional(r, &body, &body.ClientID)
	if err == nil && len(body.Reason) > assistant.MaxReasonLen {
		err = chat.Refuse(chat.CodeInvalid, "the reason is too long")
	}
	if err != nil {
		return nil, err
	}
	stopped, err := a.chats.Stop(r.Context(), u, id, chat.Stop{TurnID: body.TurnID, Reason: body.Reason, ClientID: key})
	answer := wireStopped{OK: true}
	if stopped.TurnID != "" {
		answer.TurnID = &stopped.TurnID
	}
	if stopped.Unrecorded {
		answer.Recorded = new(false)
	}
	return answer, worded(err)
}

// decide decides about a call of a tool.
func (a *talkArea) decide(r *http.Request, u chat.User, id chat.ID) (any, error) {
	var body struct {
		assistant.Decision
		ClientID chat.ClientID `json:"client_message_id"`
	}
	if err := decodeBody(r, &body); err != nil {
		return nil, err
	}
	key, err := clientID(r, body.ClientID)
	if err != nil {
		return nil, err
	}
	d, refusal := body.Decode(r.PathValue("call_id"))
	if refusal != nil {
		return nil, refusal
	}
	d.ClientID = key
	decided, err := a.chats.Decide(r.Context(), u, id, d)
	return wireDecided{true, assistant.CallDecided{CallID: decided.CallID, Decision: assistant.DecisionOf(decided.Approved)}}, err
}

// decodeOptional reads a body that may be missing, and the key of the request.
func decodeOptional(r *http.Request, body any, id *chat.ClientID) (chat.ClientID, error) {
	if err := decodeBody(r, body); err != nil && !errors.Is(err, errNoBody) {
		return "", err
	}
	return clientID(r, *id)
}

func messageID(r *http.Request) chat.MessageID { return chat.MessageID(r.PathValue("message_id")) }

// clientID returns the key by which a request is known when it comes again: its
// client_message_id or the header Idempotency-Key, with quotes or without.
func clientID(r *http.Request, id chat.ClientID) (chat.ClientID, error) {
	header := r.Header.Values("Idempotency-Key")
	if len(header) > 0 {
		named := chat.ClientID(strings.Trim(header[0], `"`))
		if len(header) > 1 || named == "" || id != "" && id != named {
			return "", chat.Refuse(chat.CodeInvalid, "Idempotency-Key must be given once, and be the same as client_message_id")
		}
		id = named
	}
	if id != "" && !id.Valid() {
		return "", chat.Refuse(chat.CodeInvalid, "client_message_id must be 1 to 128 printable characters without spaces")
	}
	return id, nil
}
