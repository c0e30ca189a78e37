package anthropic

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"

	"parlor/transport/provider/upstream"
)

// blocks are those of an answer, as they have to be sent back when the answer goes on
// behind calls of tools, or behind a pause. Calls themselves are sent back otherwise.
type blocks struct {
	list []*written
	want bool // there is more than text among them
}

// written is a block that is written, or was.
type written struct {
	index  int
	kind   string
	raw    map[string]json.RawMessage
	pieces strings.Builder // of text, thought or input
	joiner upstream.Joiner
	ended  bool
}

// contents are the members of blocks that come in pieces, by the type of the block.
var contents = map[string]string{"text": "text", "thinking": "thinking", "server_tool_use": "input", "mcp_tool_use": "input", "tool_use": "input"}

func (l *blocks) begin(index int, b block, raw json.RawMessage) {
	w := &written{index: index, kind: b.Type}
	if json.Unmarshal(raw, &w.raw) != nil {
		return
	}
	switch contents[b.Type] {
	case "text":
		w.pieces.WriteString(w.joiner.Join(b.Text))
	case "thinking":
		w.pieces.WriteString(w.joiner.Join(b.Thinking))
	}
	l.list = append(l.list, w)
	l.want = l.want || b.Type != "text" && b.Type != "tool_use"
}

// find returns the block of the index that is still written.
func (l *blocks) find(index int) *written {
	for _, w := range slices.Backward(l.list) {
		if w.index == index {
			return w
		}
	}
	return nil
}

// called reports whether the block of the index is a call.
func (l *blocks) called(index int) bool {
	w := l.find(index)
	return w != nil && w.kind == "tool_use"
}

// add takes in a delta of a block.
func (l *blocks) add(ev event) {
	w := l.find(ev.Index)
	if w == nil {
		return
	}
	switch ev.Delta.Type {
	case "text_delta":
		w.pieces.WriteString(w.joiner.Join(ev.Delta.Text))
	case "thinking_delta":
		w.pieces.WriteString(w.joiner.Join(ev.Delta.Thinking))
	case "input_json_delta":
		w.pieces.WriteString(w.joiner.Join(ev.Delta.PartialJSON))
	case "signature_delta":
		w.raw["signature"], _ = json.Marshal(ev.Delta.Signature) // text always marshals
	}
}

func (l *blocks) end(index int) {
	if w := l.find(index); w != nil && !w.ended {
		w.ended = true
		w.finish()
	}
}

// finish puts the pieces where they belong.
func (w *written) finish() {
	member, said := contents[w.kind], w.pieces.String()+w.joiner.Rest()
	switch {
	case member == "":
	case member != "input":
		w.raw[member], _ = json.Marshal(said)
	case json.Valid([]byte(said)):
		w.raw[member] = json.RawMessage(said)
	}
}

// back returns the blocks that have ended, but for the calls, or nil if they say no more
// than the text does.
func (l *blocks) back() json.RawMessage {
	if !l.want {
		return nil
	}
	var all []json.RawMessage
	for _, w := range l.list {
		if !w.ended || w.kind == "tool_use" || w.kind == "text" && bytes.Equal(w.raw["text"], []byte(`""`)) {
			continue
		}
		raw, err := json.Marshal(w.raw)
		if err != nil {
			return nil
		}
		all = append(all, raw)
	}
	raw, _ := json.Marshal(all) // JSON always marshals
	return raw
}
