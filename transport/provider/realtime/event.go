package realtime

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"

	"parlor/protocol/chat"
	"parlor/transport/provider/upstream"
)

// The client events. EventID comes back in the error that refuses one.
type (
	clientEvent struct {
		Type    string `json:"type"`
		EventID string `json:"event_id,omitempty"`

		Session    *sessionConfig  `json:"session,omitempty"`
		Audio      string          `json:"audio,omitempty"`
		Previous   string          `json:"previous_item_id,omitempty"`
		Item       *newItem        `json:"item,omitempty"`
		ItemID     string          `json:"item_id,omitempty"`
		Response   *responseConfig `json:"response,omitempty"`
		ResponseID string          `json:"response_id,omitempty"`
	}
	sessionConfig struct {
		Type       string      `json:"type"`
		Modalities []string    `json:"output_modalities"`
		Audio      audioConfig `json:"audio"`
	}
	audioConfig struct {
		Input  inputConfig  `json:"input"`
		Output outputConfig `json:"output"`
	}
	inputConfig struct {
		Format        audioFormat   `json:"format"`
		Transcription transcription `json:"transcription"`
		TurnDetection *struct{}     `json:"turn_detection"` // null: people say when they have finished
	}
	outputConfig struct {
		Format audioFormat `json:"format"`
		Voice  string      `json:"voice,omitempty"`
	}
	audioFormat struct {
		Type string `json:"type"`
		Rate int    `json:"rate"`
	}
	transcription struct {
		Model string `json:"model"`
	}
	newItem struct {
		ID      string    `json:"id"`
		Type    string    `json:"type"`
		Role    chat.Role `json:"role,omitempty"`
		Content []content `json:"content,omitempty"`

		// Of a call, and of its result.
		CallID    string  `json:"call_id,omitempty"`
		Name      string  `json:"name,omitempty"`
		Arguments string  `json:"arguments,omitempty"`
		Output    *string `json:"output,omitempty"`
	}
	content struct {
		Type string `json:"type"`
		Text string `json:"text"`
	}
	responseConfig struct {
		Instructions string `json:"instructions,omitempty"`
		MaxTokens    int    `json:"max_output_tokens,omitempty"`
		Tools        []tool `json:"tools,omitempty"`
		ToolChoice   any    `json:"tool_choice,omitempty"` // a mode, or a toolChoice
	}
	tool struct {
		Type        string          `json:"type"`
		Name        string          `json:"name"`
		Description string          `json:"description,omitempty"`
		Parameters  json.RawMessage `json:"parameters"`
	}
)

// pcm is what [chat.AudioAppend] and [chat.Delta] hold.
var pcm = audioFormat{Type: "audio/pcm", Rate: 24000}

// newMessage is the item of a message.
func newMessage(id string, m chat.PromptMessage) *newItem {
	kind := "input_text"
	if m.Role == chat.RoleAssistant {
		kind = "output_text"
	}
	return &newItem{ID: id, Type: "message", Role: m.Role, Content: []content{{kind, m.Content}}}
}

// maxItemID is what the provider takes as an id, in bytes.
const maxItemID = 32

// itemID returns the name of a message among the provider's items: its UUID
// without dashes, or a hash of whatever else names it.
func itemID(key string) string {
	id := strings.ReplaceAll(key, "-", "")
	if len(id) == maxItemID && strings.Trim(id, "0123456789abcdef") == "" {
		return id
	}
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:maxItemID/2])
}

// serverEvent is what we need of all server events, and no more.
type serverEvent struct {
	Type       string        `json:"type"`
	ResponseID string        `json:"response_id"`
	ItemID     string        `json:"item_id"`
	CallID     string        `json:"call_id"`
	Name       string        `json:"name"`
	Arguments  string        `json:"arguments"`
	Delta      upstream.Text `json:"delta"`
	Transcript string        `json:"transcript"`
	Item       serverItem    `json:"item"`
	Response   response      `json:"response"`
	Error      *serverError  `json:"error"`
}

type serverItem struct {
	ID        string `json:"id"`
	Type      string `json:"type"`
	CallID    string `json:"call_id"`
	Name      string `json:"name"`
	Arguments string `json:"arguments"`
}

type response struct {
	ID      string `json:"id"`
	Status  string `json:"status"`
	Details struct {
		Reason string       `json:"reason"`
		Error  *serverError `json:"error"`
	} `json:"status_details"`
	Output json.RawMessage `json:"output"` // null at some servers; is not to cost an answer, whatever it is
	Usage  json.RawMessage `json:"usage"`  // the same
}

// output returns the items that the answer has become, as far as the provider says.
func (r *response) output() (list []serverItem) {
	_ = json.Unmarshal(r.Output, &list)
	return list
}

// finish returns why the answer ended.
func (r *response) finish() chat.Finish {
	return cmp.Or(upstream.FinishOf(r.Details.Reason), chat.FinishStop)
}

// usage returns what the answer has cost, or nil if the provider did not say.
func (r *response) usage() *chat.Usage {
	var u struct {
		Input  int `json:"input_tokens"`
		Output int `json:"output_tokens"`
		Total  int `json:"total_tokens"`
	}
	if json.Unmarshal(r.Usage, &u) != nil || u.Total == 0 {
		return nil
	}
	return &chat.Usage{PromptTokens: u.Input, CompletionTokens: u.Output, TotalTokens: u.Total}
}

// sessionExpired is the code with which OpenAI ends a session of an hour.
const sessionExpired = "session_expired"

type serverError struct {
	Type    string `json:"type,omitempty"`
	Code    string `json:"code,omitempty"`
	Message string `json:"message,omitempty"`
	EventID string `json:"event_id,omitempty"` // of the client event that it refuses
}

// UnmarshalJSON implements [json.Unmarshaler]. Gateways say the error in words
// alone, and have numbers for codes; that is not to cost the connection.
func (e *serverError) UnmarshalJSON(raw []byte) error {
	var words string
	if json.Unmarshal(raw, &words) == nil {
		*e = serverError{Message: words}
		return nil
	}
	var members map[string]any
	if err := json.Unmarshal(raw, &members); err != nil {
		return err
	}
	for name, into := range map[string]*string{"type": &e.Type, "code": &e.Code, "message": &e.Message, "event_id": &e.EventID} {
		switch v := members[name].(type) {
		case string, float64:
			*into = fmt.Sprint(v)
		}
	}
	return nil
}
