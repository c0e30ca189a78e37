package main

import (
	"parlor/transport/api"
	"parlor/transport/auth"
	"parlor/transport/probe"
)

// probeRoutes answer parlor doctor, unless max-probes is 0.
func (s *server) probeRoutes() map[string]api.OpenHandler {
	if s.MaxProbes == 0 {
		return nil
	}
	p := probe.New(probe.Options{
		Busy: s.MaxProbes, NewCookie: auth.NewCookie,
		Limits: probe.Limits{
			PingInterval: s.PingInterval.Milliseconds(), PingTimeout: s.PingTimeout.Milliseconds(),
			Payload: int64(s.MaxPayload), File: int64(s.MaxFileBytes),
		},
	})
	return map[string]api.OpenHandler{
		"GET " + probe.Path:       p.Tell,
		"POST " + probe.Path:      p.Count,
		"GET " + probe.StreamPath: p.Stream,
	}
}
