package openwebui

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"parlor/protocol/chat"
	wire "parlor/protocol/openwebui"
	"parlor/transport/api"
)

// Channels are the part of the server that keeps channels. Their errors are those of
// api.Chats.
type Channels interface {
	CreateChannel(ctx context.Context, u chat.User, name string, model chat.ModelID) (chat.Info, error)
	Channels(ctx context.Context, u chat.User) ([]chat.Info, error)
	Channel(ctx context.Context, u chat.User, id chat.ID) (chat.Info, error)
	Delete(ctx context.Context, u chat.User, id chat.ID) error
	SetMember(ctx context.Context, u chat.User, id chat.ID, m chat.Member) (chat.Info, error)
	RemoveMember(ctx context.Context, u chat.User, id chat.ID, member chat.UserID) error

	// Board returns the messages of a channel. The changes below take the id of the present
	// version of a message.
	Board(ctx context.Context, u chat.User, id chat.ID) (*chat.Board, error)
	Revise(ctx context.Context, u chat.User, id chat.ID, message chat.MessageID, content string) error
	Retract(ctx context.Context, u chat.User, id chat.ID, message chat.MessageID) error
	React(ctx context.Context, u chat.User, id chat.ID, message chat.MessageID, name string, removed bool) error
}

// ChannelRoutes are what is served below /api/v1.
func (s *Server) ChannelRoutes() map[string]api.Handler {
	const message = "/channels/{channel_id}/messages/{message_id}"
	return map[string]api.Handler{
		"GET /channels":                             s.listChannels,
		"GET /channels/{$}":                         s.listChannels,
		"POST /channels/create":                     s.createChannel,
		"GET /channels/{channel_id}":                s.getChannel,
		"POST /channels/{channel_id}/update":        s.updateChannel,
		"DELETE /channels/{channel_id}/delete":      s.deleteChannel,
		"GET /channels/{channel_id}/messages":       s.listMessages,
		"POST /channels/{channel_id}/messages/post": s.post,
		"GET " + message:                            s.getMessage,
		"GET " + message + "/thread":                s.listThread,
		"POST " + message + "/update":               s.revise,
		"DELETE " + message + "/delete":             s.retract,
		"POST " + message + "/reactions/add":        s.react(false),
		"POST " + message + "/reactions/remove":     s.react(true),
	}
}

func (s *Server) listChannels(w http.ResponseWriter, r *http.Request, in chat.SignIn) error {
	infos, err := s.Channels.Channels(r.Context(), in.User)
	if err != nil {
		return err
	}
	list := []wire.Channel{}
	for _, info := range infos {
		list = append(list, wire.ShowChannel(info))
	}
	return api.Answer(w, list)
}

// channelForm is what creates or changes a channel.
type channelForm struct {
	Name   string              `json:"name"`
	Access *wire.AccessControl `json:"access_control"` // nil: as it is
}

func (s *Server) createChannel(w http.ResponseWriter, r *http.Request, in chat.SignIn) error {
	var form channelForm
	if err := s.decode(w, r, &form); err != nil {
		return err
	}
	if form.Name == "" {
		return chat.Refuse(chat.CodeInvalid, "name is missing")
	}
	info, err := s.Channels.CreateChannel(r.Context(), in.User, form.Name, s.DefaultModel())
	if err != nil {
		return err
	}
	return s.admit(w, r, in, info, form)
}

// admit gives users the roles that the form names, and answers with the channel.
func (s *Server) admit(w http.ResponseWriter, r *http.Request, in chat.SignIn, info chat.Info, form channelForm) error {
	if form.Access == nil {
		return api.Answer(w, wire.ShowChannel(info))
	}
	roles := form.Access.Roles()
	for _, m := range info.Members {
		if _, stays := roles[m.ID]; !stays {
			if err := s.Channels.RemoveMember(r.Context(), in.User, info.ID, m.ID); err != nil {
				return err
			}
		}
	}
	for u, role := range roles {
		if u == info.Owner || info.RoleOf(u) == role {
			continue
		}
		if _, err := s.Channels.SetMember(r.Context(), in.User, info.ID, chat.Member{ID: u, Role: role}); err != nil {
			return err
		}
	}
	info, err := s.Channels.Channel(r.Context(), in.User, info.ID)
	if err != nil {
		return err
	}
	return api.Answer(w, wire.ShowChannel(info))
}

func (s *Server) getChannel(w http.ResponseWriter, r *http.Request, in chat.SignIn) error {
	info, err := s.channel(r, in)
	if err != nil {
		return err
	}
	return api.Answer(w, wire.ShowChannel(info))
}

