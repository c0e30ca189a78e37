package anthropic

import (
	"encoding/json"

	"parlor/protocol/chat"
	"parlor/transport/provider/upstream"
)

// A decoder reads the events of one answer. Its zero value has read none.
// https://docs.anthropic.com/en/api/messages-streaming
type decoder struct {
	usage  usage
	blocks blocks
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
	Index int             `json:"index"`
	Block json.RawMessage `json:"content_block"`
	Delta struct {
		words
		PartialJSON upstream.Text `json:"partial_json"`
		Signature   string        `json:"signature"`
		StopReason  string        `json:"stop_reason"`
	} `json:"delta"`
}

// A block is one of an answer, or the beginning of one.
type block struct {
	words
	ID    string          `json:"id"`
	Name  string          `json:"name"`
	Input json.RawMessage `json:"input"`
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
		return upstream.Piece{Usage: d.count(ev.Usage), Finish: upstream.FinishOf(ev.Delta.StopReason), Back: d.blocks.back()}, nil
	case "message_stop":
		return upstream.Piece{Last: true}, nil
	case "message":
		return d.whole(ev)
	}
	var p upstream.Piece
	switch ev.Type {
	case "content_block_start":
		err := d.begin(&p, ev)
		return p, err
	case "content_block_delta":
		ev.Delta.addTo(&p, "text_delta", "thinking_delta")
		d.blocks.add(ev)
		if ev.Delta.Type == "input_json_delta" && d.blocks.called(ev.Index) {
			p.Calls = []upstream.CallPiece{{Index: &ev.Index, Arguments: ev.Delta.PartialJSON}}
		}
	case "content_block_stop":
		d.blocks.end(ev.Index)
	}
	return p, nil
}

// begin reads the beginning of a block.
func (d *decoder) begin(p *upstream.Piece, ev event) error {
	var b block
	if err := json.Unmarshal(ev.Block, &b); err != nil {
		return err
	}
	b.addTo(p, "text", "thinking")
	d.blocks.begin(ev.Index, b, ev.Block)
	switch b.Type {
	case "tool_use":
		p.Calls = []upstream.CallPiece{b.call(ev.Index)}
	case "server_tool_use", "mcp_tool_use": // Anthropic begins to run it
		p.Tool = &chat.ToolCall{ID: b.ID, Name: b.Name}
	}
	return nil
}

// call is what the beginning of a block says of a call. Its input is that of the call if
// no pieces of it follow.
func (b block) call(index int) upstream.CallPiece {
	return upstream.CallPiece{Index: &index, ID: b.ID, Name: b.Name, Otherwise: string(b.Input)}
}

// whole reads an answer as a whole, which some servers send where a stream was
// wanted.
func (d *decoder) whole(ev event) (upstream.Piece, error) {
	p := upstream.Piece{Usage: d.count(ev.Usage), Finish: upstream.FinishOf(ev.Reason), Last: true}
	var list []json.RawMessage
	if err := json.Unmarshal(ev.Content, &list); err != nil {
		return p, err
	}
	for i, raw := range list {
		var b block
		if err := json.Unmarshal(raw, &b); err != nil {
			return p, err
		}
		b.addTo(&p, "text", "thinking")
		d.blocks.begin(i, b, raw)
		d.blocks.end(i)
		if b.Type == "tool_use" {
			p.Calls = append(p.Calls, b.call(i))
		}
	}
	p.Back = d.blocks.back()
	return p, nil
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
