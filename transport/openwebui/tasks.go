package openwebui

import (
	"context"
	"net/http"

	"parlor/protocol/chat"
	wire "parlor/protocol/openwebui"
	"parlor/transport/api"
)

var errNoTask = chat.Refuse(chat.CodeNotFound, "there is no such task")

// listTasks lists what the user has asked for, in all chats in which something runs.
func (s *Server) listTasks(w http.ResponseWriter, r *http.Request, in chat.SignIn) error {
	running, err := s.Rooms.Running(r.Context(), in.User)
	if err != nil {
		return err
	}
	tasks := []string{}
	for _, a := range running {
		turns, err := s.Rooms.Turns(r.Context(), in.User, a.Room)
		if err != nil {
			continue // the chat is gone meanwhile, or the user is no member of it any more
		}
		for _, t := range turns {
			if t.By == in.ID {
				tasks = append(tasks, wire.TaskID(a.Room, t.ID))
			}
		}
	}
	return api.Answer(w, map[string][]string{"tasks": tasks})
}

// listTasksOf lists what is open in a chat, whoever has asked for it.
func (s *Server) listTasksOf(w http.ResponseWriter, r *http.Request, in chat.SignIn) error {
	room, turns, err := s.turnsOf(r, in)
	if err != nil {
		return err
	}
	ids := []string{}
	for _, t := range turns {
		ids = append(ids, wire.TaskID(room, t.ID))
	}
	return api.Answer(w, map[string][]string{"task_ids": ids})
}

func (s *Server) turnsOf(r *http.Request, in chat.SignIn) (chat.RoomID, []chat.Turn, error) {
	id := chat.ID(r.PathValue("chat_id"))
	if !id.Valid() {
		return "", nil, errNoChat
	}
	turns, err := s.Rooms.Turns(r.Context(), in.User, id.Room())
	return id.Room(), turns, err
}

var errNoChat = chat.Refuse(chat.CodeNotFound, "there is no such chat")

// A stopped says what became of the wish to stop something.
type stopped struct {
	Status  bool   `json:"status"`
	Message string `json:"message"`
}

func (s *Server) stopTask(w http.ResponseWriter, r *http.Request, in chat.SignIn) error {
	id := r.PathValue("task_id")
	room, turn, ok := wire.CutTaskID(id)
	if !ok {
		return errNoTask
	}
	if err := s.stop(r.Context(), in.User, room, turn); err != nil {
		return err
	}
	return api.Answer(w, stopped{true, "Task " + id + " successfully stopped."})
}

// stop stops one turn. That there is no such chat is told in the words for no such task.
func (s *Server) stop(ctx context.Context, u chat.User, room chat.RoomID, turn chat.TurnID) error {
	_, err := s.Rooms.StopIn(ctx, u, room, chat.Stop{TurnID: turn})
	if refusal := chat.AsError(err); refusal != nil && refusal.Code == chat.CodeNotFound {
		return errNoTask
	}
	return err
}

// stopTasksOf stops all that is open in a chat. The last stop names no turn: also where
// nothing is open it needs the right to stop.
func (s *Server) stopTasksOf(w http.ResponseWriter, r *http.Request, in chat.SignIn) error {
	room, turns, err := s.turnsOf(r, in)
	if err != nil {
		return err
	}
	for i := len(turns) - 1; i >= 0; i-- { // so that none begins that is about to be stopped
		if err := s.stop(r.Context(), in.User, room, turns[i].ID); err != nil && err != errNoTask {
			return err
		}
	}
	if _, err := s.Rooms.StopIn(r.Context(), in.User, room, chat.Stop{}); err != nil {
		return err
	}
	if len(turns) == 0 {
		return api.Answer(w, stopped{true, "No tasks found for this chat."})
	}
	return api.Answer(w, stopped{true, "All tasks of this chat are stopped."})
}
