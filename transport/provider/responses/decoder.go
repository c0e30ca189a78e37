package responses

import (
	"bytes"
	"encoding/json"
	"slices"

	"parlor/protocol/chat"
	"parlor/transport/provider/upstream"
)

// A decoder reads the events of one answer, over all connections that bring it.
type decoder struct {
	run     string // the id of the answer, if it goes on without us
	last    int64  // the number of the last event
	counts  bool   // events have numbers
	ended   bool   // the provider has said how
	spoken  bool   // some text has come
	refused bool   // it is a refusal
	calls   []item
}

// An event is what we need of one.
type event struct {
	Type     string          `json:"type"`
	Number   *int64          `json:"sequence_number"`
	Delta    json.RawMessage `json:"delta"`
	Item     item            `json:"item"`
	Response *response       `json:"response"`
	response                 // of a server that does not stream
}

type response struct {
	Object     string          `json:"object"`
	ID         string          `json:"id"`
	Status     string          `json:"status"`
	Background bool            `json:"background"`
	Output     []item          `json:"output"`
	Error      json.RawMessage `json:"error"`
	Incomplete struct {
		Reason string `json:"reason"`
	} `json:"incomplete_details"`
	Usage *struct {
		Input  int `json:"input_tokens"`
		Output int `json:"output_tokens"`
		Total  int `json:"total_tokens"`
	} `json:"usage"`
}

// An item is a message or a call.
type item struct {
	Type      string        `json:"type"`
	CallID    string        `json:"call_id"`
	Name      string        `json:"name"`
	Arguments upstream.Text `json:"arguments"`
	Content   []struct {
		Type    string        `json:"type"`
		Text    upstream.Text `json:"text"`
		Refusal upstream.Text `json:"refusal"`
	} `json:"content"`
}

// Event implements [upstream.Decoder].
func (d *decoder) Event(name string, data []byte) (p upstream.Piece, err error) {
	if bytes.Equal(data, []byte("[DONE]")) {
		return upstream.Piece{Last: true}, nil
	}
	var e event
	if err := json.Unmarshal(data, &e); err != nil {
		return p, err
	}
	if e.Number != nil {
		if *e.Number <= d.last && d.run != "" { // it was read before
			return upstream.Piece{Idle: true}, nil
		}
		d.last, d.counts = *e.Number, true
	}
	switch e.Type {
	case "response.created":
		return d.created(e), nil
	case "response.output_text.delta", "response.refusal.delta":
		d.spoken, d.refused = true, d.refused || e.Type == "response.refusal.delta"
		p.Text, err = texts(e.Delta)
	case "response.reasoning_text.delta", "response.reasoning_summary_text.delta":
		p.Thought, err = texts(e.Delta)
	case "response.output_item.done":
		d.note(e.Item)
	case "response.completed", "response.incomplete", "response.failed", "response.cancelled":
		return d.end(e.Response, data)
	case "":
		if e.Object == "response" {
			return d.end(&e.response, data)
		}
	}
	p.Idle = err == nil && len(p.Text) == 0 && len(p.Thought) == 0 && e.Type != "" && e.Type != "error"
	return p, err
}

func texts(raw json.RawMessage) ([]upstream.Text, error) {
	var t upstream.Text
	err := json.Unmarshal(raw, &t)
	return []upstream.Text{t}, err
}

// created notes which answer it is. One that is not in the background ends with its
// connection.
func (d *decoder) created(e event) upstream.Piece {
	if e.Response == nil || !e.Response.Background || e.Response.ID == "" {
		return upstream.Piece{Idle: true}
	}
	d.run = e.Response.ID
	return upstream.Piece{Run: &chat.Run{ID: d.run, After: d.last}}
}

// note notes a call. The model may have made it before the connection was cut.
func (d *decoder) note(i item) {
	if i.Type == "function_call" && !slices.ContainsFunc(d.calls, func(c item) bool { return c.CallID == i.CallID }) {
		d.calls = append(d.calls, i)
	}
}

// end reads how the answer has ended: the response as a whole.
func (d *decoder) end(r *response, data []byte) (p upstream.Piece, err error) {
	d.ended = true
	if r == nil || r.Status == "failed" || r.Status == "cancelled" || r.Status == "queued" || r.Status == "in_progress" {
		return upstream.Piece{Report: report(r, data)}, nil
	}
	for _, i := range r.Output {
		d.note(i)
		if i.Type == "message" && !d.spoken {
			for _, c := range i.Content {
				p.Text = append(p.Text, c.Text, c.Refusal)
				d.refused = d.refused || c.Type == "refusal"
			}
		}
	}
	for i, c := range d.calls {
		p.Calls = append(p.Calls, upstream.CallPiece{Index: &i, ID: c.CallID, Name: c.Name, Arguments: c.Arguments})
	}
	switch {
	case r.Status == "incomplete":
		p.Finish = upstream.FinishOf(r.Incomplete.Reason)
	case len(d.calls) > 0:
		p.Finish = chat.FinishToolCalls
	case d.refused:
		p.Finish = chat.FinishRefusal
	}
	if p.Finish == "" {
		p.Finish = chat.FinishStop
	}
	if u := r.Usage; u != nil {
		p.Usage = &chat.Usage{PromptTokens: u.Input, CompletionTokens: u.Output, TotalTokens: u.Total}
	}
	p.Last = true
	return p, nil
}

// report is what the provider says of a failure.
func report(r *response, data []byte) []byte {
	switch {
	case r == nil:
		return data
	case len(r.Error) > 0 && string(r.Error) != "null":
		return []byte(`{"error":` + string(r.Error) + `}`)
	}
	return []byte(`{"error":{"message":"the answer is ` + r.Status + `"}}`)
}
