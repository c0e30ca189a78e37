package mcp

import (
	"encoding/json"
	"net/http"

	"parlor/protocol/chat"
	"parlor/transport/api"
)

// maxBody limits a request for a prompt, in bytes.
const maxBody = 64 << 10

// Routes are what members ask for, by "METHOD /path".
func (s *Servers) Routes() map[string]func(http.ResponseWriter, *http.Request, chat.SignIn) error {
	return map[string]func(http.ResponseWriter, *http.Request, chat.SignIn) error{
		"GET /tools/prompts":  s.listPrompts,
		"POST /tools/prompts": s.usePrompt,
	}
}

func (s *Servers) listPrompts(w http.ResponseWriter, r *http.Request, in chat.SignIn) error {
	list, missing := s.Prompts(r.Context(), in.ID)
	return api.Answer(w, map[string]any{"prompts": append([]Prompt{}, list...), "missing": append([]Missing{}, missing...)})
}

func (s *Servers) usePrompt(w http.ResponseWriter, r *http.Request, in chat.SignIn) error {
	var body struct {
		Server    string            `json:"server"`
		Name      string            `json:"name"`
		Arguments map[string]string `json:"arguments"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(&body); err != nil {
		return chat.Refuse(chat.CodeInvalid, "the request body must be {server, name, arguments}, where arguments are texts by name")
	}
	messages, err := s.Prompt(r.Context(), in.ID, body.Server, body.Name, body.Arguments)
	if err != nil {
		return err
	}
	return api.Answer(w, map[string]any{"messages": append([]PromptMessage{}, messages...)})
}
