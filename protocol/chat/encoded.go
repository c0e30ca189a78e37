package chat

import "unicode/utf8"

// EncodedLen returns how many bytes text is as a JSON string, with its quotes:
// as encoding/json writes it when it leaves <, > and & as they are.
func EncodedLen(text string) int {
	n := len(text) + len(`""`)
	for i := 0; i < len(text); {
		c := text[i]
		if c < utf8.RuneSelf {
			n += int(escapeLen[c])
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(text[i:])
		if r == utf8.RuneError && size == 1 || r == '\u2028' || r == '\u2029' {
			n += len(`\u2028`) - size
		}
		i += size
	}
	return n
}

// escapeLen is how many bytes more than itself a character takes.
var escapeLen = func() (more [utf8.RuneSelf]uint8) {
	for c := range byte(' ') {
		more[c] = uint8(len(`\u0000`) - 1)
	}
	for _, c := range "\b\f\n\r\t\"\\" {
		more[c] = uint8(len(`\n`) - 1)
	}
	return more
}()

// UTF16Len counts text as JavaScript does, in UTF-16 code units.
func UTF16Len(text string) int {
	n := 0
	for _, r := range text {
		n++
		if r >= 0x10000 {
			n++
		}
	}
	return n
}

// Sizes of a message as JSON besides its texts, in bytes and generously: the
// fields that it always has, one that is there if it says something, an author,
// a usage and an error.
const (
	fieldsLen   = 208
	fieldLen    = len(`,"client_message_id":`)
	numberLen   = len(`,"replaces_seq":`) + 20
	authorLen   = len(`,"author":{"user_id":,"name":,"email":,"picture":}`)
	usageLen    = len(`,"usage":{"prompt_tokens":,"completion_tokens":,"total_tokens":,"estimated":true}`) + 3*20
	errorLen    = len(`,"error":{"code":,"message":}`)
	fileLen     = len(`,{"fileid":,"filename":,"content_type":,"size":,"tokens":,"lines":,"pages":}`) + 4*20
	cutLen      = len(`,{"fileid":,"filename":,"given_tokens":,"tokens":,"reason":}`) + 2*20
	calledLen   = len(`,{"call_id":,"function_name":,"arguments":,"state":"completed","result":,"by":,"at":,"cut":true}`) + 20
	siblingsLen = len(`,"siblings":{"ids":[],"place":,"count":}`) + 2*10
)

// EncodedLen returns how many bytes the message is as JSON at most. It is
// seldom much less.
func (m *Message) EncodedLen() int {
	n := fieldsLen + EncodedLen(m.Content)
	for _, s := range [...]string{
		string(m.ModelID), m.Name, string(m.Prompt), string(m.By), m.Reason, string(m.ClientID), m.Modality, string(m.Steers), string(m.Replaces), string(m.Parent),
		string(m.First),
	} {
		if s != "" {
			n += fieldLen + EncodedLen(s)
		}
	}
	for _, seq := range [...]uint64{m.PromptSeq, m.ReplacesSeq, m.Version} {
		if seq > 0 {
			n += numberLen
		}
	}
	for _, f := range m.Files {
		n += fileLen + EncodedLen(string(f.ID)) + EncodedLen(f.Name) + EncodedLen(f.Type)
	}
	for _, c := range m.Cut {
		n += cutLen + EncodedLen(string(c.ID)) + EncodedLen(c.Name) + EncodedLen(c.Reason)
	}
	for _, c := range m.Calls {
		n += calledLen + EncodedLen(c.ID) + EncodedLen(c.Name) + EncodedLen(c.Arguments) + EncodedLen(c.Result) + EncodedLen(string(c.By))
	}
	if len(m.Files)+len(m.Cut)+len(m.Calls) > 0 {
		n += 3 * fieldLen
	}
	if s := m.Siblings; s != nil {
		n += siblingsLen
		for _, id := range s.IDs {
			n += EncodedLen(string(id)) + len(",")
		}
	}
	if a := m.Author; a != nil {
		n += authorLen + EncodedLen(string(a.ID)) + EncodedLen(a.Name) + EncodedLen(a.Email) + EncodedLen(a.Picture)
	}
	if m.Usage != nil {
		n += usageLen
	}
	if e := m.Error; e != nil {
		n += errorLen + EncodedLen(string(e.Code)) + EncodedLen(e.Message)
	}
	return n
}
