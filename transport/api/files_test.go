package api_test

import (
	"bytes"
	"encoding/json"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"parlor/protocol/chat"
	"parlor/transport/api"
)

// form is the body of an upload, and its type.
func form(t *testing.T, files ...string) (body, kind string) {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	_ = w.WriteField("note", "is left out")
	for i := 0; i < len(files); i += 2 {
		part, err := w.CreateFormFile("files", files[i])
		if err != nil {
			t.Fatal(err)
		}
		_, _ = part.Write([]byte(files[i+1]))
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String(), w.FormDataContentType()
}

func filesOf(t *testing.T) (*chats, http.Handler) {
	c := conversation()
	c.files = nil
	return c, newMux(t, c, api.Options{MaxFileBytes: 1000, MaxUploads: 2})
}

func upload(t *testing.T, h http.Handler, header []string, files ...string) *httptest.ResponseRecorder {
	t.Helper()
	body, kind := form(t, files...)
	return do(h, "POST", "/api/v1/chat/chat-1/upload", body, append(header, "Content-Type", kind)...)
}

func TestUpload(t *testing.T) {
	c, h := filesOf(t)
	w := upload(t, h, []string{"Idempotency-Key", "k"}, "../a.md", "# A", "b.csv", "1,2")
	var got []struct {
		ID, Filename string
		Object       string `json:"object_key"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != 200 || len(got) != 2 || got[0].Filename != "a.md" || got[1].Filename != "b.csv" || got[1].Object != "f2-k-1" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	whole, kind := form(t, "a.txt", "text")
	for name, tt := range map[string]struct {
		w    *httptest.ResponseRecorder
		code chat.Code
	}{
		"a stranger's chat": {do(h, "POST", "/api/v1/chat/chat-2/upload", whole, "Content-Type", kind), chat.CodeNotFound},
		"no form":           {do(h, "POST", "/api/v1/chat/chat-1/upload", whole), chat.CodeInvalid},
		"no files":          {upload(t, h, nil), chat.CodeInvalid},
		"too many":          {upload(t, h, nil, "a", "1", "b", "2", "c", "3"), chat.CodeInvalid},
		"a cut form":        {do(h, "POST", "/api/v1/chat/chat-1/upload", whole[:len(whole)-10], "Content-Type", kind), chat.CodeInvalid},
		"a program":         {upload(t, h, nil, "a.exe", "MZ\x00"), chat.CodeUnsupportedType},
		"a large body":      {upload(t, h, nil, "a", strings.Repeat("x", 70_000)), chat.CodeTooLarge},
		"a bad key":         {upload(t, h, []string{"Idempotency-Key", strings.Repeat("x", 500)}, "a", "1"), chat.CodeInvalid},
	} {
		if code, _ := refusal(t, tt.w); code != string(tt.code) {
			t.Errorf("%s: %d %s", name, tt.w.Code, tt.w.Body)
		}
	}
	c.fail = nil
}

// Nothing that somebody has uploaded is shown as a page of this origin.
func TestDownload(t *testing.T) {
	_, h := filesOf(t)
	upload(t, h, nil, "evil.html", "<script>alert(1)</script>", "cat.png", "\x89PNG\r\n\x1a\n")
	upload(t, h, nil, "naïve \"quoted\".txt", "x")
	for id, kind := range map[string]string{"f1": "text/plain; charset=utf-8", "f2": "image/png", "f3": "text/plain; charset=utf-8"} {
		for _, method := range []string{"GET", "HEAD"} {
			w := do(h, method, "/api/v1/chat/chat-1/files/"+id, "")
			header := w.Header()
			if w.Code != 200 || header.Get("Content-Type") != kind || header.Get("X-Content-Type-Options") != "nosniff" || !strings.HasPrefix(header.Get("Content-Disposition"), "attachment; filename") ||
				header.Get("Content-Security-Policy") != "default-src 'none'; sandbox" || (w.Body.Len() == 0) != (method == "HEAD") {
				t.Errorf("%s %s: %d %v", method, id, w.Code, header)
			}
		}
	}
	if w := do(h, "GET", "/api/v1/chat/chat-1/files/f1", ""); w.Body.String() != "<script>alert(1)</script>" {
		t.Errorf("got %q", w.Body)
	}
}