func (s *Server) channel(r *http.Request, in chat.SignIn) (chat.Info, error) {
	id := chat.ID(r.PathValue("channel_id"))
	if !id.Valid() {
		return chat.Info{}, errNoChannel
	}
	return s.Channels.Channel(r.Context(), in.User, id)
}

var errNoChannel = chat.Refuse(chat.CodeNotFound, "there is no such channel")

func (s *Server) updateChannel(w http.ResponseWriter, r *http.Request, in chat.SignIn) error {
	info, err := s.channel(r, in)
	var form channelForm
	if err == nil {
		err = s.decode(w, r, &form)
	}
	if err == nil && form.Name != "" && form.Name != info.Title {
		info, err = s.Rooms.Configure(r.Context(), in.User, info.ID, chat.Changes{Title: &form.Name})
	}
	if err != nil {
		return err
	}
	return s.admit(w, r, in, info, form)
}

func (s *Server) deleteChannel(w http.ResponseWriter, r *http.Request, in chat.SignIn) error {
	info, err := s.channel(r, in)
	if err == nil {
		err = s.Channels.Delete(r.Context(), in.User, info.ID)
	}
	if err != nil {
		return err
	}
	return api.Answer(w, true)
}

// Limits of a page of messages.
const (
	defaultPage = 50
	maxPage     = 200
)

func (s *Server) listMessages(w http.ResponseWriter, r *http.Request, in chat.SignIn) error {
	return s.page(w, r, in, "")
}

func (s *Server) listThread(w http.ResponseWriter, r *http.Request, in chat.SignIn) error {
	return s.page(w, r, in, chat.MessageID(r.PathValue("message_id")))
}

// page answers with messages, newest first: replies to parent, or those that reply to none.
func (s *Server) page(w http.ResponseWriter, r *http.Request, in chat.SignIn, parent chat.MessageID) error {
	skip, err := number(r, "skip", 0, 1<<30)
	limit := 0
	if err == nil {
		limit, err = number(r, "limit", defaultPage, maxPage)
	}
	if err != nil {
		return err
	}
	info, board, err := s.board(r, in)
	if err != nil {
		return err
	}
	page := []wire.Message{}
	for _, p := range board.Page(parent, skip, limit) {
		page = append(page, wire.ShowPosted(info.ID, p))
	}
	if top, found := board.Find(parent); found && len(page) < limit { // a thread ends with what it is about
		page = append(page, wire.ShowPosted(info.ID, top))
	}
	return api.Answer(w, page)
}

func number(r *http.Request, name string, absent, highest int) (int, error) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return absent, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > highest {
		return 0, chat.Refuse(chat.CodeInvalid, fmt.Sprintf("%s must be a number from 0 to %d", name, highest))
	}
	return n, nil
}

func (s *Server) board(r *http.Request, in chat.SignIn) (chat.Info, *chat.Board, error) {
	info, err := s.channel(r, in)
	if err != nil {
		return info, nil, err
	}
	board, err := s.Channels.Board(r.Context(), in.User, info.ID)
	return info, board, err
}

func (s *Server) getMessage(w http.ResponseWriter, r *http.Request, in chat.SignIn) error {
	info, post, err := s.posted(r, in, chat.MessageID(r.PathValue("message_id")))
	if err != nil {
		return err
	}
	return api.Answer(w, wire.ShowPosted(info.ID, post))
}

var errNoMessage = chat.Refuse(chat.CodeNotFound, "there is no such message")

// posted returns a message of the channel that the request names.
func (s *Server) posted(r *http.Request, in chat.SignIn, id chat.MessageID) (chat.Info, chat.Posted, error) {
	info, board, err := s.board(r, in)
	if err != nil {
		return info, chat.Posted{}, err
	}
	post, found := board.Find(id)
	if !found {
		return info, post, errNoMessage
	}
	return info, post, nil
}

