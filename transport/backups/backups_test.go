package backups

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// text is a copy of a data file.
type text string

func (t text) WriteTo(w io.Writer) (int64, error) {
	n, err := io.WriteString(w, string(t))
	return int64(n), err
}

func (text) Close() {}

// memory is a target that can fail, and stop answering.
type memory struct {
	mu    sync.Mutex
	files map[string]string
	fail  error
	hang  chan struct{} // if not nil Put waits for it, whatever its context says
}

func (m *memory) Put(_ context.Context, name, file string) error {
	m.mu.Lock()
	hang, fail := m.hang, m.fail
	m.mu.Unlock()
	if hang != nil {
		<-hang
	}
	body, err := os.ReadFile(file)
	if err = errors.Join(fail, err); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.files[name] = string(body)
	return nil
}

func (m *memory) Get(_ context.Context, name string, w io.Writer) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, err := io.WriteString(w, m.files[name])
	return err
}

func (m *memory) List(context.Context) (items []Item, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for name, body := range m.files {
		items = append(items, Item{name, int64(len(body))})
	}
	return items, nil
}

func (m *memory) Remove(_ context.Context, name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.files, name)
	return nil
}

func (m *memory) names() []string {
	items, _ := m.List(context.Background())
	var names []string
	for _, i := range items {
		names = append(names, i.Name)
	}
	slices.Sort(names)
	return names
}

// A diary is what a keeper has told.
type diary struct {
	mu    sync.Mutex
	lines []string
}

func (d *diary) add(_ time.Duration, _ int64, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	said := "ok"
	if err != nil {
		said = err.Error()
	}
	d.lines = append(d.lines, said)
}

func (d *diary) all() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.lines)
}

// options are those of a keeper whose backups come once an hour.
func options(t *testing.T, target Target, told *diary) Options {
	return Options{
		Target: target, Dir: t.TempDir(), Every: time.Hour, Timeout: 10 * time.Minute,
		Begin:  func() (Copy, error) { return text("the data"), nil },
		Verify: func(context.Context, string) error { return nil },
		Told:   told.add,
	}
}

// Backups come when they are due, the newest ones are kept by number and by age, and what else
// is in the target is left alone.
func TestSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		old := time.Now().Add(-90 * time.Minute).UTC().Format(form)
		target := &memory{files: map[string]string{old: "older", "notes.txt": "mine"}}
		var told diary
		o := options(t, target, &told)
		o.Keep, o.KeepFor = 3, 150*time.Minute
		k := Start(o)
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := target.names(); len(got) != 3 || len(told.all()) != 1 {
			t.Fatalf("after the start there are %v, told %v", got, told.all())
		}
		time.Sleep(5 * time.Hour)
		synctest.Wait()
		got := target.names()
		if len(got) != 4 || got[0] != "notes.txt" || slices.Contains(got, old) || len(told.all()) != 6 {
			t.Errorf("after five hours there are %v, told %v", got, told.all())
		}
		if k.Last().IsZero() || time.Since(k.Last()) > time.Hour {
			t.Errorf("the newest is of %v", k.Last())
		}
		if err := k.Close(t.Context()); err != nil {
			t.Error(err)
		}
		again := Start(o)
		synctest.Wait()
		if len(told.all()) != 6 {
			t.Error("a start makes a backup although the newest one is young enough")
		}
		_ = again.Close(t.Context())
	})
}

// A backup that fails is told, is tried again soon, and takes none of the others away; nor is
// its copy left.
func TestFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ancient := time.Now().Add(-1000 * time.Hour).UTC().Format(form)
		target := &memory{files: map[string]string{ancient: "older"}, fail: errors.New("no space left on device")}
		var told diary
		o := options(t, target, &told)
		o.Keep, o.KeepFor = 1, time.Hour
		if err := os.WriteFile(filepath.Join(o.Dir, leftover+"killed"), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		k := Start(o)
		time.Sleep(25 * time.Minute)
		synctest.Wait()
		if len(told.all()) != 3 || !strings.Contains(told.all()[2], "no space left") || !slices.Equal(target.names(), []string{ancient}) {
			t.Errorf("told %v, there are %v", told.all(), target.names())
		}
		if left, _ := os.ReadDir(o.Dir); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
		target.mu.Lock()
		target.fail = nil
		target.mu.Unlock()
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if got := target.names(); len(got) != 1 || got[0] == ancient {
			t.Errorf("when it works again there are %v", got)
		}
		_ = k.Close(t.Context())
	})
}

// A copy that cannot be used is not put anywhere.
func TestVerified(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		target := &memory{files: map[string]string{}}
		var told diary
		o := options(t, target, &told)
		o.Verify = func(_ context.Context, file string) error {
			body, err := os.ReadFile(file)
			if err != nil || string(body) != "the data" {
				t.Errorf("the copy is %q, %v", body, err)
			}
			return errors.New("page 7 is damaged")
		}
		k := Start(o)
		synctest.Wait()
		if len(told.all()) != 1 || told.all()[0] != "the copy cannot be used: page 7 is damaged" || len(target.names()) > 0 {
			t.Errorf("told %v, there are %v", told.all(), target.names())
		}
		_ = k.Close(t.Context())
	})
}

// A target that does not answer holds up neither the next tries, which say so, nor the end of
// the server; and there is one such backup, not many.
func TestTargetThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		target := &memory{files: map[string]string{}, hang: make(chan struct{})}
		var told diary
		o := options(t, target, &told)
		k := Start(o)
		time.Sleep(41 * time.Minute)
		synctest.Wait()
		if len(told.all()) < 3 || told.all()[0] != context.DeadlineExceeded.Error() || !strings.Contains(told.all()[1], "the backup before has not ended") {
			t.Errorf("told %q", told.all())
		}
		if err := k.Close(t.Context()); err != nil {
			t.Error(err)
		}
		close(target.hang)
		synctest.Wait()
	})
}

