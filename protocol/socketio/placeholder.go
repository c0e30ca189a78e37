package socketio

import (
	"encoding/json"
	"strconv"
)

// Placeholder returns the argument, or the part of one, that stands for the
// packet's attachment number n, counted from 0.
func Placeholder(n int) json.RawMessage {
	b := append([]byte(nil), `{"_placeholder":true,"num":`...)
	return append(strconv.AppendInt(b, int64(n), 10), '}')
}

// container is an array or object that checkPlaceholders is inside of.
type container struct {
	marked bool   // has "_placeholder": true
	num    []byte // the literal value of its "num"
}

// checkPlaceholders checks that every placeholder in data numbers one of the
// attachments (CVE-2022-2421). Where there are no attachments, an object that
// looks like a placeholder is only an object. Of a repeated key the last
// counts, as in JavaScript.
func checkPlaceholders(data []byte, attachments int) error {
	if attachments == 0 {
		return nil
	}
	var inside []container
	for i := 0; i < len(data); i++ {
		switch data[i] {
		case '[', '{':
			inside = append(inside, container{})
		case ']', '}':
			c := inside[len(inside)-1]
			inside = inside[:len(inside)-1]
			if c.marked && !numbers(c.num, attachments) {
				return errPlaceholder
			}
		case '"':
			end := stringEnd(data, i)
			if colon := skipSpace(data, end); colon < len(data) && data[colon] == ':' {
				inside[len(inside)-1].note(data[i:end], data, skipSpace(data, colon+1))
			}
			i = end - 1
		}
	}
	return nil
}

// note looks at the member of an object whose value begins at data[i].
func (c *container) note(key, data []byte, i int) {
	switch {
	case quotes(key, "_placeholder"):
		c.marked = data[i] == 't'
	case quotes(key, "num"):
		c.num = nil
		if '0' <= data[i] && data[i] <= '9' {
			c.num = data[i:valueEnd(data, i)]
		}
	}
}

// numbers reports whether literal is the number of one of n attachments.
func numbers(literal []byte, n int) bool {
	num, err := strconv.Atoi(string(literal))
	return err == nil && num < n
}
