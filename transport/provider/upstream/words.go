package upstream

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"
)

// explanation is what the provider says in a body of any type: the message in
// JSON, or plain text. Pages for browsers explain nothing, nor do pieces of
// answers.
func explanation(body []byte) string {
	body = bytes.TrimSpace(body)
	switch {
	case json.Valid(body):
		return jsonMessage(body)
	case bytes.HasPrefix(body, []byte("<")):
		return ""
	}
	raw := false
	var words []byte
	for line := range bytes.Lines(body) {
		line = bytes.TrimSpace(bytes.TrimPrefix(bytes.TrimSpace(line), []byte(errorField)))
		value := bytes.TrimSpace(field.ReplaceAll(line, nil))
		raw = raw || len(value) < len(line) || looksRaw(value)
		if said := jsonMessage(value); said != "" {
			return said
		}
		if part := message.FindSubmatch(value); part != nil { // of JSON that was cut off
			return jsonMessage(part[1])
		}
		words = append(append(words, value...), ' ')
	}
	if raw {
		return ""
	}
	return string(words)
}

var (
	// field matches what begins the lines of an event stream.
	field = regexp.MustCompile(`^(data|event|id|retry)?:`)

	// message matches an explanation in JSON.
	message = regexp.MustCompile(`"(?:message|error|detail|msg)"\s*:\s*("(?:[^"\\]|\\.)+")`)
)

// looksRaw reports whether s is data and not words.
func looksRaw(s []byte) bool {
	return bytes.HasPrefix(s, []byte("{")) || bytes.HasPrefix(s, []byte("[{")) ||
		bytes.HasPrefix(s, []byte("data:")) || bytes.HasPrefix(s, []byte("event:"))
}

// messageDepth is how deep servers wrap an explanation.
const messageDepth = 5

// messageNames are the members in which servers put an explanation, or what
// holds one, best first.
var messageNames = []string{
	"error", "errors", "message", "detail", "msg", "error_message", "errorMessage", "error_description", "reason", "description",
	"fault", "faultstring", "title", "type", "code",
}

// jsonMessage finds the explanation in the shapes in which servers wrap it:
// {"error":{"message":…}}, {"error":"…"}, {"message":…}, {"detail":…}, {"msg":…},
// a list that begins with one of these, or one of these as text. It returns ""
// for anything else.
func jsonMessage(data []byte) string { return findMessage(data, messageDepth) }

func findMessage(data []byte, depth int) string {
	if depth == 0 {
		return ""
	}
	var said string
	if json.Unmarshal(data, &said) == nil {
		if inner := []byte(strings.TrimSpace(said)); looksRaw(inner) {
			return explanation(inner)
		}
		return said
	}
	var list []json.RawMessage
	if json.Unmarshal(data, &list) == nil && len(list) > 0 {
		return findMessage(list[0], depth-1)
	}
	var object map[string]json.RawMessage
	if json.Unmarshal(data, &object) != nil {
		return ""
	}
	for _, name := range messageNames {
		if said := findMessage(object[name], depth-1); said != "" {
			return said
		}
	}
	return ""
}

// reports reports whether data, which adds nothing to an answer, tells of a failure.
func reports(data []byte) bool {
	var list []json.RawMessage
	if json.Unmarshal(data, &list) == nil && len(list) > 0 {
		data = list[0]
	}
	var object map[string]json.RawMessage
	if json.Unmarshal(data, &object) != nil {
		return false
	}
	for _, name := range []string{"error", "errors", "detail"} {
		if findMessage(object[name], messageDepth) != "" {
			return true
		}
	}
	var said string
	return json.Unmarshal(object["message"], &said) == nil && said != ""
}
