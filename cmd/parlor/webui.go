package main

import (
	"net/http"

	"parlor/actors/rooms"
	"parlor/protocol/chat"
	"parlor/transport/api"
	"parlor/transport/openwebui"
	"parlor/transport/provider"
)

// addOpenWebUI serves what clients of Open WebUI ask by HTTP. What is no question in a chat
// goes to OpenAI's API, which mux serves.
func addOpenWebUI(mux *http.ServeMux, s Settings, endpoints *api.API, rooms *rooms.Rooms, models *provider.Models, sockets openwebui.Sockets) {
	server := &openwebui.Server{
		Rooms: rooms, Channels: rooms, Sockets: sockets, MaxBytes: int(s.MaxPayload),
		DefaultModel: func() chat.ModelID { return models.List()[0].ID },
		Plain: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.URL.Path = "/v1/chat/completions"
			mux.ServeHTTP(w, r)
		}),
	}
	for _, base := range s.bases() {
		endpoints.RegisterAt(mux, base+"/api", server.Routes())
		endpoints.RegisterAt(mux, base+"/api/v1", server.ChannelRoutes())
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
