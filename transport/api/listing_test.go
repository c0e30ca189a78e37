package api_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"parlor/protocol/chat"
	"parlor/transport/api"
	"parlor/transport/auth"
)

// A slowWriter is a response whose client is slow.
type slowWriter struct {
	http.ResponseWriter
	sent func()
}

func (w slowWriter) Write(p []byte) (int, error) {
	time.Sleep(500 * time.Millisecond)
	w.sent()
	return w.ResponseWriter.Write(p)
}

// noLists refuses to read chats, as a disk that is busy.
type noLists struct {
	*chats
	list atomic.Int64
}

func (c *noLists) Listed(ctx context.Context, u chat.User, v chat.View, offset, limit int) ([]chat.Listed, int, error) {
	c.list.Add(1)
	return c.chats.Listed(ctx, u, v, offset, limit)
}

func (c *noLists) Used(context.Context, chat.User) ([]chat.Model, error) {
	return []chat.Model{{ID: hidden.ID}, {ID: elisa.ID}, {ID: "gone", APISource: "anthropic"}}, nil
}

// The list of models is made from memory: chats are not read for it. It has the models
// of the user's chats behind the others, those that are gone too.
func TestModelsFromMemory(t *testing.T) {
	c := &noLists{chats: conversation()}
	list := models{elisa}
	a, err := api.New(c, c, &list, auth.New(auth.Options{}), api.Options{})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	a.Register(mux, "/api/v1")
	listed := func() (ids []chat.ModelID) {
		var body struct{ Models []chat.Model }
		if err := json.Unmarshal(do(mux, "GET", "/api/v1/model", "").Body.Bytes(), &body); err != nil {
			t.Fatal(err)
		}
		for _, m := range body.Models {
			ids = append(ids, m.ID)
		}
		return ids
	}
	if got, want := listed(), []chat.ModelID{elisa.ID, hidden.ID, "gone"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	list = models{{ID: "new"}, elisa, {ID: "gone"}}
	if got, want := listed(), []chat.ModelID{"new", elisa.ID, "gone", hidden.ID}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	list = nil
	if got, want := listed(), []chat.ModelID{hidden.ID, elisa.ID, "gone"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := c.list.Load(); got != 0 {
		t.Errorf("chats were read %d times", got)
	}
}

// An unchanged list is not encoded again: a request costs the same however long it is.
func TestModelsAreEncodedOnce(t *testing.T) {
	allocations := func(n int) float64 {
		list := make(models, n)
		for i := range list {
			list[i] = elisa
		}
		a, err := api.New(conversation(), conversation(), list, auth.New(auth.Options{}), api.Options{})
		if err != nil {
			t.Fatal(err)
		}
		mux := http.NewServeMux()
		a.Register(mux, "/api/v1")
		return testing.AllocsPerRun(20, func() { do(mux, "GET", "/api/v1/model", "") })
	}
	if one, many := allocations(1), allocations(500); many > one+5 {
		t.Errorf("%v allocations for one model, %v for 500", one, many)
	}
}

// A chat that is asked for together with the models, a little sooner or later, is not
// answered before the client has read them. It does not wait for those of others, nor if
// it is not a page that asks.
func TestModelsBeforeTheChat(t *testing.T) {
	for _, test := range []struct {
		name, user string
		header     []string
		later      time.Duration // the models are asked for
		first      string
	}{
		{"of the same user", "alice", nil, 0, "models"},
		{"of the same user, later", "alice", []string{"Sec-Fetch-Mode", "cors"}, 10 * time.Millisecond, "models"},
		{"of another", "bob", nil, 0, "chat"},
		{"of another, with a page", "bob", []string{"Referer", "http://example.com/"}, 0, "chat"},
		{"of the same user, later, without a page", "alice", nil, 10 * time.Millisecond, "chat"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				mux := newMux(t, conversation(), api.Options{})
				var mu sync.Mutex
				var order []string
				note := func(what string) func() {
					return func() {
						mu.Lock()
						defer mu.Unlock()
						order = append(order, what)
					}
				}
				var both sync.WaitGroup
				both.Go(func() {
					time.Sleep(test.later)
					r := httptest.NewRequest("GET", "/api/v1/model", nil)
					r.Header.Set("X-Parlor-User", test.user)
					mux.ServeHTTP(slowWriter{httptest.NewRecorder(), note("models")}, r)
				})
				synctest.Wait()
				both.Go(func() {
					if w := do(mux, "GET", "/api/v1/chat/chat-1", "", test.header...); w.Code != http.StatusOK {
						t.Errorf("status %d: %s", w.Code, w.Body)
					}
					note("chat")()
				})
				both.Wait()
				if order[0] != test.first {
					t.Errorf("answered in the order %v", order)
				}
				time.Sleep(time.Minute)
				start := time.Now()
				do(mux, "GET", "/api/v1/chat/chat-1", "")
				if took := time.Since(start); took != 0 {
					t.Errorf("afterwards a chat takes %v", took)
				}
			})
		})
	}
}