// post says something in the channel. Those who have joined its room are told the message by
// the room, and by post how many replies its parent has now.
func (s *Server) post(w http.ResponseWriter, r *http.Request, in chat.SignIn) error {
	var form struct {
		Content  string         `json:"content"`
		Parent   chat.MessageID `json:"parent_id"`
		ClientID chat.ClientID  `json:"temp_id"`
	}
	info, err := s.channel(r, in)
	if err == nil {
		err = s.decode(w, r, &form)
	}
	switch {
	case err != nil:
		return err
	case form.ClientID != "" && !form.ClientID.Valid():
		return chat.Refuse(chat.CodeInvalid, "temp_id must be 1 to 128 printable characters without spaces")
	case isBlank(form.Content):
		return errBlank
	case form.Parent != "":
		_, parent, err := s.posted(r, in, form.Parent)
		if err != nil {
			return err
		}
		form.Parent = cmp.Or(parent.Parent, parent.ID) // a reply to a reply is one more in its thread
	}
	said, err := s.Rooms.Say(r.Context(), in.User, info.ID, chat.Say{Content: form.Content, ClientID: form.ClientID, Parent: form.Parent})
	if err != nil {
		return err
	}
	_, board, err := s.board(r, in)
	if err != nil {
		return err
	}
	if parent, found := board.Find(form.Parent); found {
		s.tell(info.ID, "message:reply", wire.ShowPosted(info.ID, parent), in.User)
	}
	post, found := board.Find(said.MessageID)
	if !found {
		return errNoMessage // it was deleted at once
	}
	return api.Answer(w, wire.ShowPosted(info.ID, post))
}

// isBlank reports whether a message says nothing. No provider takes such a message, so the
// channel would get no answers any more.
func isBlank(content string) bool { return strings.TrimSpace(content) == "" }

var errBlank = chat.Refuse(chat.CodeInvalid, "content is missing or empty")

func (s *Server) tell(id chat.ID, kind string, m wire.Message, by chat.User) {
	s.Sockets.TellChannel(wire.NewChannelEvent(id, m.ID, kind, m, wire.UserOf(by)))
}

func (s *Server) revise(w http.ResponseWriter, r *http.Request, in chat.SignIn) error {
	var form struct {
		Content string `json:"content"`
	}
	if err := s.decode(w, r, &form); err != nil {
		return err
	}
	if isBlank(form.Content) {
		return errBlank
	}
	id := chat.MessageID(r.PathValue("message_id"))
	info, post, err := s.posted(r, in, id)
	if err == nil {
		err = s.Channels.Revise(r.Context(), in.User, info.ID, post.Current, form.Content)
	}
	if err == nil {
		_, post, err = s.posted(r, in, id)
	}
	if err != nil {
		return err
	}
	shown := wire.ShowPosted(info.ID, post)
	s.tell(info.ID, "message:update", shown, in.User)
	return api.Answer(w, shown)
}

func (s *Server) retract(w http.ResponseWriter, r *http.Request, in chat.SignIn) error {
	info, post, err := s.posted(r, in, chat.MessageID(r.PathValue("message_id")))
	if err == nil {
		err = s.Channels.Retract(r.Context(), in.User, info.ID, post.Current)
	}
	if err != nil {
		return err
	}
	s.tell(info.ID, "message:delete", wire.ShowPosted(info.ID, post), in.User)
	if post.Parent != "" {
		if _, parent, err := s.posted(r, in, post.Parent); err == nil {
			s.tell(info.ID, "message:reply", wire.ShowPosted(info.ID, parent), in.User)
		}
	}
	return api.Answer(w, true)
}

// react adds a reaction of the user to a message, or removes it. What is so already is told
// to nobody.
func (s *Server) react(remove bool) api.Handler {
	kind := "message:reaction:add"
	if remove {
		kind = "message:reaction:remove"
	}
	return func(w http.ResponseWriter, r *http.Request, in chat.SignIn) error {
		var form struct {
			Name string `json:"name"`
		}
		if err := s.decode(w, r, &form); err != nil {
			return err
		}
		id := chat.MessageID(r.PathValue("message_id"))
		info, post, err := s.posted(r, in, id)
		if err != nil {
			return err
		}
		if reacts(post, in.ID, form.Name) != remove {
			return api.Answer(w, true)
		}
		if err := s.Channels.React(r.Context(), in.User, info.ID, post.Current, form.Name, remove); err != nil {
			return err
		}
		if _, post, err = s.posted(r, in, id); err != nil {
			return err
		}
		shown := wire.WithReaction(wire.ShowPosted(info.ID, post), form.Name)
		s.Sockets.TellChannel(wire.NewChannelEvent(info.ID, shown.ID, kind, shown, wire.UserOf(in.User)))
		return api.Answer(w, true)
	}
}

func reacts(p chat.Posted, u chat.UserID, name string) bool {
	return slices.ContainsFunc(p.Reactions, func(r chat.Reactions) bool { return r.Name == name && slices.Contains(r.Users, u) })
}

// decode reads the body of a request into v.
func (s *Server) decode(w http.ResponseWriter, r *http.Request, v any) error {
	body, err := s.body(w, r)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, v); err != nil {
		return chat.Refuse(chat.CodeInvalid, "the request body is not what was expected")
	}
	return nil
}
