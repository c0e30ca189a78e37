package openai

import (
	"encoding/json"
	"time"

	"parlor/protocol/chat"
)

// A Response is a turn as clients are told it. What parlor does not know of a turn has the
// value that OpenAI gives by default.
type Response struct {
	ID                string             `json:"id"`
	Object            string             `json:"object"`
	CreatedAt         int64              `json:"created_at"`
	CompletedAt       *int64             `json:"completed_at"`
	Status            string             `json:"status"`
	Background        bool               `json:"background"`
	Model             chat.ModelID       `json:"model"`
	Output            []any              `json:"output"`
	Error             *responseError     `json:"error"`
	IncompleteDetails *incompleteDetails `json:"incomplete_details"`
	Instructions      *string            `json:"instructions"`
	MaxOutputTokens   *int               `json:"max_output_tokens"`
	Metadata          map[string]string  `json:"metadata"`
	Conversation      *reference         `json:"conversation"`
	PreviousResponse  *string            `json:"previous_response_id"`
	ParallelToolCalls bool               `json:"parallel_tool_calls"`
	Store             bool               `json:"store"`
	Temperature       *float64           `json:"temperature"`
	Text              textFormat         `json:"text"`
	ToolChoice        json.RawMessage    `json:"tool_choice"`
	Tools             json.RawMessage    `json:"tools"`
	TopP              *float64           `json:"top_p"`
	Usage             *responseUsage     `json:"usage"`
}

type (
	responseError struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	}
	incompleteDetails struct {
		Reason string `json:"reason"`
	}
	reference struct {
		ID string `json:"id"`
	}
	textFormat struct {
		Format struct {
			Type string `json:"type"`
		} `json:"format"`
	}
	cachedTokens struct {
		Cached int `json:"cached_tokens"`
	}
	reasoningTokens struct {
		Reasoning int `json:"reasoning_tokens"`
	}
	responseUsage struct {
		Input         int             `json:"input_tokens"`
		InputDetails  cachedTokens    `json:"input_tokens_details"`
		Output        int             `json:"output_tokens"`
		OutputDetails reasoningTokens `json:"output_tokens_details"`
		Total         int             `json:"total_tokens"`
	}
)

// An Item is a message.
type Item struct {
	ID      string `json:"id"`
	Type    string `json:"type"`
	Role    string `json:"role"`
	Status  string `json:"status"`
	Content []part `json:"content"`
}

type part struct {
	Type        string      `json:"type"`
	Text        string      `json:"text"`
	Annotations *[]struct{} `json:"annotations,omitempty"` // of what a model wrote
}

// The states of responses and items.
const (
	statusQueued     = "queued"
	statusInProgress = "in_progress"
	statusCompleted  = "completed"
	statusFailed     = "failed"
	statusIncomplete = "incomplete"
	statusCancelled  = "cancelled"
)

func outputText(text string) part { return part{"output_text", text, &[]struct{}{}} }

func answerItem(id, status string, parts ...part) Item {
	return Item{id, "message", string(chat.RoleAssistant), status, append([]part{}, parts...)}
}

// ItemOf returns the item that a recorded message is.
func ItemOf(m chat.Message) Item {
	if m.Role == chat.RoleAssistant {
		status := statusCompleted
		if m.State != chat.StateCompleted {
			status = statusIncomplete
		}
		return answerItem(ItemID(m.ID, 1, 0), status, outputText(m.Content))
	}
	return Item{ItemID(m.ID, 1, 0), "message", string(m.Role), statusCompleted, []part{{Type: "input_text", Text: m.Content}}}
}

// A List is a page of items.
type List struct {
	Object  string  `json:"object"`
	Data    []any   `json:"data"`
	FirstID *string `json:"first_id"`
	LastID  *string `json:"last_id"`
	HasMore bool    `json:"has_more"`
}

// An ItemWithID is one that a page can hold.
type ItemWithID interface{ itemID() *string }

func (i Item) itemID() *string           { return &i.ID }
func (i approvalAnswer) itemID() *string { return &i.ID }
func (i callOutput) itemID() *string     { return &i.ID }

// NewList makes a page.
func NewList[T ItemWithID](all []T, more bool) List {
	l := List{Object: "list", Data: []any{}, HasMore: more}
	for _, item := range all {
		l.Data = append(l.Data, item)
	}
	if len(all) > 0 {
		l.FirstID, l.LastID = all[0].itemID(), all[len(all)-1].itemID()
	}
	return l
}

// A Conversation is a chat.
type Conversation struct {
	ID        string            `json:"id"`
	Object    string            `json:"object"`
	CreatedAt int64             `json:"created_at"`
	Metadata  map[string]string `json:"metadata"`
}

// ConversationOf returns the conversation that a chat is.
func ConversationOf(c chat.Info) Conversation {
	fields := map[string]string{"model": string(c.ModelID)}
	if c.Title != "" {
		fields["title"] = c.Title
	}
	return Conversation{ConversationID(c.ID), "conversation", c.Created.Unix(), fields}
}

// A Deletion confirms that something was deleted.
type Deletion struct {
	ID      string `json:"id"`
	Object  string `json:"object"`
	Deleted bool   `json:"deleted"`
}

// DeletedConversation and DeletedResponse confirm a deletion.
func DeletedConversation(id chat.ID) Deletion {
	return Deletion{ConversationID(id), "conversation.deleted", true}
}
func DeletedResponse(id string) Deletion { return Deletion{id, "response.deleted", true} }

// A Model is a model as clients list it.
type Model struct {
	ID      chat.ModelID `json:"id"`
	Object  string       `json:"object"`
	Created int64        `json:"created"` // parlor does not know
	OwnedBy string       `json:"owned_by"`
}

// ModelOf returns the form of a model.
func ModelOf(m chat.Model) Model { return Model{m.ID, "model", 0, m.Provider} }

// A ModelList is all models.
type ModelList struct {
	Object string  `json:"object"`
	Data   []Model `json:"data"`
}

// ModelsOf returns the form of all models.
func ModelsOf(all []chat.Model) ModelList {
	l := ModelList{Object: "list", Data: []Model{}}
	for _, m := range all {
		l.Data = append(l.Data, ModelOf(m))
	}
	return l
}

func usageOf(u *chat.Usage) *responseUsage {
	if u == nil {
		return nil
	}
	return &responseUsage{Input: u.PromptTokens, Output: u.CompletionTokens, Total: u.TotalTokens}
}

func unixOrNull(t time.Time) *int64 {
	if t.IsZero() {
		return nil
	}
	seconds := t.Unix()
	return &seconds
}
