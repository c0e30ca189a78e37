package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"mime"
	"mime/multipart"
	"net/http"
	"strconv"
	"strings"
	"time"

	"parlor/protocol/chat"
)

// Files is the part of the server that keeps the files of chats. Its methods have the errors
// of [Chats.Get].
type Files interface {
	// Upload keeps a file while it reads it. It refuses what it cannot use with
	// [chat.CodeUnsupportedType], [chat.CodeTooLarge] or [chat.CodeQuotaExceeded].
	Upload(ctx context.Context, u chat.User, id chat.ID, up chat.Upload) (chat.File, error)

	// Files returns the files of a chat, oldest first.
	Files(ctx context.Context, u chat.User, id chat.ID) ([]chat.File, error)

	// Download returns a file and its bytes, piece by piece.
	Download(ctx context.Context, u chat.User, id chat.ID, file chat.FileID) (chat.File, iter.Seq2[[]byte, error], error)

	// RemoveFile removes a file, which need not be there.
	RemoveFile(ctx context.Context, u chat.User, id chat.ID, file chat.FileID) error
}

// uploadName is the request that uploads files.
const uploadName = "POST /chat/{chat_id}/upload"

// A client that sends or reads fewer bytes than pacedBytes in pacedTime is cut off.
const (
	pacedTime  = 30 * time.Second
	pacedBytes = 64 << 10
)

// uploadTime is what the server may take for the rest of an upload: the text of a PDF may have to
// wait until others are read.
const uploadTime = 5 * time.Minute

// uploadOverhead is what a request may have around its files, in bytes.
const uploadOverhead = 64 << 10

// A wireFile is the SPA's FileMeta.
type wireFile struct {
	ID       chat.FileID    `json:"fileid"`
	Name     string         `json:"filename"`
	Uploaded string         `json:"uploaded_at"`
	By       chat.UserID    `json:"userid"`
	Type     string         `json:"content_type"`
	Size     int64          `json:"size"`
	Key      chat.FileID    `json:"object_key"`
	Metadata map[string]any `json:"metadata"`
}

// A wireExcerpt is what the SPA wants to know of a file to show it with a message.
type wireExcerpt struct {
	Name string `json:"filename"`
	Type string `json:"content_type"`
	Text string `json:"text_content"` // always empty: whoever wants the text downloads it
}

func toWireFile(f chat.File) wireFile {
	w := wireFile{ID: f.ID, Name: f.Name, Uploaded: chat.Timestamp(f.Created), By: f.By, Type: f.Type, Size: f.Size, Key: f.ID, Metadata: map[string]any{"tokens": f.Tokens}}
	if f.Lines > 0 {
		w.Metadata["lines"] = f.Lines
	}
	if f.Pages > 0 {
		w.Metadata["pages"] = f.Pages
	}
	return w
}

func toWireFiles(files []chat.File) []wireFile {
	all := []wireFile{}
	for _, f := range files {
		all = append(all, toWireFile(f))
	}
	return all
}

// A fileArea takes and gives the files of chats.
type fileArea struct {
	chats      Files
	maxFile    int64
	maxImage   int64
	maxUploads int
	maxMessage int
}

func (a *fileArea) routes() map[string]endpoint {
	return map[string]endpoint{
		uploadName: inChat(a.upload), "GET /chat/{chat_id}/files": inChat(a.listFiles),
		"GET /chat/{chat_id}/files/{fileid}": inChat(a.download), "DELETE /chat/{chat_id}/files/{fileid}": inChat(a.removeFile),
	}
}

func (a *fileArea) listFiles(r *http.Request, u chat.User, id chat.ID) (any, error) {
	files, err := a.chats.Files(r.Context(), u, id)
	if err != nil {
		return nil, worded(err)
	}
	return struct {
		Files    []wireFile `json:"files"`
		MaxBytes int64      `json:"max_file_bytes"`
		MaxImage int64      `json:"max_image_bytes"`
		MaxFiles int        `json:"max_files"`
		MaxText  int        `json:"max_message_bytes"`
	}{toWireFiles(files), a.maxFile, a.maxImage, a.maxUploads, a.maxMessage}, nil
}

func (a *fileArea) removeFile(r *http.Request, u chat.User, id chat.ID) (any, error) {
	if err := a.chats.RemoveFile(r.Context(), u, id, chat.FileID(r.PathValue("fileid"))); err != nil {
		return nil, worded(err)
	}
	return map[string]string{"message": "File deleted successfully"}, nil
}

