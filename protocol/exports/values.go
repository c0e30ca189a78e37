package exports

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"strconv"
	"strings"
	"time"
)

// MaxValueBytes limits one value of an export: a conversation, a document or a row.
const MaxValueBytes = 64 << 20

// A Value is one of a stream of JSON.
type Value struct {
	N      int             // counted from 1
	Offset int64           // of its end, in bytes
	JSON   json.RawMessage // good until the next one is asked for
}

// Values yields the values of a stream: the elements of an array, or values behind each
// other. It holds one of them in memory. An error says where it is, and is the last.
func Values(r io.Reader) iter.Seq2[Value, error] {
	return func(yield func(Value, error) bool) {
		in := &bounded{r: r}
		d := json.NewDecoder(in)
		v := Value{}
		fail := func(err error) {
			yield(Value{}, fmt.Errorf("value %d, behind byte %d: %w", v.N+1, v.Offset, in.explain(err)))
		}
		in.left = MaxValueBytes
		array, skipped, err := begins(d, in)
		if err != nil {
			if !errors.Is(err, io.EOF) {
				fail(err)
			}
			return
		}
		for {
			in.left = MaxValueBytes
			if array && !d.More() {
				break
			}
			err := d.Decode(&v.JSON)
			if err == io.EOF && !array {
				return
			}
			if err != nil {
				fail(err)
				return
			}
			v.N, v.Offset = v.N+1, skipped+d.InputOffset()
			if !yield(v, nil) {
				return
			}
		}
		if _, err := d.Token(); err != nil { // the end of the array
			fail(err)
			return
		}
		if _, err := d.Token(); err != io.EOF {
			fail(errors.New("something follows the end of the list"))
		}
	}
}

// begins reads the bracket of an array, if the stream has one. It ignores a byte order mark
// and white space, and returns how many bytes of these there were.
func begins(d *json.Decoder, in *bounded) (array bool, skipped int64, err error) {
	var b [1]byte
	for ; ; skipped++ {
		if _, err := io.ReadFull(in.r, b[:]); err != nil {
			return false, skipped, err
		}
		if bytes.IndexByte([]byte(" \t\r\n\xef\xbb\xbf"), b[0]) < 0 {
			break
		}
	}
	in.r = io.MultiReader(bytes.NewReader(b[:]), in.r)
	if b[0] != '[' {
		return false, skipped, nil
	}
	_, err = d.Token()
	return true, skipped, err
}

// bounded fails when more than left bytes are read.
type bounded struct {
	r    io.Reader
	left int
	over bool
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		b.over = true
		return 0, io.ErrUnexpectedEOF
	}
	n, err := b.r.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

func (b *bounded) explain(err error) error {
	switch {
	case b.over:
		return fmt.Errorf("it is longer than %d MiB", MaxValueBytes>>20)
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return errors.New("the file ends in the middle of it")
	}
	return err
}

// text is a string, however the export writes it. Numbers and the names of MongoDB and its
// extended JSON are strings too, and null is an empty one.
type text string

