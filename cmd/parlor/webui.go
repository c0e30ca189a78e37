package main

import (
	"net/http"

	"parlor/protocol/chat"
	"parlor/transport/openwebui"
)

// addOpenWebUI serves what clients of Open WebUI ask by HTTP. What is no question in a chat
// goes to OpenAI's API, which mux serves.
func (s *server) addOpenWebUI(mux *http.ServeMux) {
	server := &openwebui.Server{
		Rooms: noted{s.rooms}, Channels: s.rooms, Sockets: s.webui, MaxBytes: int(s.MaxPayload),
		DefaultModel: func() chat.ModelID { return s.models.List()[0].ID },
		Plain: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.URL.Path = "/v1/chat/completions"
			mux.ServeHTTP(w, r)
		}),
	}
	for _, base := range s.bases() {
		s.api.RegisterAt(mux, base+"/api", server.Routes())
		s.api.RegisterAt(mux, base+"/api/v1", server.ChannelRoutes())
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
