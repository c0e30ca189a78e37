package api_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"parlor/protocol/chat"
	"parlor/transport/api"
	"parlor/transport/api/apitest"
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
	files    []chat.File // of chat-1
	contents map[chat.FileID]string
	fail     error                  // what every method answers, if not nil
	keys     map[chat.ClientID]bool // of what was said
	onGet    func()
	marks    map[chat.ID]chat.Mark
}

func (c *chats) Create(_ context.Context, u chat.User, model chat.ModelID) (chat.Info, error) {
	info := chat.Info{ID: chat.ID("chat-" + string(rune('a'+len(c.infos)))), Owner: u.ID, ModelID: model, APISource: "aisuite", Created: t0.Add(time.Duration(len(c.infos)) * time.Minute)}
	c.infos = append(c.infos, info)
	return info, c.fail
}

func (c *chats) Listed(ctx context.Context, u chat.User, v chat.View, offset, limit int) (page []chat.Listed, total int, err error) {
	all, _, err := c.list(ctx, u, 0, len(c.infos))
	for _, info := range all {
		m := c.marks[info.ID]
		if m.Archived != v.Archived || v.Folder != nil && *v.Folder != m.Folder {
			continue
		}
		if total++; total > offset && len(page) < limit {
			page = append(page, chat.Listed{Info: info, Mark: m})
		}
	}
	return page, total, err
}

func (c *chats) Mark(ctx context.Context, u chat.User, id chat.ID, changes chat.MarkChanges) (m chat.Mark, err error) {
	if _, err := c.Get(ctx, u, id); err != nil {
		return m, err
	}
	changes, refusal := changes.Valid()
	if refusal != nil {
		return m, refusal
	}
	m = c.marks[id]
	if changes.Pinned != nil {
		m.Pinned = *changes.Pinned
	}
	if changes.Archived != nil {
		m.Archived = *changes.Archived
	}
	if changes.Folder != nil {
		m.Folder = *changes.Folder
	}
	if c.marks == nil {
		c.marks = make(map[chat.ID]chat.Mark)
	}
	c.marks[id] = m
	return m, nil
}

func (c *chats) MarkOf(_ context.Context, _ chat.User, info chat.Info) (chat.Mark, error) {
	return c.marks[info.ID], c.fail
}

func (c *chats) Folders(context.Context, chat.User) (folders []chat.Folder, err error) {
	for _, m := range c.marks {
		if m.Folder != "" {
			folders = append(folders, chat.Folder{Name: m.Folder, Chats: 1})
		}
	}
	return folders, c.fail
}

func (c *chats) Search(_ context.Context, u chat.User, q chat.SearchQuery) (chat.SearchPage, error) {
	if q.Text == "" {
		return chat.SearchPage{}, chat.Refuse(chat.CodeInvalid, "q is empty")
	}
	if q.Cursor != "" {
		return chat.SearchPage{Results: []chat.Found{}}, c.fail
	}
	found := chat.Found{
		Chat: "chat-1", MessageID: "m1", Seq: 2, Role: chat.RoleUser, Author: &u, Timestamp: chat.Timestamp(t0), Snippet: q.Text,
		Hits: []chat.Hit{{Start: 0, End: len(q.Text)}},
	}
	return chat.SearchPage{Results: []chat.Found{found}, More: true, Cursor: "next"}, c.fail
}

