package sse_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	gosse "github.com/tmaxmax/go-sse"
	"go.uber.org/goleak"

	"parlor/protocol/chat"
	"parlor/transport/live"
	"parlor/transport/sse"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const room chat.RoomID = "rroom"

// A log is a room that has been followed: the records of a turn, and what is told then.
type log struct {
	records []chat.Event
	then    func(ctx context.Context, tell func(chat.Told) error) error
	from    chat.Place // of the last call
}

// Follow implements sse.Follower.
func (l *log) Follow(ctx context.Context, _ chat.User, _ chat.ID, from chat.Place, encoder string, tell func(chat.Told) error) error {
	l.from = from
	if encoder != sse.OneChat {
		return errors.New("another encoder")
	}
	e := sse.NewEncoder()
	told := func(seq uint64, n chat.Notice) error {
		return tell(chat.Told{Seq: seq, Epoch: "e.1", Notice: n, Encoded: e.Encode(room, n)})
	}
	last := uint64(len(l.records))
	if from.Now {
		from.Seq = last
	}
	if err := told(0, chat.Entered{Chat: chat.Info{Room: room}, Epoch: "e.1", Seq: last}); err != nil {
		return err
	}
	for seq := from.Seq + 1; seq <= last; seq++ {
		if err := told(seq, chat.Missed{Record: chat.Record{Seq: seq, Event: l.records[seq-1]}}); err != nil {
			return err
		}
	}
	return l.then(ctx, tell)
}

// FollowAll implements sse.Follower: the room is the only one.
func (l *log) FollowAll(ctx context.Context, _ chat.User, from, encoder string, tell func(chat.Told) error) error {
	if encoder != sse.AllChats {
		return errors.New("another encoder")
	}
	if err := tell(chat.Told{Cursor: "c" + from}); err != nil {
		return err
	}
	e := sse.NewAllEncoder("the-chat")
	for i, event := range l.records {
		seq := uint64(i + 1)
		if fmt.Sprint("c", seq) <= from {
			continue
		}
		n := chat.Record{Seq: seq, Event: event}
		told := chat.Told{Seq: seq, Chat: "the-chat", Notice: n, Encoded: e.Encode(room, n), Before: fmt.Sprint("c", i), Cursor: fmt.Sprint("c", seq)}
		if err := tell(told); err != nil {
			return err
		}
	}
	return l.then(ctx, tell)
}

func turn() *log {
	return &log{
		records: []chat.Event{
			chat.MessageAdded{MessageID: "m1", Content: "hello"},
			chat.TurnQueued{TurnID: "t1", Prompt: "m1"},
			chat.TurnStarted{TurnID: "t1", MessageID: "m2", Attempt: 1},
			chat.TurnEnded{TurnID: "t1", MessageID: "m2", State: chat.StateCompleted, Content: "good morning"},
		},
		then: func(context.Context, func(chat.Told) error) error {
			return chat.Refuse(chat.CodeNotFound, "this chat was deleted")
		},
	}
}

// get returns the answer to a request with a Last-Event-ID.
func get(t *testing.T, l *log, method, query, id string) (*httptest.ResponseRecorder, error) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, "/"+query, nil)
	if id != "" {
		r.Header.Set("Last-Event-ID", id)
	}
	w := httptest.NewRecorder()
	return w, sse.New(sse.Options{Follower: l, Streams: live.New(live.Options{})}).Room(w, r, chat.SignIn{})
}

// events reads events as a browser does: what has no data is no event.
func events(t *testing.T, body string) (all []gosse.Event) {
	t.Helper()
	for e, err := range gosse.Read(strings.NewReader(body), nil) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Data != "" {
			all = append(all, e)
		}
	}
	return all
}

func names(all []gosse.Event) (names []string) {
	for _, e := range all {
		names = append(names, e.Type)
	}
	return names
}

var whole = []string{"room_joined", "message", "turn", "turn", "stream_start", "stream_chunk", "message", "stream_end", "turn", "error"}

// A client that is cut off behind any event comes back with the id that it has then, and is
// told what it lacks, once.
func TestComesBackBehindAnyEvent(t *testing.T) {
	w, err := get(t, turn(), "GET", "?after=0", "")
	if err != nil {
		t.Fatal(err)
	}
	all := events(t, w.Body.String())
	if diff := cmp.Diff(whole, names(all)); diff != "" {
		t.Errorf("from the beginning (-want +got):\n%s", diff)
	}
	for i, e := range all[:len(all)-1] {
		if e.LastEventID == "" {
			continue
		}
		w, err := get(t, turn(), "GET", "?after=0", e.LastEventID)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(append([]string{"room_joined"}, names(all[i+1:])...), names(events(t, w.Body.String()))); diff != "" {
			t.Errorf("behind event %d, %s (-want +got):\n%s", i, e.LastEventID, diff)
		}
	}
	if got, want := all[len(all)-2].LastEventID, "e.1.4"; got != want {
		t.Errorf("the last event of record 4 has the id %s, want %s", got, want)
	}
}

// The answer is kept by no cache and no proxy. Its first lines say when to come back, and
// where a client is that was never here.
func TestHead(t *testing.T) {
	w, err := get(t, turn(), "GET", "", "")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"} {
		if got := w.Header().Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if body := w.Body.String(); !strings.HasPrefix(body, "id: e.1.4\nretry: 2000\n\n") {
		t.Errorf("begins with %.60q", body)
	}
	if diff := cmp.Diff([]string{"room_joined", "error"}, names(events(t, w.Body.String()))); diff != "" {
		t.Errorf("from now on (-want +got):\n%s", diff)
	}
	if w, err = get(t, turn(), "HEAD", "?after=0", ""); err != nil || w.Header().Get("Content-Type") != "text/event-stream" {
		t.Errorf("HEAD: %v, %v", err, w.Header())
	}
}

