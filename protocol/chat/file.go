package chat

import (
	"encoding/base64"
	"io"
	"path"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// A FileID names a file of a chat.
type FileID string

// MaxFileNameLen limits the name of a file, in bytes.
const MaxFileNameLen = 255

// Valid reports whether id can be that of a file.
func (id FileID) Valid() bool {
	return id != "" && len(id) <= 64 && strings.Trim(string(id), "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

// A File is a file of a chat: text, an image or a PDF. Messages name the files that they bring, and
// what they say of them is how the file was then.
type File struct {
	ID     FileID `json:"fileid"`
	Name   string `json:"filename"`
	Type   string `json:"content_type"` // one of those of [FileCheck]
	Size   int64  `json:"size"`
	Tokens int    `json:"tokens,omitempty"` // that it is to a model, roughly
	Lines  int    `json:"lines,omitempty"`  // of a text
	Pages  int    `json:"pages,omitempty"`  // of a text that has several, with form feeds between them

	TextSize int64 `json:"text_size,omitempty"` // of the text of a PDF, which lies behind its own bytes

	By      UserID    `json:"userid,omitempty"`
	Created time.Time `json:"uploaded_at,omitzero"`
}

// Image reports whether the file is an image.
func (f File) Image() bool { return strings.HasPrefix(f.Type, "image/") }

// PDF reports whether the file is a PDF.
func (f File) PDF() bool { return f.Type == typePDF }

// Text returns where the text of a file begins in its bytes, and how long it is.
func (f File) Text() (from, size int64) {
	if f.PDF() {
		return f.Size, f.TextSize
	}
	return 0, f.Size
}

// Read returns the file with what is known of its text.
func (f File) Read(text []byte) (File, *Error) {
	var check FileCheck
	check.Write(text)
	read, refusal := check.File("text")
	f.TextSize, f.Tokens, f.Lines, f.Pages = read.Size, read.Tokens, read.Lines, max(1, read.Pages)
	return f, refusal
}

// An Upload is a file on its way. A Key, if there is one, names it among those of its user:
// what comes again is not kept again.
type Upload struct {
	Name, Key string
	Body      io.Reader // an end that is no io.EOF is none
}

// FileIDs returns the ids of files.
func FileIDs(files []File) (ids []FileID) {
	for _, f := range files {
		ids = append(ids, f.ID)
	}
	return ids
}

// A CutFile is a file of which an assistant was given a part.
type CutFile struct {
	ID     FileID `json:"fileid"`
	Name   string `json:"filename"`
	Given  int    `json:"given_tokens"` // 0: nothing
	Tokens int    `json:"tokens"`       // of the whole
	Reason string `json:"reason"`       // for people
}

// FileIn returns what is in a data URL (RFC 2397) of bytes in base64, as browsers make them.
func FileIn(url string) ([]byte, *Error) {
	head, data, ok := strings.Cut(url, ",")
	if !ok || !strings.HasPrefix(head, "data:") || !strings.HasSuffix(head, ";base64") {
		return nil, Refuse(CodeInvalid, "a file must be in a data URL, in base64")
	}
	body, err := base64.StdEncoding.DecodeString(data)
	if err != nil {
		return nil, Refuse(CodeInvalid, "a file is not in base64")
	}
	return body, nil
}

// FileName returns the name under which an uploaded file is kept: without folders, and
// without what cannot be shown.
func FileName(name string) string {
	name = strings.Map(func(r rune) rune {
		switch {
		case r == '\\':
			return '/'
		case !unicode.IsPrint(r) || r == utf8.RuneError:
			return -1
		}
		return r
	}, name)
	name = strings.TrimSpace(path.Base("/" + name))
	if name == "/" || name == "." || name == ".." || name == "" {
		return "file"
	}
	if len(name) > MaxFileNameLen {
		name = strings.ToValidUTF8(name[:MaxFileNameLen], "")
	}
	return name
}

// ImageTokens is what an image is counted as: about what one of full size is to the models
// that see.
const ImageTokens = 1600

// textTypes are the types of texts by the ends of their names. All other texts are plain.
var textTypes = map[string]string{
	".md": "text/markdown", ".markdown": "text/markdown", ".csv": "text/csv", ".json": "application/json", ".html": "text/html", ".htm": "text/html",
}

// images are the types of images by how they begin.
var images = []struct{ begins, then, kind string }{
	{"\x89PNG\r\n\x1a\n", "", "image/png"}, {"\xff\xd8\xff", "", "image/jpeg"}, {"GIF87a", "", "image/gif"}, {"GIF89a", "", "image/gif"}, {"RIFF", "WEBP", "image/webp"},
}

// A FileCheck finds out what a file is while its bytes pass: what it says of itself does not
// count. The zero value is ready to use.
type FileCheck struct {
	Size   int64
	tokens Estimate
	head   []byte
	image  string // its type
	binary bool
	pdf    bool
	part   []byte // of a character that is not whole yet
	lines  int
	pages  int
	last   byte
}

const fileHead = 16 // bytes that say what an image is

// Write implements io.Writer. It never fails.
func (c *FileCheck) Write(p []byte) (int, error) {
	if len(c.head) < fileHead {
		c.head = append(c.head, p[:min(len(p), fileHead-len(c.head))]...)
		c.pdf = strings.HasPrefix(string(c.head), "%PDF-")
		for _, i := range images {
			if strings.HasPrefix(string(c.head), i.begins) && (i.then == "" || len(c.head) >= 12 && string(c.head[8:12]) == i.then) {
				c.image = i.kind
			}
		}
	}
	c.Size += int64(len(p))
	if len(p) > 0 {
		c.last = p[len(p)-1]
	}
	if !c.binary {
		c.text(append(c.part, p...))
	}
	return len(p), nil
}

// text takes the next piece of a file that may be text.
func (c *FileCheck) text(p []byte) {
	whole := len(p)
	for back := 1; back < utf8.UTFMax && back <= len(p); back++ { // a character may end in the next piece
		if b := p[len(p)-back]; utf8.RuneStart(b) {
			if !utf8.FullRune(p[len(p)-back:]) {
				whole = len(p) - back
			}
			break
		}
	}
	text := string(p[:whole])
	c.part = append([]byte(nil), p[whole:]...)
	c.binary = !utf8.ValidString(text) || strings.ContainsFunc(text, notText)
	c.tokens.Add(text)
	c.lines += strings.Count(text, "\n")
	c.pages += strings.Count(text, "\f")
}

func notText(r rune) bool { return r < ' ' && !strings.ContainsRune("\t\n\v\f\r\x1b", r) || r == 0x7f }

const typePDF = "application/pdf"

// Refusals of files for what they are.
var (
	ErrPDF  = Refuse(CodeUnsupportedType, "PDF files are not read here: send their text, or pictures of their pages")
	errType = Refuse(CodeUnsupportedType, "only text in UTF-8, images (PNG, JPEG, GIF, WebP) and PDF files can be sent")
)

// PDF reports whether the file is a PDF.
func (c *FileCheck) PDF() bool { return c.pdf }

// Hopeless returns why the file cannot be kept whatever follows, or nil.
func (c *FileCheck) Hopeless() *Error {
	if c.binary && c.image == "" && !c.pdf {
		return errType
	}
	return nil
}

// File returns what is known of a file with that name when all of it has passed. A PDF has
// to be read yet, see [File.Read].
func (c *FileCheck) File(name string) (File, *Error) {
	f := File{Name: FileName(name), Size: c.Size}
	switch {
	case c.image != "":
		f.Type, f.Tokens = c.image, ImageTokens
		return f, nil
	case c.pdf:
		f.Type = typePDF
		return f, nil
	}
	if len(c.part) > 0 {
		c.binary = true
	}
	if refusal := c.Hopeless(); refusal != nil {
		return File{}, refusal
	}
	f.Type, f.Tokens, f.Lines = textTypes[strings.ToLower(path.Ext(f.Name))], c.tokens.Tokens(), c.lines
	if c.Size > 0 && c.last != '\n' {
		f.Lines++
	}
	if c.pages > 0 {
		f.Pages = c.pages + 1
	}
	if f.Type == "" {
		f.Type = "text/plain"
	}
	return f, nil
}

// CutOf returns those of the sources of which a model is not given all.
func CutOf(sources []Source, vision bool) (cut []CutFile) {
	for _, s := range sources {
		c := CutFile{ID: s.ID, Name: s.Name, Given: s.Tokens, Tokens: s.File.Tokens}
		switch {
		case s.Tokens >= s.File.Tokens:
			continue
		case s.Image() && !vision:
			c.Reason = "the assistant does not see images"
		case s.Image():
			c.Reason = "the images and files are more than the assistant can take in at once"
		case s.Tokens == 0:
			c.Reason = "the assistant was given nothing of it: the files are more than it can take in at once"
		default:
			c.Reason = "the assistant was given its beginning: the files are more than it can take in at once"
		}
		cut = append(cut, c)
	}
	return cut
}