func (c *chats) list(_ context.Context, u chat.User, offset, limit int) ([]chat.Info, int, error) {
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

func (c *chats) Unread(_ context.Context, _ chat.User, chats []chat.Info) (all []chat.Unread, err error) {
	for i := range chats {
		all = append(all, chat.Unread{LastSeq: uint64(i) + 7, Unread: i + 1, Mentions: i})
	}
	return all, c.fail
}

func (c *chats) Used(ctx context.Context, u chat.User) (used []chat.Model, err error) {
	own, _, err := c.list(ctx, u, 0, len(c.infos))
	for _, info := range own {
		m := chat.Model{ID: info.ModelID, APISource: info.APISource}
		if !slices.Contains(used, m) {
			used = append(used, m)
		}
	}
	return used, err
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
		case info.RoleOf(u.ID) == "":
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
	return chat.UsageReport{By: q.By, Total: row, Rows: []chat.UsageRow{named}, Budgets: []chat.BudgetLeft{{User: u.ID, Period: "total", Tokens: 9, Left: 4}}}, c.fail
}

func (c *chats) Upload(ctx context.Context, u chat.User, id chat.ID, up chat.Upload) (chat.File, error) {
	if _, err := c.Get(ctx, u, id); err != nil {
		return chat.File{}, err
	}
	var check chat.FileCheck
	content, err := io.ReadAll(io.TeeReader(up.Body, &check))
	if err != nil {
		return chat.File{}, err
	}
	f, refusal := check.File(up.Name)
	if refusal != nil {
		return f, refusal
	}
	f.ID, f.By, f.Created = chat.FileID(fmt.Sprint("f", len(c.files)+1)), u.ID, t0
	if up.Key != "" {
		f.ID += chat.FileID("-" + strings.ReplaceAll(up.Key, "#", "-"))
	}
	if c.contents == nil {
		c.contents = make(map[chat.FileID]string)
	}
	c.files, c.contents[f.ID] = append(c.files, f), string(content)
	return f, c.fail
}

func (c *chats) Files(ctx context.Context, u chat.User, id chat.ID) ([]chat.File, error) {
	if _, err := c.Get(ctx, u, id); err != nil || id != "chat-1" {
		return nil, err
	}
	return c.files, c.fail
}

func (c *chats) Download(ctx context.Context, u chat.User, id chat.ID, file chat.FileID) (chat.File, iter.Seq2[[]byte, error], error) {
	_, err := c.Get(ctx, u, id)
	at := slices.IndexFunc(c.files, func(f chat.File) bool { return f.ID == file })
	if err != nil || at < 0 {
		return chat.File{}, nil, cmp.Or[error](err, chat.Refuse(chat.CodeNotFound, "the chat has no such file"))
	}
	return c.files[at], func(yield func([]byte, error) bool) { yield([]byte(c.contents[file]), c.fail) }, nil
}

func (c *chats) RemoveFile(ctx context.Context, u chat.User, id chat.ID, file chat.FileID) error {
	_, err := c.Get(ctx, u, id)
	return err
}

func (c *chats) Delete(ctx context.Context, u chat.User, id chat.ID) error {
	if _, err := c.Get(ctx, u, id); err != nil {
		return err
	}
	c.infos = slices.DeleteFunc(c.infos, func(i chat.Info) bool { return i.ID == id })
	return nil
}

func (c *chats) MessagesOf(ctx context.Context, u chat.User, id chat.ID, branch chat.MessageID, before uint64, limit int) iter.Seq2[chat.Message, error] {
	return func(yield func(chat.Message, error) bool) {
		if _, err := c.Get(ctx, u, id); err != nil {
			yield(chat.Message{}, err)
			return
		}
		all := c.messages[id]
		if branch != "" && !slices.ContainsFunc(all, func(m chat.Message) bool { return m.ID == branch }) {
			yield(chat.Message{}, chat.Refuse(chat.CodeNotFound, "there is no such message"))
			return
		}
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

// The methods of api.Members. There is one invitation, "i1", with the token "token".

func (c *chats) manage(ctx context.Context, u chat.User, id chat.ID) (*chat.Info, error) {
	info, err := c.Get(ctx, u, id)
	if err == nil && info.Owner != u.ID {
		err = chat.Refuse(chat.CodeForbidden, "not the owner")
	}
	return &c.infos[max(0, slices.IndexFunc(c.infos, func(i chat.Info) bool { return i.ID == id }))], err
}

func (c *chats) Invite(ctx context.Context, u chat.User, id chat.ID, o chat.Offer) (chat.Invitation, error) {
	_, err := c.manage(ctx, u, id)
	if refusal := o.Valid(); err == nil && refusal != nil {
		err = refusal
	}
	i := chat.Invite{ID: "i1", Role: o.Role, Uses: o.Uses, By: u.ID}
	if o.ExpiresIn > 0 {
		i.Expires = t0.Add(o.ExpiresIn)
	}
	return chat.Invitation{Invite: i, Token: "token"}, err
}

func (c *chats) Invites(ctx context.Context, u chat.User, id chat.ID) ([]chat.Invite, error) {
	_, err := c.manage(ctx, u, id)
	return []chat.Invite{{ID: "i1", Role: chat.RoleViewer, By: u.ID}}, err
}

func (c *chats) Revoke(ctx context.Context, u chat.User, id chat.ID, invite chat.InviteID) error {
	_, err := c.manage(ctx, u, id)
	if err == nil && invite != "i1" {
		err = chat.Refuse(chat.CodeNotFound, "no such invitation")
	}
	return err
}

func (c *chats) Accept(_ context.Context, u chat.User, token string) (chat.Info, error) {
	if c.fail != nil {
		return chat.Info{}, c.fail
	}
	if token == "expired" {
		return chat.Info{}, chat.Refuse(chat.CodeExpired, "the invitation has expired")
	}
	if token != "token" {
		return chat.Info{}, chat.Refuse(chat.CodeNotFound, "no such invitation")
	}
	c.infos[0] = c.infos[0].WithMember(chat.Member{ID: u.ID, Role: chat.RoleViewer})
	return c.infos[0], nil
}

func (c *chats) Import(_ context.Context, _ chat.User, records []chat.Record) (chat.Info, error) {
	return records[0].Event.(chat.Created).Chat, c.fail
}

func (c *chats) LookAtInvite(_ context.Context, u chat.User, token string) (chat.Welcome, error) {
	if token != "token" {
		return chat.Welcome{}, chat.Refuse(chat.CodeNotFound, "no such invitation")
	}
	return chat.Welcome{Chat: c.infos[0], Invite: chat.Invite{Role: chat.RoleViewer, By: c.infos[0].Owner}, Has: c.infos[0].RoleOf(u.ID)}, c.fail
}

func (c *chats) SetMember(ctx context.Context, u chat.User, id chat.ID, m chat.Member) (chat.Info, error) {
	info, err := c.manage(ctx, u, id)
	if err != nil {
		return chat.Info{}, err
	}
	*info = info.WithMember(m)
	return *info, nil
}

func (c *chats) RemoveMember(ctx context.Context, u chat.User, id chat.ID, member chat.UserID) error {
	info, err := c.manage(ctx, u, id)
	if err == nil {
		*info = info.WithMember(chat.Member{ID: member})
	}
	return err
}

// Contents of messages at which reading the history fails, or panics.
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

// newMux serves c to the users of development mode, under both prefixes. All answers have
// to be as they are described.
func newMux(t *testing.T, c *chats, o api.Options) http.Handler {
	t.Helper()
	return newMuxFor(t, c, auth.New(auth.Options{}), o)
}

func newMuxFor(t *testing.T, c *chats, who api.Authenticator, o api.Options) http.Handler {
	t.Helper()
	a, err := api.New(c, c, models{elisa}, who, o)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	a.Register(mux, "/api/v1")
	a.Register(mux, "/assistant/api/v1")
	api.RegisterHealth(mux, "/assistant", func() string { return "" })
	return apitest.New(t, api.Description, "/api/v1").Handler(t, mux)
}
