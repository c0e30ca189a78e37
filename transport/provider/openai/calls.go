package openai

import (
	"encoding/json"
	"strconv"

	"parlor/transport/provider/upstream"
)

// callPieces are pieces of the calls that a model makes. Anything but a list is none.
type callPieces []callPiece

// UnmarshalJSON implements [json.Unmarshaler].
func (c *callPieces) UnmarshalJSON(raw []byte) error {
	var list []callPiece
	if json.Unmarshal(raw, &list) == nil {
		*c = list
	}
	return nil
}

// A callPiece is a piece of one, or a whole one.
type callPiece struct {
	Index    *int `json:"index"`
	ID       id   `json:"id"`
	Function struct {
		Name      name      `json:"name"`
		Arguments arguments `json:"arguments"`
	} `json:"function"`
	Extra json.RawMessage `json:"extra_content"` // Gemini: its signature
}

func (c callPiece) piece() upstream.CallPiece {
	return upstream.CallPiece{
		Index: c.Index, ID: string(c.ID), Name: string(c.Function.Name),
		Arguments: upstream.Text(c.Function.Arguments), Back: c.Extra,
	}
}

type name string

// UnmarshalJSON implements [json.Unmarshaler]. What is no text is no name.
func (n *name) UnmarshalJSON(raw []byte) error {
	var s string
	_ = json.Unmarshal(raw, &s)
	*n = name(s)
	return nil
}

// An id is text, and a number at some servers.
type id string

// UnmarshalJSON implements [json.Unmarshaler].
func (i *id) UnmarshalJSON(raw []byte) error {
	var s string
	var n int64
	switch {
	case json.Unmarshal(raw, &s) == nil:
		*i = id(s)
	case json.Unmarshal(raw, &n) == nil:
		*i = id(strconv.FormatInt(n, 10))
	}
	return nil
}

// arguments are text that holds JSON, or that JSON itself.
type arguments upstream.Text

// UnmarshalJSON implements [json.Unmarshaler].
func (a *arguments) UnmarshalJSON(raw []byte) error {
	var t upstream.Text
	if raw[0] != '"' && string(raw) != "null" {
		quoted, err := json.Marshal(string(raw))
		if err != nil {
			return err
		}
		raw = quoted
	}
	err := json.Unmarshal(raw, &t)
	*a = arguments(t)
	return err
}

// details are what OpenRouter tells of the thought of a model, in pieces.
type details struct {
	list []struct {
		Text    loose `json:"text"`
		Summary loose `json:"summary"`
	}
	raw []json.RawMessage
}

// UnmarshalJSON implements [json.Unmarshaler].
func (d *details) UnmarshalJSON(raw []byte) error {
	if err := json.Unmarshal(raw, &d.list); err != nil {
		return err
	}
	return json.Unmarshal(raw, &d.raw)
}
