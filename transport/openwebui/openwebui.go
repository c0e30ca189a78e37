// Package openwebui serves the HTTP half of Open WebUI's real-time layer: questions come by
// HTTP, and their answers are told by Socket.IO.
//
//	POST /api/chat/completions → the user's sockets listen to the room → Rooms.Say → {status, task_id}
//	                           → without a chat: OpenAI's API
//
// A task is an open turn of a room, so who may stop it is up to the room.
package openwebui

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"parlor/protocol/chat"
	wire "parlor/protocol/openwebui"
	"parlor/transport/api"
)

// Rooms are the part of the server that keeps chats. Their errors are those of api.Chats.
type Rooms interface {
	CreateAs(ctx context.Context, u chat.User, id chat.ID, model chat.ModelID) (chat.Info, error)
	Configure(ctx context.Context, u chat.User, id chat.ID, c chat.Changes) (chat.Info, error)
	Upload(ctx context.Context, u chat.User, id chat.ID, up chat.Upload) (chat.File, error)
	Say(ctx context.Context, u chat.User, id chat.ID, m chat.Say) (chat.Said, error)
	StopIn(ctx context.Context, u chat.User, id chat.RoomID, s chat.Stop) (chat.Stopped, error)
	Turns(ctx context.Context, u chat.User, id chat.RoomID) ([]chat.Turn, error)
	Running(ctx context.Context, u chat.User) ([]chat.Activity, error)
}

// Sockets are the connections of users in the namespace of this wire.
type Sockets interface {
	// Follow has the sockets of the user told what is said in the chat from now on.
	Follow(ctx context.Context, u chat.User, id chat.ID)

	// Asked notes that the user has asked in the chat, with the message that is record seq.
	Asked(u chat.UserID, id chat.ID, seq uint64)

	// TellChannel tells an event to those who have joined the room of the channel.
	TellChannel(e wire.ChannelEvent)
}

// A Server answers requests. Its fields have no default.
type Server struct {
	Rooms    Rooms
	Channels Channels
	Sockets  Sockets
	Plain    http.Handler // OpenAI's chat completions
	MaxBytes int          // of a request

	// DefaultModel returns the model of a new channel.
	DefaultModel func() chat.ModelID
}

// Routes are what is served below /api.
func (s *Server) Routes() map[string]api.Handler {
	return map[string]api.Handler{
		"POST /chat/completions":          s.complete,
		"GET /tasks":                      s.listTasks,
		"POST /tasks/stop/{task_id}":      s.stopTask,
		"GET /tasks/chat/{chat_id}":       s.listTasksOf,
		"POST /tasks/chat/{chat_id}/stop": s.stopTasksOf,
	}
}

// complete takes a question in a chat, and answers as soon as it is on disk.
func (s *Server) complete(w http.ResponseWriter, r *http.Request, in chat.SignIn) error {
	body, err := s.body(w, r)
	if err != nil {
		return err
	}
	q, inChat, refusal := wire.DecodeQuestion(body)
	if !inChat {
		r.Body = io.NopCloser(bytes.NewReader(body))
		s.Plain.ServeHTTP(w, r)
		return nil
	}
	if refusal != nil {
		return refusal
	}
	turn, err := s.ask(r.Context(), in.User, q)
	if err != nil {
		return err
	}
	return api.Answer(w, map[string]any{"status": true, "task_id": wire.TaskID(q.Chat.Room(), turn)})
}

// ask asks the question, in a chat that is made if there is none, and returns the turn that
// answers it.
func (s *Server) ask(ctx context.Context, u chat.User, q wire.Question) (chat.TurnID, error) {
	info, err := s.Rooms.CreateAs(ctx, u, q.Chat, q.Model)
	if err != nil {
		return "", err
	}
	if q.System != nil && *q.System != info.SystemPrompt {
		if _, err := s.Rooms.Configure(ctx, u, q.Chat, chat.Changes{SystemPrompt: q.System}); err != nil {
			return "", err
		}
	}
	files, err := s.upload(ctx, u, q)
	if err != nil {
		return "", err
	}
	s.Sockets.Follow(ctx, u, q.Chat)
	said, err := s.Rooms.Say(ctx, u, q.Chat, chat.Say{
		Content: q.Content, ModelID: q.Model, Addressed: q.Model, ClientID: q.ClientID(), Policy: chat.PolicyQueue, Answer: new(true),
		Correlation: wire.Correlation(q.Answer), Files: files, OnlyTools: q.OnlyTools,
	})
	if err != nil {
		return "", err
	}
	s.Sockets.Asked(u.ID, q.Chat, said.Seq)
	if len(said.Turns) == 0 {
		return "", errors.New("openwebui: a question has no turn")
	}
	return said.Turns[0], nil
}

// upload keeps the images of a question as files of the chat, and returns all files that it
// brings. A repetition has the same ones.
func (s *Server) upload(ctx context.Context, u chat.User, q wire.Question) ([]chat.FileID, error) {
	files := q.Files
	for i, image := range q.Images {
		up := chat.Upload{Name: fmt.Sprintf("image %d", i+1), Key: fmt.Sprintf("%s %d", q.ClientID(), i), Body: bytes.NewReader(image)}
		file, err := s.Rooms.Upload(ctx, u, q.Chat, up)
		if err != nil {
			return nil, err
		}
		files = append(files, file.ID)
	}
	return files, nil
}

func (s *Server) body(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, int64(s.MaxBytes)))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, chat.Refuse(chat.CodeTooLarge, fmt.Sprintf("the request body is larger than %d bytes", tooLarge.Limit))
	case err != nil:
		return nil, chat.Refuse(chat.CodeInvalid, "the request cannot be read")
	}
	return body, nil
}
