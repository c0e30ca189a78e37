package openai

import (
	"encoding/json"
	"time"

	"parlor/protocol/chat"
)

// A Turn is what is known of the turn that a response is. It is a fold of the turn's records
// and of its text.
type Turn struct {
	ID           string
	Turn         chat.TurnID
	Conversation string // empty: none
	Instructions string // of the conversation

	created time.Time // zero: it was not queued yet
	prompt  uint64
	ended   time.Time
	model   chat.ModelID
	attempt int // 0 while it waits
	message chat.MessageID
	end     *chat.TurnEnded // nil until it has ended

	// Of a response that belongs to no chat.
	alone bool
	tools json.RawMessage // of the caller
	calls []chat.ToolCall // of these, with which it has ended
}

// NewTurn returns the turn of a chat's response.
func NewTurn(id ResponseID, info chat.Info) Turn {
	return Turn{
		ID: id.String(), Turn: id.Turn, Conversation: ConversationID(id.Chat), Instructions: info.SystemPrompt,
		model: info.ModelID,
	}
}

// Alone returns the turn of a response that belongs to no chat. Tools are the caller's.
func Alone(id string, turn chat.TurnID, instructions string, tools json.RawMessage) Turn {
	return Turn{ID: id, Turn: turn, Instructions: instructions, alone: true, tools: tools}
}

// Call notes the calls with which a response ends that belongs to no chat.
func (t *Turn) Call(calls []chat.ToolCall) { t.calls = calls }

// Take takes in a record, and reports whether it is one of the turn.
func (t *Turn) Take(r chat.Record) bool {
	switch e := r.Event.(type) {
	case chat.TurnQueued:
		if e.TurnID != t.Turn {
			return false
		}
		t.created, t.prompt, t.model = r.At, e.PromptSeq, e.ModelID
	case chat.TurnStarted:
		if e.TurnID != t.Turn {
			return false
		}
		t.attempt, t.message, t.model = e.Attempt, e.MessageID, e.ModelID
	case chat.TurnEnded:
		if e.TurnID != t.Turn {
			return false
		}
		t.end, t.ended, t.model = &e, r.At, e.ModelID
	default:
		return false
	}
	return true
}

// Wanted reports whether the turn was queued, and Ended whether it has ended. In between it
// waits, or runs.
func (t *Turn) Wanted() bool { return !t.created.IsZero() }
func (t *Turn) Ended() bool  { return t.end != nil }
func (t *Turn) Waits() bool  { return t.end == nil && t.attempt == 0 }

// Runs reports whether the turn is at the same attempt as another account of it.
func (t *Turn) Runs(as chat.Turn) bool { return as.ID == t.Turn && as.Attempt == t.attempt }

// Prompt returns the number of the record that holds what the turn answers.
func (t *Turn) Prompt() uint64 { return t.prompt }

// status returns the state of the response.
func (t *Turn) status() string {
	switch {
	case t.end != nil:
		return endOf(*t.end)
	case t.attempt == 0:
		return statusQueued
	}
	return statusInProgress
}

func endOf(e chat.TurnEnded) string {
	switch {
	case e.State == chat.StateStopped:
		return statusCancelled
	case e.State != chat.StateCompleted:
		return statusFailed
	case incomplete(e.Finish) != "":
		return statusIncomplete
	}
	return statusCompleted
}

// incomplete returns why an answer is not all that the model would have said, or "".
func incomplete(f chat.Finish) string {
	switch f {
	case chat.FinishLength, chat.FinishContext:
		return "max_output_tokens"
	case chat.FinishFilter:
		return "content_filter"
	}
	return ""
}

// Response returns the response as it now is, with the text so far of its last attempt.
func (t *Turn) Response(text string) Response {
	r := t.shell()
	r.Output = append(r.Output, t.deadItems()...)
	r.Output = append(r.Output, t.messageItems(text)...)
	for _, c := range t.calls {
		r.Output = append(r.Output, callItem(c))
	}
	if t.end == nil {
		return r
	}
	r.Usage, r.CompletedAt = usageOf(t.end.Usage), unixOrNull(t.ended)
	switch r.Status {
	case statusFailed:
		r.Error = failureOf(*t.end)
	case statusIncomplete:
		r.IncompleteDetails = &incompleteDetails{incomplete(t.end.Finish)}
	}
	return r
}

// messageItems returns the message of the last attempt, if there is one. A response that
// belongs to no chat and has no text has none.
func (t *Turn) messageItems(text string) []any {
	if t.attempt == 0 || t.alone && text == "" {
		return nil
	}
	return []any{t.item(text)}
}

// Text returns the text of a turn that has ended.
func (t *Turn) Text() string {
	if t.end == nil {
		return ""
	}
	return t.end.Content
}

// shell returns the response without its output and its end.
func (t *Turn) shell() Response {
	r := Response{
		ID: t.ID, Object: "response", CreatedAt: t.created.Unix(), Status: t.status(), Model: t.model,
		Output: []any{}, Instructions: orNull(t.Instructions), Metadata: map[string]string{},
		ParallelToolCalls: true, ToolChoice: "auto", Tools: json.RawMessage("[]"),
	}
	if t.tools != nil {
		r.Tools = t.tools
	}
	r.Text.Format.Type = "text"
	if t.Conversation != "" {
		r.Conversation, r.Store, r.Background = &reference{t.Conversation}, true, true
	}
	if t.attempt > 1 {
		r.Metadata["parlor_attempt"] = itoa(t.attempt)
	}
	return r
}

// deadItems are those of the attempts that a crash has ended. They hold nothing, so what a
// client takes for the output is the last attempt's text alone.
func (t *Turn) deadItems() (all []any) {
	for a := 1; a < t.attempt; a++ {
		all = append(all, answerItem(ItemID(t.message, a), statusIncomplete))
	}
	return all
}

func (t *Turn) itemID() string { return ItemID(t.message, t.attempt) }

// item is that of the last attempt.
func (t *Turn) item(text string) Item {
	switch {
	case t.end == nil && text == "":
		return answerItem(t.itemID(), statusInProgress)
	case t.end == nil:
		return answerItem(t.itemID(), statusInProgress, outputText(text))
	case t.end.State == chat.StateCompleted && incomplete(t.end.Finish) == "":
		return answerItem(t.itemID(), statusCompleted, outputText(text))
	}
	return answerItem(t.itemID(), statusIncomplete, outputText(text))
}

// failureOf says why a turn has failed or was interrupted. OpenAI has a closed list of codes,
// so parlor's is in the words.
func failureOf(e chat.TurnEnded) *responseError {
	words := string(e.State)
	switch {
	case e.Error != nil:
		words = e.Error.Error()
	case e.Reason != "":
		words += ": " + e.Reason
	}
	return &responseError{Code: "server_error", Message: words}
}
