package api

import (
	"math"
	"net/http"

	"parlor/protocol/chat"
)

// A chatArea answers about chats and models.
type chatArea struct {
	chats    Chats
	models   Models
	listing  listing
	listings listings
}

func (a *chatArea) routes() map[string]endpoint {
	return map[string]endpoint{
		"GET /auth/me": a.me, "GET /model": a.listModels,
		"GET /chat": a.listChats, "POST /chat": a.createChat,
		"GET /chat/{chat_id}": a.getChat, "DELETE /chat/{chat_id}": inChat(a.deleteChat), "PATCH /chat/{chat_id}": inChat(a.configureChat),
		importName: a.importChat, "GET /chat/{chat_id}/export": a.exportChat,
		"PATCH /chat/{chat_id}/mark": inChat(a.mark), "GET /folders": a.listFolders,
		"GET /search": a.search, "GET /usage": a.usage, "GET /chat/{chat_id}/messages": a.listMessages,
	}
}

func (a *chatArea) me(_ *http.Request, u chat.User) (any, error) {
	return wireUser{string(u.ID), orNull(u.Email), orNull(u.Name), orNull(u.Picture), u.Admin}, nil
}

// modelOf returns a model that the chat has used. The SPA sends messages as the
// model's APISource says. For a model that no longer exists that is the source
// with which the chat began.
func (a *chatArea) modelOf(c chat.Info, id chat.ModelID) chat.Model {
	if m, ok := a.models.Model(id); ok {
		return m
	}
	name := string(id)
	return chat.Model{ID: id, APISource: c.APISource, DisplayName: name, FullName: name, Description: "no longer available"}
}

func (a *chatArea) listChats(r *http.Request, u chat.User) (any, error) {
	limit, err := intParam(r, "limit", DefaultChatsLimit, 1, MaxChatsLimit)
	if err != nil {
		return nil, err
	}
	offset, err := intParam(r, "offset", 0, 0, math.MaxInt32)
	if err != nil {
		return nil, err
	}
	view, err := viewOf(r)
	if err != nil {
		return nil, err
	}
	chats, total, err := a.chats.Listed(r.Context(), u, view, offset, limit)
	if err != nil {
		return nil, err
	}
	var infos []chat.Info
	for _, c := range chats {
		infos = append(infos, c.Info)
	}
	unread, err := a.chats.Unread(r.Context(), u, infos)
	if err != nil {
		return nil, err
	}
	answer := wireChats{Chats: []wireListed{}, Total: total, HasMore: offset+len(chats) < total}
	for i, c := range chats {
		answer.Chats = append(answer.Chats, wireListed{a.toWireChat(c.Info, u, c.Mark), unread[i], unread[i].LastTimestamp, listedPeople(c.Info)})
	}
	return answer, nil
}

// viewOf returns which chats a request wants to see.
func viewOf(r *http.Request) (v chat.View, err error) {
	q := r.URL.Query()
	if v.Archived, err = boolParam(r, "archived"); err != nil {
		return v, err
	}
	if q.Has("folder") {
		name := chat.FolderName(q.Get("folder"))
		v.Folder = &name
	}
	return v, nil
}

func (a *chatArea) mark(r *http.Request, u chat.User, id chat.ID) (any, error) {
	var changes chat.MarkChanges
	if err := decodeBody(r, &changes); err != nil {
		return nil, err
	}
	m, err := a.chats.Mark(r.Context(), u, id, changes)
	return m, worded(err)
}

func (a *chatArea) search(r *http.Request, u chat.User) (any, error) {
	limit, err := intParam(r, "limit", DefaultSearchLimit, 1, MaxSearchLimit)
	if err != nil {
		return nil, err
	}
	q := r.URL.Query()
	query := chat.SearchQuery{Text: q.Get("q"), Limit: limit, Cursor: q.Get("cursor"), Chat: chat.ID(q.Get("chat_id"))}
	if query.Chat != "" && !query.Chat.Valid() {
		return nil, errNoChat
	}
	page, err := a.chats.Search(r.Context(), u, query)
	return page, worded(err)
}

func (a *chatArea) listFolders(r *http.Request, u chat.User) (any, error) {
	folders, err := a.chats.Folders(r.Context(), u)
	return wireFolders{orEmpty(folders)}, err
}

