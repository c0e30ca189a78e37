package api

import (
	"cmp"

	"parlor/protocol/assistant"
	"parlor/protocol/chat"
)

// The answers have the fields of WIRE-ASSISTANT §4. Fields that we have added
// are marked "ours".
type (
	wireUser struct {
		ID      string  `json:"user_id"`
		Email   *string `json:"email"`
		Name    *string `json:"name"`
		Picture *string `json:"picture"`
		Admin   bool    `json:"admin,omitempty"` // ours
	}

	// A wireError is a problem of RFC 9457. The SPA reads detail alone; code and
	// retry_after, which is in seconds, are extensions.
	wireError struct {
		Type   string    `json:"type"`
		Title  string    `json:"title"`
		Status int       `json:"status"`
		Detail string    `json:"detail"`
		Code   chat.Code `json:"code"`

		RetryAfter int    `json:"retry_after,omitempty"`
		RequestID  string `json:"request_id,omitempty"` // where the server has failed
	}

	wireChats struct {
		Chats   []wireListed `json:"chats"`
		Total   int          `json:"total"`
		HasMore bool         `json:"has_more"`
	}

	wireListed struct {
		wireChat
		chat.Unread              // ours
		Last        string       `json:"last_timestamp,omitempty"`
		People      []wirePerson `json:"people"` // the owner first, at most maxListedPeople
	}

	wirePerson struct {
		ID   chat.UserID `json:"user_id"`
		Name string      `json:"name,omitempty"`
	}

	wireChat struct {
		ID        chat.ID      `json:"chat_id"`
		Owner     chat.UserID  `json:"user_id"`
		APISource string       `json:"current_model_api_source"`
		ModelID   chat.ModelID `json:"current_model_id"`
		Created   string       `json:"created_timestamp"`
		Files     []wireFile   `json:"files"` // null in lists
		DocID     chat.ID      `json:"_id"`

		// Ours:
		Title     string          `json:"title"`          // empty until there is one
		Role      chat.MemberRole `json:"role,omitempty"` // of the one who asks
		chat.Mark                 // of the same
	}

	wireFolders struct {
		Folders []chat.Folder `json:"folders"`
	}

	// A wireDetails is the answer for one chat. All of it is ours.
	wireDetails struct {
		wireChat
		SystemPrompt string         `json:"system_prompt"`
		Policy       chat.Policy    `json:"turn_policy"` // empty: as the server is configured
		ReadOnly     bool           `json:"read_only"`
		RetainFor    int64          `json:"retain_for"` // seconds; 0: as the server is configured
		Answers      chat.Answers   `json:"answers"`    // empty: all
		ToolsOff     chat.ToolNames `json:"tools_off"`
	}

	// A wireMessage is the SPA's StoredMessage.
	wireMessage struct {
		ID        chat.MessageID `json:"message_id"`
		Chat      chat.ID        `json:"chat_id"`
		ModelID   chat.ModelID   `json:"model_id"`
		APISource string         `json:"model_api_source"`
		Created   string         `json:"created_timestamp"`
		Role      chat.Role      `json:"role"`
		Type      string         `json:"type"`
		Content   string         `json:"content"`
		Modality  string         `json:"modality"`
		Files     []chat.FileID  `json:"files"` // null if it brings none

		Contents map[chat.FileID]wireExcerpt `json:"file_contents,omitempty"`

		// Ours:
		Seq      uint64         `json:"seq"`
		State    chat.State     `json:"state"`
		Author   *chat.User     `json:"author,omitempty"`
		ClientID chat.ClientID  `json:"client_message_id,omitempty"`
		Error    *chat.Error    `json:"error,omitempty"`
		Steers   chat.TurnID    `json:"steers,omitempty"`
		Mentions []chat.UserID  `json:"mentions,omitempty"`
		Replaces chat.MessageID `json:"replaces,omitempty"`
		Siblings *chat.Siblings `json:"siblings,omitempty"` // nil if there is one version only
	}

	wireAnswer struct {
		wireMessage
		Usage *chat.Usage `json:"usage"` // null or an object, but only here

		Name      string         `json:"name,omitempty"`
		Prompt    chat.MessageID `json:"prompt,omitempty"`
		PromptSeq uint64         `json:"prompt_seq,omitempty"`
		First     chat.MessageID `json:"first,omitempty"` // version, if it was given anew
		Version   uint64         `json:"version,omitempty"`
		Finish    chat.Finish    `json:"finish,omitempty"`
		Thought   string         `json:"thought,omitempty"`
		By        chat.UserID    `json:"by,omitempty"`
		Reason    string         `json:"reason,omitempty"`
		Cut       []chat.CutFile `json:"cut_files,omitempty"`
		Calls     []chat.Called  `json:"calls,omitempty"`
	}
)

// problemType and a code name a kind of problem.
const problemType = "urn:parlor:problem:"

func (a *chatArea) toWireChat(c chat.Info, u chat.User, m chat.Mark) wireChat {
	return wireChat{
		ID: c.ID, Owner: c.Owner, APISource: a.modelOf(c, c.ModelID).APISource, ModelID: c.ModelID,
		Created: chat.Timestamp(c.Created), DocID: c.ID, Title: c.Title, Role: c.RoleOf(u.ID), Mark: m,
	}
}

// maxListedPeople is how many people a list names of each chat.
const maxListedPeople = 5

func listedPeople(c chat.Info) []wirePerson {
	people := []wirePerson{}
	for _, m := range c.Everybody() {
		if len(people) < maxListedPeople {
			people = append(people, wirePerson{m.ID, m.Name})
		}
	}
	return people
}

func (a *chatArea) toWireDetails(c chat.Info, u chat.User, m chat.Mark) wireDetails {
	return wireDetails{a.toWireChat(c, u, m), c.SystemPrompt, c.Policy, c.ReadOnly, c.RetainFor, c.Answers, c.ToolsOff}
}

// toWireRows returns a message as a history has it.
func (a *chatArea) toWireRows(c chat.Info, m chat.Message) []any {
	w := wireMessage{
		ID: m.ID, Chat: c.ID, ModelID: cmp.Or(m.ModelID, c.ModelID), Created: chat.Timestamp(m.Created),
		Role: m.Role, Type: "message", Content: assistant.Visible(m), Modality: assistant.Modality(m), // the SPA knows no states
		Seq: m.Seq, State: m.State, Author: m.Author, ClientID: m.ClientID, Error: m.Error, Steers: m.Steers, Mentions: m.Mentions, Replaces: m.Replaces,
		Siblings: m.Siblings,
	}
	w.APISource = a.modelOf(c, w.ModelID).APISource
	if len(m.Files) > 0 {
		w.Files, w.Contents = chat.FileIDs(m.Files), make(map[chat.FileID]wireExcerpt)
		for _, f := range m.Files {
			w.Contents[f.ID] = wireExcerpt{Name: f.Name, Type: f.Type}
		}
	}
	if m.Role != chat.RoleAssistant {
		return []any{w}
	}
	return append(callsOf(w, m.Calls), wireAnswer{
		wireMessage: w, Usage: m.Usage, Name: m.Name, Prompt: m.Prompt, PromptSeq: m.PromptSeq, First: m.First, Version: m.Version,
		Finish: m.Finish, Thought: m.Thought, By: m.By, Reason: m.Reason, Cut: m.Cut, Calls: m.Calls,
	})
}

func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// orEmpty makes a nil slice an empty JSON array.
func orEmpty[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}
