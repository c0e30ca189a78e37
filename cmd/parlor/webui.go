package main

import (
	"net/http"

	"parlor/actors/rooms"
	"parlor/transport/api"
	"parlor/transport/openwebui"
)

// addOpenWebUI serves what clients of Open WebUI ask by HTTP. What is no question in a chat
// goes to OpenAI's API, which mux serves.
func addOpenWebUI(mux *http.ServeMux, s Settings, endpoints *api.API, rooms *rooms.Rooms, sockets openwebui.Sockets) {
	server := &openwebui.Server{
		Rooms: rooms, Sockets: sockets, MaxBytes: int(s.MaxPayload),
		Plain: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.URL.Path = "/v1/chat/completions"
			mux.ServeHTTP(w, r)
		}),
	}
	for _, base := range s.bases() {
		endpoints.RegisterAt(mux, base+"/api", server.Routes())
	}
}

// bases are the paths below which everything is served: at the top and, if there is one,
// below the base path.
func (s *Settings) bases() []string {
	if s.BasePath == "" {
		return []string{""}
	}
	return []string{"", s.BasePath}
}
