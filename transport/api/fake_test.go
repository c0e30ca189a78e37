package api_test

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"net/http"
	"slices"
	"testing"
	"time"

	"parlor/protocol/chat"
	"parlor/transport/api"
	"parlor/transport/auth"
)

var (
	t0     = time.Date(2026, 1, 2, 3, 4, 5, 678_900_000, time.FixedZone("", -5*3600))
	elisa  = chat.Model{ID: "eliza", APISource: "aisuite", Provider: "parlor", DisplayName: "ELIZA", FullName: "ELIZA (1966)", Description: "Listens."}
	hidden = chat.Model{ID: "aisuite.openai:gpt-x", APISource: "aisuite", Provider: "openai", DisplayName: "gpt-x", FullName: "gpt-x"}
)

// chats is a small world of chats. It is not safe for concurrent use.
type chats struct {
	infos    []chat.Info // oldest first
	messages map[chat.ID][]chat.Message
	fail     error // what every method answers, if not nil
	onGet    func()
}

func (c *chats) Create(_ context.Context, u chat.User, model chat.ModelID) (chat.Info, error) {
	info := chat.Info{ID: chat.ID("chat-" + string(rune('a'+len(c.infos)))), Owner: u.ID, ModelID: model, APISource: "aisuite", Created: t0.Add(time.Duration(len(c.infos)) * time.Minute)}
	c.infos = append(c.infos, info)
	return info, c.fail
}

func (c *chats) List(_ context.Context, u chat.User, offset, limit int) ([]chat.Info, int, error) {
	var own []chat.Info
	for _, info := range c.infos {
		if info.Owner == u.ID {
			own = append(own, info)
		}
	}
	slices.SortFunc(own, func(a, b chat.Info) int { return cmp.Compare(b.Created.UnixNano(), a.Created.UnixNano()) })
	from, to := min(offset, len(own)), min(offset+limit, len(own))
	return own[from:to], len(own), c.fail
}

func (c *chats) Get(_ context.Context, u chat.User, id chat.ID) (chat.Info, error) {
	if c.onGet != nil {
		c.onGet()
	}
	if c.fail != nil {
		return chat.Info{}, c.fail
	}
	for _, info := range c.infos {
		switch {
		case info.ID != id:
		case info.Owner != u.ID:
			return chat.Info{}, chat.Refuse(chat.CodeNotFound, "not yours")
		default:
			return info, nil
		}
	}
	return chat.Info{}, chat.Refuse(chat.CodeNotFound, "no chat of that id")
}

func (c *chats) Configure(ctx context.Context, u chat.User, id chat.ID, changes chat.Changes) (chat.Info, error) {
	if _, err := c.Get(ctx, u, id); err != nil {
		return chat.Info{}, err
	}
	i := slices.IndexFunc(c.infos, func(i chat.Info) bool { return i.ID == id })
	settings, refusal := changes.Apply(c.infos[i].Settings)
	if refusal != nil {
		return chat.Info{}, refusal
	}
	c.infos[i].Settings = settings
	return c.infos[i], nil
}

func (c *chats) Usage(_ context.Context, u chat.User, q chat.UsageQuery) (chat.UsageReport, error) {
	row := chat.UsageRow{Turns: 1, PromptTokens: 2, CompletionTokens: 3, TotalTokens: 5}
	named := row
	named.User, named.Chat, named.Day = u.ID, chat.ID(q.Room), q.From.Format(time.DateOnly)
	return chat.UsageReport{By: q.By, Total: row, Rows: []chat.UsageRow{named}}, c.fail
}

func (c *chats) Delete(ctx context.Context, u chat.User, id chat.ID) error {
	if _, err := c.Get(ctx, u, id); err != nil {
		return err
	}
	c.infos = slices.DeleteFunc(c.infos, func(i chat.Info) bool { return i.ID == id })
	return nil
}

func (c *chats) Messages(ctx context.Context, u chat.User, id chat.ID, before uint64, limit int) iter.Seq2[chat.Message, error] {
	return func(yield func(chat.Message, error) bool) {
		if _, err := c.Get(ctx, u, id); err != nil {
			yield(chat.Message{}, err)
			return
		}
		all := c.messages[id]
		if before > 0 {
			all = slices.DeleteFunc(slices.Clone(all), func(m chat.Message) bool { return m.Seq >= before })
		}
		for _, m := range all[max(0, len(all)-limit):] {
			switch m.Content {
			case breaksOff:
				yield(chat.Message{}, errors.New("the disk has gone"))
				return
			case panics:
				panic("a bug")
			}
			if !yield(m, nil) {
				return
			}
		}
	}
}

// What a message says at which reading the history fails, or panics.
const (
	breaksOff = "(break off)"
	panics    = "(panic)"
)

type models []chat.Model

func (m models) List() []chat.Model { return m }

func (m models) Model(id chat.ModelID) (chat.Model, bool) {
	for _, model := range append(slices.Clone(m), hidden) {
		if model.ID == id {
			return model, true
		}
	}
	return chat.Model{}, false
}

func (m models) Refusal(id chat.ModelID) *chat.Error {
	if _, ok := m.Model(id); ok {
		return nil
	}
	return chat.Refuse(chat.CodeNotFound, "there is no such model")
}

// newMux serves c to the users of development mode, under both prefixes.
func newMux(t *testing.T, c *chats, o api.Options) *http.ServeMux {
	t.Helper()
	return newMuxFor(t, c, auth.New(auth.Options{}), o)
}

func newMuxFor(t *testing.T, c *chats, who api.Authenticator, o api.Options) *http.ServeMux {
	t.Helper()
	a, err := api.New(c, models{elisa}, who, o)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	a.Register(mux, "/api/v1")
	a.Register(mux, "/assistant/api/v1")
	api.RegisterHealth(mux, "/assistant")
	return mux
}