// upload keeps the files of a form while they come. Those before one that is refused stay.
func (a *fileArea) upload(r *http.Request, u chat.User, id chat.ID) (any, error) {
	key, err := clientID(r, "")
	if err != nil {
		return nil, err
	}
	form, err := r.MultipartReader()
	if err != nil {
		return nil, chat.Refuse(chat.CodeInvalid, "the body must be multipart/form-data with files in the field files")
	}
	kept := []wireFile{}
	for {
		part, err := form.NextPart()
		switch {
		case err == io.EOF && len(kept) == 0:
			return nil, chat.Refuse(chat.CodeInvalid, "there is no file in the field files")
		case err == io.EOF:
			return kept, nil
		case err != nil:
			return nil, formError(err)
		case part.FormName() != "files" || part.FileName() == "":
			continue
		case len(kept) == a.maxUploads:
			return nil, chat.Refuse(chat.CodeInvalid, fmt.Sprintf("one request brings at most %d files", a.maxUploads))
		}
		f, err := a.chats.Upload(r.Context(), u, id, chat.Upload{Name: rawName(part), Key: keyOf(key, len(kept)), Body: part})
		if err != nil {
			return nil, worded(formError(err))
		}
		kept = append(kept, toWireFile(f))
	}
}

// keyOf returns the key of the n-th file of a request.
func keyOf(key chat.ClientID, n int) string {
	if key == "" {
		return ""
	}
	return string(key) + "#" + strconv.Itoa(n)
}

// rawName is the file name with its folders, which [chat.FileName] takes off for all systems.
func rawName(part *multipart.Part) string {
	_, params, err := mime.ParseMediaType(part.Header.Get("Content-Disposition"))
	if err != nil {
		return part.FileName()
	}
	return params["filename"]
}

// formError says what is wrong with a form.
func formError(err error) error {
	_, refused := errors.AsType[*chat.Error](err)
	tooLarge, large := errors.AsType[*http.MaxBytesError](err)
	switch {
	case refused:
		return err
	case large:
		return chat.Refuse(chat.CodeTooLarge, fmt.Sprintf("the request body is larger than %d bytes", tooLarge.Limit))
	case errors.Is(err, io.ErrUnexpectedEOF), strings.HasPrefix(err.Error(), "multipart: "):
		return chat.Refuse(chat.CodeInvalid, "the body is not a whole multipart/form-data")
	}
	return err
}

// A paced body may take long, as long as it comes at all.
type paced struct {
	io.ReadCloser
	c    *http.ResponseController
	left int // bytes that have to come until the next deadline
}

func (p *paced) Read(b []byte) (int, error) {
	if p.left <= 0 {
		p.left = pacedBytes
		at := time.Now().Add(pacedTime)
		_ = p.c.SetReadDeadline(at) // not all transports can
		_ = p.c.SetWriteDeadline(at.Add(uploadTime))
	}
	n, err := p.ReadCloser.Read(b)
	p.left -= n
	return n, err
}

// A file is an answer that is a file of a chat.
type file struct {
	chat.File
	pieces iter.Seq2[[]byte, error]
}

func (a *fileArea) download(r *http.Request, u chat.User, id chat.ID) (any, error) {
	f, pieces, err := a.chats.Download(r.Context(), u, id, chat.FileID(r.PathValue("fileid")))
	if err != nil {
		return nil, worded(err)
	}
	return file{f, pieces}, nil
}

// answerFile sends a file such that no browser shows it as part of a page of this origin, nor
// runs anything in it: as an attachment, with the type that was found out, texts as plain
// text, and in a sandbox if it is opened all the same.
func (a *API) answerFile(w http.ResponseWriter, r *http.Request, f file) {
	kind := f.Type
	if !f.Image() && !f.PDF() {
		kind = "text/plain; charset=utf-8"
	}
	setHeader(w.Header(), kind)
	w.Header().Set("Content-Length", strconv.FormatInt(f.Size, 10))
	w.Header().Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": f.Name}))
	w.Header().Set("Content-Security-Policy", "default-src 'none'; sandbox")
	w.Header().Set("Cross-Origin-Resource-Policy", "same-site")
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodHead {
		return
	}
	c := http.NewResponseController(w)
	for piece, err := range f.pieces {
		if err != nil { // half a file must not look whole
			a.log.ErrorContext(r.Context(), "file broken off", "path", loggedPath(r), "err", err)
			panic(http.ErrAbortHandler)
		}
		_ = c.SetWriteDeadline(time.Now().Add(pacedTime))
		if _, err := w.Write(piece); err != nil {
			panic(http.ErrAbortHandler)
		}
	}
}

// RegisterFiles adds to mux, below base, the path at which the assistant SPA looks for files:
// that of the API without its prefix.
func (a *API) RegisterFiles(mux *http.ServeMux, base string) {
	const path = "/chat/{chat_id}/files/{fileid}"
	mux.Handle("GET "+base+path, a.protect(a.serve("GET "+path, inChat(a.files.download))))
}