func (a *chatArea) createChat(r *http.Request, u chat.User) (any, error) {
	var body struct {
		ModelID   chat.ModelID `json:"model_id"`
		APISource string       `json:"model_api_source"` // the model's own counts
	}
	if err := decodeBody(r, &body); err != nil {
		return nil, err
	}
	if body.ModelID == "" {
		return nil, chat.Refuse(chat.CodeInvalid, "model_id is missing")
	}
	if refusal := a.models.Refusal(body.ModelID); refusal != nil {
		return nil, refusal
	}
	c, err := a.chats.Create(r.Context(), u, body.ModelID)
	if err != nil {
		return nil, err
	}
	return map[string]chat.ID{"chat_id": c.ID}, nil
}

// getChat is never faster than listModels, see [listings].
func (a *chatArea) getChat(r *http.Request, u chat.User) (any, error) {
	c, err := a.chat(r, u)
	if err != nil {
		return nil, err
	}
	a.listings.wait(r, u.ID)
	return a.details(r, c, u)
}

// details returns a chat and what the user has noted of it.
func (a *chatArea) details(r *http.Request, c chat.Info, u chat.User) (any, error) {
	m, err := a.chats.MarkOf(r.Context(), u, c)
	if err != nil {
		return nil, err
	}
	files, err := a.chats.Files(r.Context(), u, c.ID)
	if err != nil {
		return nil, worded(err)
	}
	w := a.toWireDetails(c, u, m)
	if len(files) > 0 {
		w.Files = toWireFiles(files)
	}
	return w, nil
}

// configureChat changes the settings that the body names, and answers as getChat
// does.
func (a *chatArea) configureChat(r *http.Request, u chat.User, id chat.ID) (any, error) {
	var changes chat.Changes
	if err := decodeBody(r, &changes); err != nil {
		return nil, err
	}
	c, err := a.chats.Configure(r.Context(), u, id, changes)
	if err != nil {
		return nil, worded(err)
	}
	return a.details(r, c, u)
}

// usage answers with what the user's own turns have used.
func (a *chatArea) usage(r *http.Request, u chat.User) (any, error) {
	q := chat.UsageQuery{By: chat.UsageByDay}
	if id := chat.ID(r.URL.Query().Get("chat_id")); id != "" {
		q.Room = id.Room()
	}
	if by := r.URL.Query().Get("by"); by != "" {
		q.By = chat.UsageBy(by)
	}
	var err error
	if q.From, err = timeParam(r, "from"); err != nil {
		return nil, err
	}
	if q.To, err = timeParam(r, "to"); err != nil {
		return nil, err
	}
	if refusal := q.Valid(); refusal != nil {
		return nil, refusal
	}
	return a.chats.Usage(r.Context(), u, q)
}

func (a *chatArea) deleteChat(r *http.Request, u chat.User, id chat.ID) (any, error) {
	if err := a.chats.Delete(r.Context(), u, id); err != nil {
		return nil, worded(err)
	}
	return map[string]string{"message": "Chat deleted successfully"}, nil
}

// listMessages answers with a bare array, in the order of display.
func (a *chatArea) listMessages(r *http.Request, u chat.User) (any, error) {
	limit, err := intParam(r, "limit", DefaultMessagesLimit, 1, MaxMessagesLimit)
	if err != nil {
		return nil, err
	}
	before, err := seqParam(r, "before")
	if err != nil {
		return nil, err
	}
	c, err := a.chat(r, u)
	if err != nil {
		return nil, err
	}
	branch := chat.MessageID(r.URL.Query().Get("branch"))
	messages := a.chats.MessagesOf(r.Context(), u, c.ID, branch, before, limit)
	return array(func(yield func(any, error) bool) {
		for m, err := range messages {
			if branch == "" { // else it may be a message that is not there
				err = worded(err)
			}
			for _, row := range a.toWireRows(c, m) {
				if !yield(row, err) {
					return
				}
			}
		}
	}), nil
}

// chat returns the chat that the request's path names.
func (a *chatArea) chat(r *http.Request, u chat.User) (chat.Info, error) {
	id, err := chatID(r)
	if err != nil {
		return chat.Info{}, err
	}
	c, err := a.chats.Get(r.Context(), u, id)
	return c, worded(err)
}

// inChat is an endpoint of one chat, which the path names.
func inChat(answer func(*http.Request, chat.User, chat.ID) (any, error)) endpoint {
	return func(r *http.Request, u chat.User) (any, error) {
		id, err := chatID(r)
		if err != nil {
			return nil, err
		}
		return answer(r, u, id)
	}
}

func chatID(r *http.Request) (chat.ID, error) {
	id := chat.ID(r.PathValue("chat_id"))
	if !id.Valid() {
		return "", errNoChat
	}
	return id, nil
}
