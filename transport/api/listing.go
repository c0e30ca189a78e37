package api

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"sync"
	"time"

	"parlor/protocol/chat"
)

// A listing is the list of models as it was sent last, so that it is encoded once for
// all users and requests, until it changes.
type listing struct {
	mu     sync.Mutex
	models []chat.Model
	listed map[chat.ModelID]bool
	body   []byte // of the models, with commas between them
}

// encode returns the models as JSON without brackets, and which they are.
func (l *listing) encode(models []chat.Model) (body []byte, listed map[chat.ModelID]bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.listed != nil && slices.Equal(models, l.models) {
		return l.body, l.listed, nil
	}
	body, err = json.Marshal(models)
	if err != nil {
		return nil, nil, err
	}
	l.models, l.listed = slices.Clone(models), make(map[chat.ModelID]bool)
	for _, m := range models {
		l.listed[m.ID] = true
	}
	l.body = body[1 : len(body)-1]
	return l.body, l.listed, nil
}

// An encoded answer is sent as it is; then sent is called.
type encoded struct {
	body []byte
	sent func()
}

// listModels adds the models of the user's newest chats to the list. The SPA
// needs to find the model of each chat in it, but a model can be used without
// being listed, or may have been removed from the configuration since.
func (a *chatArea) listModels(r *http.Request, u chat.User) (any, error) {
	sent := a.listings.begin(u.ID)
	body, err := a.modelsFor(r.Context(), u)
	if err != nil {
		sent()
		return nil, err
	}
	return encoded{body, sent}, nil
}

func (a *chatArea) modelsFor(ctx context.Context, u chat.User) ([]byte, error) {
	used, err := a.chats.Used(ctx, u)
	if err != nil {
		return nil, err
	}
	models := a.models.List()
	if u.Only != "" { // a guest sees the model of the chat
		models = nil
	}
	list, listed, err := a.listing.encode(orEmpty(models))
	if err != nil {
		return nil, err
	}
	body := slices.Concat([]byte(`{"models":[`), list)
	separator := len(list) > 0
	for _, m := range used {
		if listed[m.ID] {
			continue
		}
		one, err := json.Marshal(a.modelOf(chat.Info{APISource: m.APISource}, m.ID))
		if err != nil {
			return nil, err
		}
		if separator {
			body = append(body, ',')
		}
		body, separator = append(body, one...), true
	}
	return append(body, "]}"...), nil
}

// How long a chat waits for a list of models: for one to be asked for, for its
// client to read it, and in all.
const (
	listingGrace   = 20 * time.Millisecond
	listingLead    = 20 * time.Millisecond
	maxListingWait = time.Second
)

// listings are the lists of models that are being sent. The SPA asks for a chat
// together with the list and wants to find the chat's model in it; if the chat is
// there first, it takes another model. They come on different connections, in any
// order, so a chat waits for the list of its user.
type listings struct {
	mu   sync.Mutex
	open map[chat.UserID]*openListing
}

// An openListing is of one user. A list counts until listingLead after it was sent.
type openListing struct {
	n    int           // lists
	read chan struct{} // closed when n is 0
}

// begin notes that a list is asked for, until sent is called.
func (l *listings) begin(u chat.UserID) (sent func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open == nil {
		l.open = make(map[chat.UserID]*openListing)
	}
	o := l.open[u]
	if o == nil {
		o = &openListing{read: make(chan struct{})}
		l.open[u] = o
	}
	o.n++
	return func() { time.AfterFunc(listingLead, func() { l.end(u, o) }) }
}

func (l *listings) end(u chat.UserID, o *openListing) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if o.n--; o.n == 0 {
		close(o.read)
		delete(l.open, u)
	}
}

func (l *listings) of(u chat.UserID) *openListing {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.open[u]
}

// wait returns when the client has read the lists that the user has asked for, or
// soon. Only for pages it waits for one to be asked for.
func (l *listings) wait(r *http.Request, u chat.UserID) {
	o := l.of(u)
	if o == nil && ofPage(r) {
		select {
		case <-time.After(listingGrace):
		case <-r.Context().Done():
		}
		o = l.of(u)
	}
	if o == nil {
		return
	}
	select {
	case <-o.read:
	case <-time.After(maxListingWait):
	case <-r.Context().Done():
	}
}

// ofPage reports whether a request comes from a page in a browser.
func ofPage(r *http.Request) bool {
	for _, name := range []string{"Sec-Fetch-Mode", "Referer", "Origin"} {
		if r.Header.Get(name) != "" {
			return true
		}
	}
	return false
}
