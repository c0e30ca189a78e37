package main

import (
	"log/slog"

	"parlor/actors/emit"
	"parlor/transport/api"
	"parlor/transport/auth"
	"parlor/transport/limit"
)

// newHub returns what sends the events of other backends to clients.
func newHub(s Settings, rooms emit.Rooms, accounts *auth.Accounts) *emit.Hub {
	return emit.New(emit.Options{
		Rooms: rooms, Person: accounts.Person, MaxTargets: s.MaxEmitTargets, MaxBytes: int(s.MaxEmitBytes), MaxCalls: s.MaxCalls, MaxCallTimeout: s.MaxCallTimeout,
	})
}

// backends are what the API needs for other backends.
func backends(s Settings, hub *emit.Hub, verifier *auth.Verifier, log *slog.Logger) api.Backends {
	address := 0
	if s.MaxEmitRate > 0 && s.MaxAddressRate > 0 {
		address = max(s.MaxEmitRate, s.MaxAddressRate)
	}
	return api.Backends{
		Emitter: hub, Backend: verifier.Backend, MaxBytes: int(s.MaxEmitBytes), MaxTimeout: s.MaxCallTimeout,
		Limits: limit.New(limit.Rates{Event: s.MaxEmitRate, Address: address}, log),
	}
}
