package openai

import (
	"context"
	"encoding/json"
	"testing"
	"testing/synctest"
	"time"

	"parlor/protocol/chat"
	wire "parlor/protocol/openai"
)

// A request is one that comes to TestSaidOnce.
type request struct {
	retry     string // its number, as the client sends it; empty: none
	key       string // an Idempotency-Key
	body      string // empty: as the others
	lost      bool   // the client is gone when the message is on disk
	stream    bool   // it wants a stream, of which a client that is lost has got the beginning
	restarted bool   // the server was, before it comes
	later     time.Duration
}

func TestSaidOnce(t *testing.T) {
	for name, test := range map[string]struct {
		requests []request
		want     int // messages
	}{
		"said twice by a person":                    {[]request{{}, {}}, 2},
		"and by the client, with its numbers":       {[]request{{retry: "0"}, {retry: "0"}}, 2},
		"repeated by the client":                    {[]request{{retry: "0", lost: true}, {retry: "1", lost: true}, {retry: "2"}}, 1},
		"the answer was lost on its way":            {[]request{{retry: "0"}, {retry: "1"}}, 1},
		"another body":                              {[]request{{retry: "0", lost: true}, {retry: "1", body: `{"model":"eliza","input":"bye"}`}}, 2},
		"repeated by a proxy":                       {[]request{{lost: true}, {}}, 1},
		"repeated by a proxy in mid-stream":         {[]request{{lost: true, stream: true}, {stream: true}}, 1},
		"left in mid-stream, and said again":        {[]request{{lost: true, stream: true}, {stream: true, later: streamWindow}}, 2},
		"and repeated by the client":                {[]request{{lost: true, stream: true}, {stream: true, retry: "1", later: streamWindow}}, 1},
		"repeated by the client, after a restart":   {[]request{{retry: "0", lost: true}, {retry: "1", restarted: true}}, 1},
		"much later":                                {[]request{{retry: "0", lost: true}, {retry: "1", restarted: true, later: time.Hour}}, 2},
		"said twice, with a restart in between":     {[]request{{later: time.Hour}, {restarted: true}}, 2},
		"and at once behind the restart":            {[]request{{}, {restarted: true}}, 2},
		"with a key":                                {[]request{{key: "k"}, {key: "k"}, {key: "k", restarted: true, later: time.Hour}, {key: "l"}}, 2},
		"one of two was lost, and is repeated":      {[]request{{retry: "0"}, {retry: "0", lost: true}, {retry: "1"}, {retry: "0"}}, 3},
		"repeated, and then said again by a person": {[]request{{lost: true}, {}, {}}, 2},
	} {
		for _, room := range []string{"", "conv_r"} {
			t.Run(name+" "+room, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r := newRig(Options{})
					time.Sleep(2 * restartWindow)
					if room != "" {
						r.world.chats = []chat.Info{{ID: "r", Room: chat.ID("r").Room(), Owner: alice.ID}}
						r.world.add(chat.ID("r").Room(), chat.Created{})
					}
					for _, q := range test.requests {
						time.Sleep(time.Second + q.later)
						if q.restarted {
							r.start(Options{})
						}
						r.post(t, q, room)
					}
					if got := len(r.world.said); got != test.want {
						t.Errorf("said %d times, want %d", got, test.want)
					}
					if rooms := len(r.world.chats); room == "" && rooms != test.want || room != "" && rooms != 1 {
						t.Errorf("%d chats", rooms)
					}
				})
			})
		}
	}
}

// post sends a request and checks its answer, if it gets one.
func (r *rig) post(t *testing.T, q request, room string) {
	t.Helper()
	body := map[string]any{"model": "eliza", "input": "hi"}
	if q.body != "" {
		_ = json.Unmarshal([]byte(q.body), &body)
	}
	if room != "" {
		body["conversation"] = room
	}
	if q.stream {
		body["stream"] = true
	}
	raw, _ := json.Marshal(body)
	var header []string
	if q.retry != "" {
		header = append(header, "X-Stainless-Retry-Count", q.retry)
	}
	if q.key != "" {
		header = append(header, "Idempotency-Key", q.key)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r.world.follow = nil
	if q.lost {
		r.world.follow = func(ctx context.Context, _ func(chat.Told) error) error {
			cancel()
			return context.Cause(ctx)
		}
	}
	answer := r.ask(ctx, "POST", "/responses", string(raw), header...)
	if q.lost != (answer == nil) {
		t.Errorf("%+v: reset %v", q, answer == nil)
	}
	var got wire.Response
	if answer != nil && !q.stream && (json.Unmarshal(answer.Body.Bytes(), &got) != nil || got.Status != "completed") {
		t.Errorf("%+v: %d %s", q, answer.Code, answer.Body)
	}
}

// A proxy repeats a request whose answer the end of the server has cut off.
func TestSaidOnceOverAKill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(Options{})
		time.Sleep(2 * restartWindow)
		r.post(t, request{lost: true}, "")
		id := r.world.chats[0].Room
		r.world.records[id] = r.world.records[id][:len(r.world.records[id])-1] // its answer has not ended
		time.Sleep(time.Second)
		r.start(Options{})
		r.world.add(id, chat.TurnEnded{TurnID: r.world.records[id][2].Event.(chat.TurnQueued).TurnID, MessageID: "a", PromptSeq: 2, State: chat.StateCompleted})
		r.post(t, request{}, "")
		if got := len(r.world.said); got != 1 {
			t.Errorf("said %d times", got)
		}
	})
}

func TestPostsAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPosts(newWorld())
		for i := range maxPosts + 10 {
			p.remember(&post{digest: [32]byte{byte(i), byte(i >> 8)}, at: time.Now(), ctx: t.Context()})
		}
		if len(p.order) != maxPosts || len(p.equal) != maxPosts {
			t.Errorf("%d and %d posts", len(p.order), len(p.equal))
		}
		time.Sleep(repeatWindow)
		p.remember(&post{at: time.Now(), ctx: t.Context()})
		if len(p.order) != 1 || len(p.equal) != 1 {
			t.Errorf("%d and %d posts later", len(p.order), len(p.equal))
		}
	})
}