func (t *text) UnmarshalJSON(b []byte) error {
	switch b[0] {
	case '"':
		return json.Unmarshal(b, (*string)(t))
	case 'n':
		*t = ""
		return nil
	case '{':
		var named struct {
			OID  string `json:"$oid"`
			UUID string `json:"$uuid"`
			Bin  struct {
				Base64  []byte `json:"base64"`
				SubType string `json:"subType"`
			} `json:"$binary"`
		}
		if err := json.Unmarshal(b, &named); err != nil {
			return err
		}
		switch *t = text(named.OID + named.UUID); {
		case len(named.Bin.Base64) == 16:
			u := named.Bin.Base64
			*t = text(fmt.Sprintf("%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:]))
		case *t == "":
			return fmt.Errorf("%.100s is no text", b)
		}
		return nil
	case '[', 't', 'f':
		return fmt.Errorf("%.100s is no text", b)
	}
	*t = text(b)
	return nil
}

// moment is a time, however the export writes it: in the forms of RFC 3339, as seconds,
// milliseconds, microseconds or nanoseconds of Unix time, or in MongoDB's extended JSON. One
// without a zone is in UTC.
type moment struct{ time.Time }

var layouts = []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999Z07:00", "2006-01-02 15:04:05.999999999", "2006-01-02 15:04:05.999999999-07"}

func (m *moment) UnmarshalJSON(b []byte) error {
	m.Time = time.Time{}
	switch b[0] {
	case 'n':
		return nil
	case '"':
		var s string
		if err := json.Unmarshal(b, &s); err != nil || s == "" {
			return err
		}
		return m.parse(s)
	case '{':
		var date struct {
			Date   json.RawMessage `json:"$date"`
			Long   string          `json:"$numberLong"`
			Double string          `json:"$numberDouble"`
			Int    string          `json:"$numberInt"`
		}
		if err := json.Unmarshal(b, &date); err != nil {
			return err
		}
		switch number := date.Long + date.Double + date.Int; {
		case number != "":
			return m.parse(number)
		case len(date.Date) > 0 && date.Date[0] != '{':
			return m.UnmarshalJSON(date.Date)
		case len(date.Date) > 0:
			var long struct {
				Milliseconds string `json:"$numberLong"`
			}
			if err := json.Unmarshal(date.Date, &long); err != nil {
				return err
			}
			ms, err := strconv.ParseInt(long.Milliseconds, 10, 64)
			m.Time = time.UnixMilli(ms).UTC()
			if err != nil {
				return fmt.Errorf("%.100s is no time", b)
			}
			return nil
		}
	default:
		return m.parse(string(b))
	}
	return fmt.Errorf("%.100s is no time", b)
}

func (m *moment) parse(s string) error {
	if n, err := strconv.ParseFloat(s, 64); err == nil {
		const year5000 = 1e11 // in seconds
		for n > year5000 && n < 1e20 {
			n /= 1000
		}
		if math.IsNaN(n) || math.Abs(n) > year5000 {
			return fmt.Errorf("%.100q is no time", s)
		}
		sec, frac := math.Modf(n)
		if m.Time = time.Unix(int64(sec), int64(math.Round(frac*1e6))*1000).UTC(); n == 0 {
			m.Time = time.Time{} // it stands for none
		}
		return nil
	}
	for _, layout := range layouts {
		if at, err := time.Parse(layout, s); err == nil {
			m.Time = at.UTC()
			return nil
		}
	}
	return fmt.Errorf("%.100q is no time", s)
}

// number is a whole number that may be written as text or in extended JSON, or be null.
type number int64

func (n *number) UnmarshalJSON(b []byte) error {
	if *n = 0; b[0] == 'n' {
		return nil
	}
	s := strings.Trim(string(b), `"`)
	if b[0] == '{' {
		var long map[string]string
		if err := json.Unmarshal(b, &long); err != nil {
			return err
		}
		s = long["$numberLong"] + long["$numberInt"] + long["$numberDouble"]
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || math.Abs(f) > 1e15 {
		return fmt.Errorf("%.100s is no number", b)
	}
	*n = number(f)
	return nil
}

// truth is a boolean, which SQLite writes as a number. null is false.
type truth bool

func (t *truth) UnmarshalJSON(b []byte) error {
	switch s := strings.Trim(string(b), `"`); s {
	case "true", "1", "t":
		*t = true
	case "false", "0", "null", "f", "":
		*t = false
	default:
		return fmt.Errorf("%.100s is neither true nor false", b)
	}
	return nil
}

// argsIn returns what a tool was given, or has returned, as text: what is no string stays JSON.
func argsIn(b json.RawMessage) string {
	var s string
	if len(b) == 0 || string(b) == "null" || json.Unmarshal(b, &s) == nil {
		return s
	}
	return strings.TrimSpace(string(b))
}

// embedded decodes a value that may be written as JSON in a text, as databases have it.
func embedded(b json.RawMessage, v any) error {
	if len(b) > 0 && b[0] == '"' {
		var s string
		if err := json.Unmarshal(b, &s); err != nil {
			return err
		}
		if s == "" {
			return nil
		}
		b = json.RawMessage(s)
	}
	if len(b) == 0 {
		return nil
	}
	return json.Unmarshal(b, v)
}
