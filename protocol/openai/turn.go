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

	queued  bool
	created time.Time // zero: it was not queued yet
	prompt  uint64
	ended   time.Time
	model   chat.ModelID
	attempt int // 0 while it waits
	message chat.MessageID
	end     *chat.TurnEnded // nil until it has ended

	parts

	tools  json.RawMessage // of the caller
	choice json.RawMessage // of them, as the caller has said
	alone  alone
}

// An alone is what is known of a response that belongs to no chat.
type alone struct {
	is    bool
	calls []chat.ToolCall // of the caller's tools, with which it has ended
}

// NewTurn returns the turn of a chat's response.
func NewTurn(id ResponseID, info chat.Info) Turn {
	return Turn{
		ID: id.String(), Turn: id.Turn, Conversation: ConversationID(id.Chat), Instructions: info.SystemPrompt,
		model: info.ModelID, parts: parts{id: id, approvals: true, first: 1},
	}
}

// OfCompletion has the turn be told as completions, which cannot ask for approvals: members
// decide about those.
func (t Turn) OfCompletion() Turn {
	t.approvals = false
	return t
}

// Asks notes what the request has said of tools, which a response repeats.
func (t *Turn) Asks(tools json.RawMessage, c Choosing) { t.tools, t.choice = tools, c.Raw }

// Alone returns the turn of a response that belongs to no chat. Tools are the caller's.
func Alone(id string, turn chat.TurnID, instructions string, tools json.RawMessage) Turn {
	return Turn{ID: id, Turn: turn, Instructions: instructions, alone: alone{is: true}, tools: tools, parts: parts{first: 1}}
}

// Call notes the calls with which a response ends that belongs to no chat.
func (t *Turn) Call(calls []chat.ToolCall) { t.alone.calls = calls }

// turnOf returns the turn that an event is about, or "".
func turnOf(e chat.Event) chat.TurnID {
	switch e := e.(type) {
	case chat.TurnQueued:
		return e.TurnID
	case chat.TurnStarted:
		return e.TurnID
	case chat.TurnEnded:
		return e.TurnID
	case chat.ToolsCalled:
		return e.TurnID
	case chat.ToolDecided:
		return e.TurnID
	case chat.ToolsLost:
		return e.TurnID
	case chat.ToolEnded:
		return e.TurnID
	}
	return ""
}

// Take takes in a record.
func (t *Turn) Take(r chat.Record) { t.take(r) }

func (t *Turn) take(r chat.Record) change {
	if turnOf(r.Event) != t.Turn || t.over {
		return noChange
	}
	switch e := r.Event.(type) {
	case chat.TurnQueued:
		t.queued, t.prompt, t.model = true, e.PromptSeq, e.ModelID
		if t.id.Part == 0 {
			t.created = r.At
			return isQueued
		}
		return noChange
	case chat.TurnStarted:
		if t.Ended() {
			return noChange // the attempt goes on with a part behind this one
		}
		t.attempt, t.message = e.Attempt, e.MessageID
		if t.current() {
			t.model = e.ModelID
			return isStarted
		}
		return noChange
	case chat.TurnEnded:
		is := t.current()
		t.over = true
		if is {
			t.end, t.ended, t.model = &e, r.At, e.ModelID
			return isFinished
		}
		return noChange
	}
	return t.follow(r)
}

// Queued reports whether there is such a turn, Wanted whether it has come to this response, and
// Ended whether that has ended. In between it waits, or runs.
func (t *Turn) Queued() bool { return t.queued }
func (t *Turn) Wanted() bool { return !t.created.IsZero() }
func (t *Turn) Ended() bool  { return t.end != nil }
func (t *Turn) Waits() bool  { return t.end == nil && t.attempt == 0 }

// Runs reports whether the turn is at this response, and at the same attempt as another account
// of it.
func (t *Turn) Runs(as chat.Turn) bool {
	return as.ID == t.Turn && as.Attempt == t.attempt && t.current()
}

// SoFar returns the text of the response, of all that the turn has said so far as another account
// of it has it. It reports false if they are not at the same step.
func (t *Turn) SoFar(as chat.Turn, text string) (string, bool) {
	return t.part(text), t.Runs(as) && as.Steps == t.steps
}

// nth returns which attempt at this part it is.
func (t *Turn) nth() int { return t.attempt - t.first + 1 }

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
	r.Output = append(r.Output, t.outputs()...)
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
	if t.attempt == 0 || t.alone.is && text == "" {
		return nil
	}
	return []any{t.item(text)}
}

// Text returns the text of a turn that has ended.
func (t *Turn) Text() string {
	if t.end == nil {
		return ""
	}
	return t.part(t.end.Content)
}

// shell returns the response without its output and its end.
func (t *Turn) shell() Response {
	r := Response{
		ID: t.ID, Object: "response", CreatedAt: t.created.Unix(), Status: t.status(), Model: t.model,
		Output: []any{}, Instructions: orNull(t.Instructions), Metadata: map[string]string{},
		ParallelToolCalls: true, ToolChoice: autoChoice, Tools: json.RawMessage("[]"),
	}
	if t.tools != nil {
		r.Tools = t.tools
	}
	if t.choice != nil {
		r.ToolChoice = t.choice
	}
	if before := t.id; before.Part > 0 {
		before.Part--
		r.PreviousResponse = orNull(before.String())
	}
	if len(t.asked) > 0 {
		r.Metadata["parlor_next"] = t.id.Next().String()
	}
	r.Text.Format.Type = "text"
	if t.Conversation != "" {
		r.Conversation, r.Store, r.Background = &reference{t.Conversation}, true, true
	}
	if t.nth() > 1 {
		r.Metadata["parlor_attempt"] = itoa(t.nth())
	}
	return r
}

// deadItems are those of the attempts that a crash has ended. They hold nothing, so what a
// client takes for the output is the last attempt's text alone.
func (t *Turn) deadItems() (all []any) {
	for a := 1; a < t.nth(); a++ {
		all = append(all, answerItem(ItemID(t.message, a, t.id.Part), statusIncomplete))
	}
	return all
}

func (t *Turn) itemID() string { return ItemID(t.message, t.nth(), t.id.Part) }

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
