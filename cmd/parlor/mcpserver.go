package main

import (
	"net/http"

	"parlor/transport/mcp"
)

// addMCP serves agents that speak the Model Context Protocol.
func (s *server) addMCP(mux *http.ServeMux) {
	server := mcp.New(mcp.Options{
		Rooms: followed{noted{s.rooms}, s.follower}, Streams: s.streams, Version: version(), Logger: s.log,
		MaxBytes: int(s.MaxPayload), MaxResult: int(s.MaxMCPResult), MaxWait: s.MaxMCPWait,
	})
	for _, base := range s.bases() {
		s.api.RegisterPost(mux, base+"/mcp", "POST /mcp", s.verifier.SignInToRead, server.Post)
	}
}
