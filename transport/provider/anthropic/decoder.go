package anthropic

import (
	"encoding/json"

	"parlor/protocol/chat"
	"parlor/transport/provider/upstream"
)

// A decoder reads the events of one answer. Its zero value has read none.
// https://docs.anthropic.com/en/api/messages-streaming
type decoder struct {
	usage usage
}

// An event is what we need of the data of any of them. The name of the event
// says the same as its type.
type event struct {
	Type    string          `json:"type"`
	Error   json.RawMessage `json:"error"`
	Usage   json.RawMessage `json:"usage"`   // of message_delta and message
	Content json.RawMessage `json:"content"` // of message, as is the reason
	Reason  string          `json:"stop_reason"`
	Message struct {
		Usage json.RawMessage `json:"usage"`
	} `json:"message"` // of message_start
	Block struct {
		words
		ID   string `json:"id"`
		Name string `json:"name"`
	} `json:"content_block"`
	Delta struct {
		words
		StopReason string `json:"stop_reason"`
	} `json:"delta"`
}

// words are a block, the beginning of one, or what a delta adds to it.
type words struct {
	Type     string        `json:"type"`
	Text     upstream.Text `json:"text"`
	Thinking upstream.Text `json:"thinking"`
}

// usage counts tokens, cumulatively. Those of the prompt are spread over three
// members, which exclude each other.
type usage struct {
	Input         int `json:"input_tokens"`
	CacheCreation int `json:"cache_creation_input_tokens"`
	CacheRead     int `json:"cache_read_input_tokens"`
	Output        int `json:"output_tokens"`
}

// Event implements [upstream.Decoder]. Events and deltas of other types are
// skipped, as the API's versioning asks of clients; they are signs of life all
// the same. A ping is none.
func (d *decoder) Event(_ string, data []byte) (upstream.Piece, error) {
	var ev event
	if err := json.Unmarshal(data, &ev); err != nil {
		return upstream.Piece{}, err
	}
	switch ev.Type {
	case "error":
		return upstream.Piece{Report: data}, nil
	case "ping":
		return upstream.Piece{Idle: true}, nil
	case "message_start":
		return upstream.Piece{Usage: d.count(ev.Message.Usage)}, nil
	case "message_delta":
		return upstream.Piece{Usage: d.count(ev.Usage), Finish: upstream.FinishOf(ev.Delta.StopReason)}, nil
	case "message_stop":
		return upstream.Piece{Last: true}, nil
	case "message":
		return d.whole(ev)
	}
	p := upstream.Piece{Tool: ev.tool(), Calls: ev.Block.Type == "tool_use"}
	switch {
	case ev.Type == "content_block_start":
		ev.Block.addTo(&p, "text", "thinking")
	case ev.Type == "content_block_delta":
		ev.Delta.addTo(&p, "text_delta", "thinking_delta")
	}
	return p, nil
}

// whole reads an answer as a whole, which some servers send where a stream was
// wanted.
func (d *decoder) whole(ev event) (upstream.Piece, error) {
	p := upstream.Piece{Usage: d.count(ev.Usage), Finish: upstream.FinishOf(ev.Reason), Last: true}
	var blocks []words
	err := json.Unmarshal(ev.Content, &blocks)
	for _, block := range blocks {
		block.addTo(&p, "text", "thinking")
	}
	return p, err
}

// tool is the one that Anthropic begins to run on its side, if the event says so.
func (ev event) tool() *chat.ToolCall {
	if ev.Type == "content_block_start" && (ev.Block.Type == "server_tool_use" || ev.Block.Type == "mcp_tool_use") {
		return &chat.ToolCall{ID: ev.Block.ID, Name: ev.Block.Name}
	}
	return nil
}

// addTo adds w to p, by its type: as text, as thought or not at all.
func (w *words) addTo(p *upstream.Piece, text, thinking string) {
	switch w.Type {
	case text:
		p.Text = append(p.Text, w.Text)
	case thinking:
		p.Thought = append(p.Thought, w.Thinking)
	}
}

// count takes in what raw says, which is only what has changed, and returns the
// usage so far; nil if raw says nothing, or what is no usage and not to cost an
// answer.
func (d *decoder) count(raw json.RawMessage) *chat.Usage {
	if json.Unmarshal(raw, &d.usage) != nil {
		return nil
	}
	in, out := d.usage.Input+d.usage.CacheCreation+d.usage.CacheRead, d.usage.Output
	return &chat.Usage{PromptTokens: in, CompletionTokens: out, TotalTokens: in + out}
}
