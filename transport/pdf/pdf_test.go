package pdf

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"parlor/protocol/chat"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == Command {
		os.Exit(Extract(os.Args[2:]))
	}
	if len(os.Args) > 1 && os.Args[1] == "hang" {
		time.Sleep(time.Hour)
	}
	os.Exit(m.Run())
}

// file is a PDF whose pages have these texts.
func file(pages ...string) []byte {
	var out bytes.Buffer
	var places []int
	object := func(format string, args ...any) {
		places = append(places, out.Len())
		fmt.Fprintf(&out, "%d 0 obj\n%s\nendobj\n", len(places), fmt.Sprintf(format, args...))
	}
	out.WriteString("%PDF-1.4\n%\xe2\xe3\xcf\xd3\n")
	object("<</Type/Catalog/Pages 2 0 R>>")
	var kids strings.Builder
	for i := range pages {
		fmt.Fprintf(&kids, "%d 0 R ", 4+2*i)
	}
	object("<</Type/Pages/Kids[%s]/Count %d>>", kids.String(), len(pages))
	object("<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>")
	for i, text := range pages {
		content := "BT /F1 12 Tf 72 700 Td (" + text + ") Tj ET"
		object("<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Contents %d 0 R/Resources<</Font<</F1 3 0 R>>>>>>", 5+2*i)
		object("<</Length %d>>stream\n%s\nendstream", len(content), content)
	}
	start := out.Len()
	fmt.Fprintf(&out, "xref\n0 %d\n0000000000 65535 f \n", len(places)+1)
	for _, at := range places {
		fmt.Fprintf(&out, "%010d 00000 n \n", at)
	}
	fmt.Fprintf(&out, "trailer<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n", len(places)+1, start)
	return out.Bytes()
}

// cache is kept for the next run.
func cache() string { return filepath.Join(os.TempDir(), "parlor-pdf-test") }

func read(t *testing.T, o Options, file []byte, limit int64) (string, error) {
	t.Helper()
	o.Cache = cache()
	text, err := New(o).Text(t.Context(), "alice", bytes.NewReader(file), limit)
	return string(text), err
}

func TestText(t *testing.T) {
	if testing.Short() {
		t.Skip("PDFium is compiled, which takes seconds")
	}
	text, err := read(t, Options{}, file("Hello there", "", "On page three"), 1000)
	if want := "Hello there\f\fOn page three"; text != want || err != nil {
		t.Errorf("read %q, %v, want %q", text, err, want)
	}
	whole := file("one", "two")
	huge := bytes.Replace(file("one"), []byte("/MediaBox[0 0 612 792]"), []byte("/MediaBox[0 0 1e9 1e9]"), 1)
	for name, tt := range map[string]struct {
		file  []byte
		limit int64
		want  string // the text, or the beginning of the error
	}{
		"no text":             {file("", " "), 1000, errEmpty.Message},
		"nonsense":            {[]byte("%PDF-1.4 and no more"), 1000, errDamaged.Message},
		"nothing":             {nil, 1000, errDamaged.Message},
		"damaged, and mended": {bytes.Replace(whole, []byte("\nxref\n0"), []byte("\nxxxx\n0"), 1), 1000, "one\ftwo"},
		"a huge page":         {huge, 1000, "one"},
		"too long":            {whole, 5, "the text of a PDF file may have 5 bytes"},
		"as long as it may":   {whole, 7, "one\ftwo"},
		"thousands of pages":  {file(make([]string, 3000)...), 1000, "the text of a PDF file may have 1000 bytes"},
		"a loop of pages":     {bytes.Replace(whole, []byte("/Kids["), []byte("/Kids[2 0 R "), 1), 1000, "one"},
	} {
		text, err := read(t, Options{}, tt.file, tt.limit)
		if got := text + refusal(err); !strings.HasPrefix(got, tt.want) {
			t.Errorf("%s: %q, %v, want %q", name, text, err, tt.want)
		}
	}
	if _, err := read(t, Options{Timeout: time.Nanosecond}, whole, 1000); refusal(err) != errSlow.Message {
		t.Errorf("without time: %v", err)
	}
	if _, err := read(t, Options{Memory: 20 << 20}, append(whole, make([]byte, 20<<20)...), 1000); refusal(err) != errDamaged.Message {
		t.Errorf("without memory: %v", err)
	}
}

func refusal(err error) string {
	if e, ok := errors.AsType[*chat.Error](err); ok {
		return e.Message
	}
	return ""
}

// A file that hangs ends with its time, or with the request.
func TestHang(t *testing.T) {
	r := New(Options{Timeout: 100 * time.Millisecond, compile: time.Nanosecond, program: []string{os.Args[0], "hang"}})
	if _, err := r.Text(t.Context(), "alice", strings.NewReader("x"), 1); !errors.Is(err, errSlow) {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Text(ctx, "alice", strings.NewReader("x"), 1); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// Nobody is told that many files are being read while none is, however short the time is.
func TestFreeSeat(t *testing.T) {
	r := New(Options{})
	late, cancel := context.WithCancel(t.Context())
	cancel()
	for range 100 {
		leave, err := r.enter(late, "alice")
		if err != nil {
			t.Fatal(err)
		}
		leave()
	}
}

// Users take turns: one with many files waits with one of them.
func TestTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := New(Options{})
		var order []chat.UserID
		var all sync.WaitGroup
		for i, user := range []chat.UserID{"alice", "alice", "alice", "bob", "alice"} {
			all.Go(func() {
				time.Sleep(time.Duration(i) * time.Millisecond)
				leave, err := r.enter(t.Context(), user)
				if err != nil {
					t.Error(err)
				}
				time.Sleep(time.Second)
				order = append(order, user)
				leave()
			})
		}
		gone, cancel := context.WithCancel(t.Context())
		all.Go(func() {
			time.Sleep(10 * time.Millisecond)
			if _, err := r.enter(gone, "carol"); err == nil {
				t.Error("carol waits on")
			}
		})
		time.Sleep(20 * time.Millisecond)
		cancel()
		all.Wait()
		if got := fmt.Sprint(order); got != "[alice bob alice alice alice]" || len(r.users) > 0 || len(r.seats) > 0 {
			t.Errorf("in the order %s; left %v, %d", got, r.users, len(r.seats))
		}
	})
}

func FuzzExtract(f *testing.F) {
	f.Add(file("Hello", "there"))
	f.Add(file("one")[:300])
	f.Add([]byte("%PDF-1.4\ntrailer<</Root 1 0 R>>"))
	pool, err := compiled(64<<20, cache())
	if err != nil {
		f.Fatal(err)
	}
	defer pool.Close()
	f.Fuzz(func(t *testing.T, pdf []byte) {
		out := &limited{left: 100}
		if err := extract(out, pdf, pool); err != nil {
			return
		}
		if _, refusal := (chat.File{}).Read(out.taken.Bytes()); refusal != nil {
			t.Errorf("%q: %v", out.taken.Bytes(), refusal)
		}
	})
}