// A directory shows a backup under its name when it is whole.
func TestDirectory(t *testing.T) {
	dir, file := Directory(t.TempDir()), filepath.Join(t.TempDir(), "copy")
	testTarget(t, dir, file)
	if err := (Directory(filepath.Join(string(dir), "missing"))).Put(t.Context(), "x", file); err == nil {
		t.Error("a directory that is not there takes a backup")
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if err := dir.Put(ended, "cut", file); err == nil {
		t.Error("a backup whose time is over is kept")
	}
	old, young := filepath.Join(string(dir), ".parlor-20260101T000000Z.db.part"), filepath.Join(string(dir), ".parlor-20260102T000000Z.db.part")
	for path, age := range map[string]time.Duration{old: 2 * abandoned, young: 0} {
		if err := errors.Join(os.WriteFile(path, nil, 0o600), os.Chtimes(path, time.Time{}, time.Now().Add(-age))); err != nil {
			t.Fatal(err)
		}
	}
	testTarget(t, dir, file)
	if _, err := os.Stat(old); err == nil {
		t.Error("the part of a killed server is there")
	}
	if err := os.Remove(young); err != nil { // another server may be writing it
		t.Error(err)
	}
	if entries, _ := os.ReadDir(string(dir)); len(entries) > 0 {
		t.Errorf("left behind: %v", entries)
	}
}

// testTarget puts, lists, reads and removes a backup.
func testTarget(t *testing.T, target Target, file string) {
	t.Helper()
	body := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	if err := os.WriteFile(file, body, 0o600); err != nil {
		t.Fatal(err)
	}
	name := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).Format(form)
	if err := target.Put(t.Context(), name, file); err != nil {
		t.Fatal(err)
	}
	items, err := List(t.Context(), target)
	if err != nil || len(items) != 1 || items[0] != (Item{name, int64(len(body))}) {
		t.Fatalf("listed %v, %v", items, err)
	}
	var got bytes.Buffer
	if err := target.Get(t.Context(), name, &got); err != nil || !bytes.Equal(got.Bytes(), body) {
		t.Errorf("read %d bytes of %d, %v", got.Len(), len(body), err)
	}
	if err := target.Remove(t.Context(), name); err != nil {
		t.Error(err)
	}
	if items, _ := List(t.Context(), target); len(items) > 0 {
		t.Errorf("after it was removed: %v", items)
	}
}

// fakeS3 is a store that speaks S3, with a bucket.
func fakeS3(t *testing.T) *httptest.Server {
	t.Helper()
	backend := s3mem.New()
	if err := backend.CreateBucket("backups"); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(gofakes3.New(backend).Server())
	t.Cleanup(server.Close)
	t.Cleanup(http.DefaultTransport.(*http.Transport).CloseIdleConnections)
	return server
}

func TestS3(t *testing.T) {
	server := fakeS3(t)
	for _, where := range []string{"s3://backups", "s3://backups/parlor/one/"} {
		target, err := NewS3(S3Options{URL: where, Endpoint: server.URL, Region: "us-east-1", Key: "id", Secret: "very-secret"})
		if err != nil {
			t.Fatal(err)
		}
		testTarget(t, target, filepath.Join(t.TempDir(), "copy"))
		target.close()
	}
}

// An error of a bucket is told without the keys.
func TestS3Errors(t *testing.T) {
	for says, o := range map[string]S3Options{
		"it must be s3://BUCKET":             {URL: "https://x", Key: "id", Secret: "very-secret"},
		"the endpoint must be https://HOST":  {URL: "s3://x", Endpoint: "ftp://x", Key: "id", Secret: "very-secret"},
		"AWS_ACCESS_KEY_ID and AWS_SECRET_A": {URL: "s3://x", Key: "id"},
	} {
		if _, err := NewS3(o); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v, want %q", err, says)
		}
	}
	var log bytes.Buffer
	target, err := NewS3(S3Options{URL: "s3://no-such-bucket", Endpoint: fakeS3(t).URL, Region: "us-east-1", Key: "my-id", Secret: "very-secret"})
	if err != nil {
		t.Fatal(err)
	}
	defer target.close()
	told := make(chan error, 1)
	k := Start(Options{
		Target: target, Dir: t.TempDir(), Every: time.Hour, Timeout: time.Minute, Logger: slog.New(slog.NewTextHandler(&log, nil)),
		Begin:  func() (Copy, error) { return text("the data"), nil },
		Verify: func(context.Context, string) error { return nil },
		Told:   func(_ time.Duration, _ int64, err error) { told <- err },
	})
	if err := <-told; err == nil || !strings.Contains(err.Error(), "bucket") {
		t.Errorf("told %v", err)
	}
	_ = k.Close(t.Context())
	if said := log.String(); !strings.Contains(said, "a backup has failed") || strings.Contains(said, "very-secret") || strings.Contains(said, "my-id") {
		t.Errorf("the log says %q", said)
	}
}

// A store that accepts connections and never answers is given up when the time is over.
func TestS3ThatHangs(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	target, err := NewS3(S3Options{URL: "s3://backups", Endpoint: "http://" + l.Addr().String(), Region: "us-east-1", Key: "id", Secret: "very-secret"})
	if err != nil {
		t.Fatal(err)
	}
	defer target.close()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := target.List(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v, want %v", err, context.DeadlineExceeded)
	}
}