// A place is the id of an event or a number. Anything else is refused, and so is who may not
// listen, before anything is written.
func TestPlaces(t *testing.T) {
	for id, want := range map[string]chat.Place{
		"0": {}, "7": {Seq: 7}, "e.1.7": {Epoch: "e.1", Seq: 7}, "e.1~digest.7": {Epoch: "e.1", Seq: 6}, "": {Now: true},
	} {
		l := turn()
		_, err := get(t, l, "GET", "", id)
		if l.from != want || err != nil {
			t.Errorf("%q: got %+v, %v, want %+v", id, l.from, err, want)
		}
	}
	for _, id := range []string{"x", "-1", "e.1.x", "e~d.0", "99999999999999999999"} {
		if w, err := get(t, turn(), "GET", "", id); chat.AsError(err) == nil || chat.AsError(err).Code != chat.CodeInvalid || w.Body.Len() > 0 {
			t.Errorf("%q: got %v", id, err)
		}
	}
	r := httptest.NewRequestWithContext(t.Context(), "GET", "/", nil)
	w := httptest.NewRecorder()
	stranger := sse.New(sse.Options{Follower: refusing{}, Streams: live.New(live.Options{})})
	if err := stranger.Room(w, r, chat.SignIn{}); chat.AsError(err) == nil || w.Body.Len() > 0 {
		t.Errorf("a stranger: %v, %q", err, w.Body)
	}
}

// The feed of all chats is come back to behind any event too.
func TestFeedComesBackBehindAnyEvent(t *testing.T) {
	feed := func(id string) []gosse.Event {
		t.Helper()
		r := httptest.NewRequestWithContext(t.Context(), "GET", "/", nil)
		r.Header.Set("Last-Event-ID", id)
		w := httptest.NewRecorder()
		if err := sse.New(sse.Options{Follower: turn(), Streams: live.New(live.Options{})}).All(w, r, chat.SignIn{}); err != nil {
			t.Fatal(err)
		}
		return events(t, w.Body.String())
	}
	all := feed("")
	if diff := cmp.Diff(whole[1:], names(all)); diff != "" {
		t.Errorf("all (-want +got):\n%s", diff)
	}
	for i, e := range all[:len(all)-1] {
		if !strings.HasPrefix(e.Data, `{"chat_id":"the-chat",`) || e.LastEventID == "" {
			t.Errorf("event %d: %+v", i, e)
		}
		if diff := cmp.Diff(names(all[i+1:]), names(feed(e.LastEventID))); diff != "" {
			t.Errorf("behind event %d, %s (-want +got):\n%s", i, e.LastEventID, diff)
		}
	}
}

type refusing struct{}

func (refusing) FollowAll(context.Context, chat.User, string, string, func(chat.Told) error) error {
	return nil
}

func (refusing) Follow(context.Context, chat.User, chat.ID, chat.Place, string, func(chat.Told) error) error {
	return chat.Refuse(chat.CodeNotFound, "there is no such chat")
}

// A stream that is silent is kept alive by comments, and ends with its request.
func TestKeepsAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		l := turn()
		l.then = func(ctx context.Context, _ func(chat.Told) error) error {
			<-ctx.Done()
			return context.Cause(ctx)
		}
		w := httptest.NewRecorder()
		ended := make(chan error, 1)
		go func() {
			r := httptest.NewRequestWithContext(ctx, "GET", "/", nil)
			ended <- sse.New(sse.Options{Follower: l, Streams: live.New(live.Options{}), KeepAlive: time.Second}).Room(http.ResponseWriter(w), r, chat.SignIn{})
		}()
		time.Sleep(3500 * time.Millisecond)
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if got := strings.Count(w.Body.String(), ": still here\n\n"); got != 3 {
			t.Errorf("%d comments in %q", got, w.Body)
		}
		if got := events(t, w.Body.String()); len(got) != 1 {
			t.Errorf("told %v", names(got))
		}
	})
}

// Announcements and the events of all chats say which chat they are of.
func TestEncoders(t *testing.T) {
	e := sse.NewAllEncoder("the chat")
	l := turn()
	l.then = func(_ context.Context, tell func(chat.Told) error) error {
		for _, n := range []chat.Notice{
			chat.Announcement{Event: "ping", Args: nil},
			chat.Announcement{Event: "ping pong", Args: []json.RawMessage{json.RawMessage(`{"a":1}`)}},
			chat.Announcement{Event: "two", Args: []json.RawMessage{json.RawMessage(`{}`), json.RawMessage(`[]`)}},
			chat.Announcement{Event: "several\nlines", Args: nil},
			chat.Presence{Whole: true},
		} {
			if err := tell(chat.Told{Notice: n, Encoded: e.Encode(room, n)}); err != nil {
				return err
			}
		}
		return context.Canceled
	}
	w, err := get(t, l, "GET", "", "")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range events(t, w.Body.String())[1:] {
		got = append(got, e.Type+" "+e.Data)
	}
	want := []string{
		`ping null`, `ping pong {"chat_id":"the chat","a":1}`, `two [{},[]]`,
		`presence {"chat_id":"the chat","members":[],"count":0,"devices":0,"assistant":{"state":""}}`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
