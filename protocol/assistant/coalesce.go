package assistant

import (
	"bytes"
	"unicode/utf8"

	"parlor/protocol/engineio"
)

// chunkHead begins every delta, and thoughtHead every piece of thought. The name of the
// room follows.
const (
	chunkHead   = `42` + Namespace + `,["` + streamChunk + ` `
	thoughtHead = `42` + Namespace + `,["` + streamThought + ` `
)

// Coalesce returns the frames with the deltas of an answer that follow one
// another made one, in the place of the first: fewer bytes for a client that is
// behind. Text is joined as it is encoded, so the cost is one look at each byte.
//
// Every other frame keeps its bytes and its place, and nothing moves across it:
// by the time a client sees it, it has seen the same text as without Coalesce.
// So a tool call stays where it was in its answer, attachments stay behind
// their packet, and what a restarted turn says anew stays behind its
// stream_start. Deltas of several answers may alternate.
//
// Of the activities of a chat, whose room the client need not have joined, the last one
// is kept: each takes the place of those before. So it is with the progress of a call.
//
// The frames are shared by many connections, and are not changed; nor is the
// slice.
func Coalesce(frames []engineio.Frame) []engineio.Frame {
	frames = withoutOld(frames)
	c := coalescer{out: make([]engineio.Frame, 0, 8), last: make(map[string]int)}
	for _, f := range frames {
		if p, ok := parsePiece(f, c.head); ok {
			c.add(f, p)
			continue
		}
		c.flush()
		c.out = append(c.out, f)
	}
	c.flush()
	return c.out
}

// A coalescer joins the deltas that stand between two other frames.
type coalescer struct {
	out  []engineio.Frame
	head []byte // of the latest delta
	live []byte // of the latest one since flush that ends with a string to resume by
	runs []run
	last map[string]int // by the head of a delta: its answer's latest run
}

// A run is deltas of one answer, each of which goes on where the one before it
// ends.
type run struct {
	place int // in out
	first piece
	more  [][]byte // contents of the others
	tail  []byte   // of the first one, or of the last one if they are live
	end   int      // offset at which the next one goes on
}

// add puts a delta into the run that it goes on with, or begins one. Offset 0
// always begins one: it may be of a new attempt. Those of live answers have no
// offset, and go on with whatever was said before. They may end with a string by which a
// client resumes, and which says how much of every live answer it has: such a delta does
// not move across one of another answer.
func (c *coalescer) add(f engineio.Frame, p piece) {
	if p.live && len(p.tail) > len(endOfPiece) {
		if c.live != nil && !bytes.Equal(c.live, p.head) {
			c.flush()
		}
		c.live = p.head
	}
	c.head = p.head
	if i, ok := c.last[string(p.head)]; ok && (p.live || p.offset > 0 && p.offset == c.runs[i].end) {
		c.runs[i].more = append(c.runs[i].more, p.content)
		c.runs[i].end += p.length
		if p.live {
			c.runs[i].tail = p.tail
		}
		return
	}
	c.last[string(p.head)] = len(c.runs)
	c.runs = append(c.runs, run{place: len(c.out), first: p, tail: p.tail, end: p.offset + p.length})
	c.out = append(c.out, f)
}

// flush writes the runs into their places.
func (c *coalescer) flush() {
	for _, r := range c.runs {
		if len(r.more) > 0 {
			c.out[r.place] = r.join()
		}
	}
	c.live = nil
	clear(c.runs)
	c.runs = c.runs[:0]
	clear(c.last)
}

// join returns the delta that says what all of the run say. It takes no more
// memory than it has to: it may have to wait for long.
func (r run) join() engineio.Frame {
	size := len(r.first.head) + len(r.first.content) + len(r.tail)
	for _, content := range r.more {
		size += len(content)
	}
	b := make([]byte, 0, size)
	b = append(b, r.first.head...)
	b = append(b, r.first.content...)
	for _, content := range r.more {
		b = append(b, content...)
	}
	return engineio.Frame{Data: append(b, r.tail...)}
}

// A piece is a delta that has been recognised. Its fields share the frame's
// bytes.
type piece struct {
	head    []byte // up to the content: says of which answer it is
	content []byte // between the quotes, as it is encoded
	tail    []byte // from the quote that ends the content
	offset  int
	length  int // of the content, in UTF-16 code units
	live    bool
}

// parsePiece recognises a delta of an answer that goes on, by the exact shape
// that chunk or LiveDelta gives it. It need not look at a head that is known.
func parsePiece(f engineio.Frame, known []byte) (p piece, ok bool) {
	if f.Binary {
		return p, false
	}
	size := len(known)
	if size == 0 || !bytes.HasPrefix(f.Data, known) {
		if size, ok = headSize(f.Data); !ok {
			size, ok = liveHeadSize(f.Data)
		}
		if !ok {
			return p, false
		}
	}
	rest := f.Data[size:]
	p.length, p.tail, ok = cutText(rest)
	if !ok {
		return p, false
	}
	p.head = f.Data[:size]
	p.content = rest[:len(rest)-len(p.tail)]
	if p.live = bytes.HasPrefix(p.head, messageHead); p.live {
		return p, isLiveTail(p.tail)
	}
	p.offset, ok = parseTail(p.tail)
	return p, ok
}

// headSize returns where the content begins, in what may be a delta or a thought.
func headSize(data []byte) (size int, ok bool) {
	first := chunkHead
	if bytes.HasPrefix(data, []byte(thoughtHead)) {
		first = thoughtHead
	}
	return skip(data, first, `",{"message_id":"`, `","content":"`)
}

// liveHeadSize does the same for what may be a delta of a live answer.
func liveHeadSize(data []byte) (size int, ok bool) {
	for _, kind := range []string{textDelta, transcriptDelta} {
		if size, ok = skip(data, string(messageHead), `",{"type":"`+kind+`","item_id":"`, `","delta":"`); ok {
			return size, true
		}
	}
	return 0, false
}

// endOfPiece ends a delta of a live answer.
const endOfPiece = `"}]`

// isLiveTail recognises what follows the content there: the end of the event, perhaps with
// the string by which a client resumes.
func isLiveTail(tail []byte) bool {
	const before, after = `"},"`, `"]`
	if string(tail) == endOfPiece {
		return true
	}
	resume, ok := bytes.CutPrefix(tail, []byte(before))
	if ok {
		resume, ok = bytes.CutSuffix(resume, []byte(after))
	}
	return ok && bytes.IndexByte(resume, '"') < 0
}

// skip returns where data goes on behind the parts, between which there is the
// text of a string.
func skip(data []byte, first string, parts ...string) (size int, ok bool) {
	rest, ok := bytes.CutPrefix(data, []byte(first))
	for _, part := range parts {
		if !ok {
			return 0, false
		}
		if _, rest, ok = cutText(rest); ok {
			rest, ok = bytes.CutPrefix(rest, []byte(part))
		}
	}
	return len(data) - len(rest), ok
}

// parseTail returns the offset in what follows the content of a delta.
func parseTail(tail []byte) (offset int, ok bool) {
	const before, after = `","done":false,"offset":`, `}]`
	number, ok := bytes.CutPrefix(tail, []byte(before))
	if !ok {
		return 0, false
	}
	if number, ok = bytes.CutSuffix(number, []byte(after)); !ok {
		return 0, false
	}
	return parseOffset(number)
}

// parseOffset reads a decimal number without signs and leading zeros. It does
// not use strconv, which would copy each of thousands.
func parseOffset(b []byte) (n int, ok bool) {
	const maxDigits = 15 // JavaScript counts as far
	if len(b) == 0 || len(b) > maxDigits || b[0] == '0' && len(b) > 1 {
		return 0, false
	}
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	return n, true
}

// cutText returns the length, in UTF-16 code units, of the text of a JSON
// string, and what follows the text: the quote that ends it. It reports false
// for a string that [socketio.AppendString] would not write.
func cutText(b []byte) (length int, rest []byte, ok bool) {
	for i := 0; i < len(b); {
		switch c := b[i]; {
		case c == '"':
			return length, b[i:], true
		case c < ' ':
			return 0, nil, false
		case c == '\\':
			n := escapeSize(b[i:])
			if n == 0 {
				return 0, nil, false
			}
			i += n
		case c < utf8.RuneSelf:
			i++
		default:
			r, n := utf8.DecodeRune(b[i:])
			if r == utf8.RuneError && n == 1 {
				return 0, nil, false
			}
			if r >= 0x10000 { // two code units
				length++
			}
			i += n
		}
		length++
	}
	return 0, nil, false
}

// escapeSize returns the number of bytes of the escape that begins b: one for a
// quote, a backslash or a control character. It returns 0 if it is no such.
func escapeSize(b []byte) int {
	const short, long = 2, 6
	if len(b) >= short && bytes.IndexByte([]byte(`"\bfnrt`), b[1]) >= 0 {
		return short
	}
	control := len(b) >= long && bytes.HasPrefix(b, []byte(`\u00`)) && (b[4] == '0' || b[4] == '1')
	if control && bytes.IndexByte([]byte("0123456789abcdef"), b[5]) >= 0 {
		return long
	}
	return 0
}
