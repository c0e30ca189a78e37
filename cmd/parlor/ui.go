package main

import (
	"parlor/actors/follow"
	"parlor/transport/aisdk"
	"parlor/transport/api"
)

// uiRoutes are those of the AI SDK's useChat.
func (s *server) uiRoutes() map[string]api.Handler {
	return aisdk.New(aisdk.Options{
		Rooms: followed{noted{s.rooms}, s.follower}, Models: s.models, Streams: s.streams, Limits: s.limits, Logger: s.log,
		AllowedOrigins: s.CORSOrigins, OriginRefused: s.warnings.Refused,
		MaxBody: int(s.UIMaxBody), MaxRequests: s.UIMaxRequests, ReplayWindow: max(s.UIReplayWindow, 1), KeepAlive: s.UIKeepAlive,
		WriteTimeout: s.PingTimeout, PingInterval: s.PingInterval, PingTimeout: s.PingTimeout,
	}).Routes()
}

// followed are the rooms with those who follow them.
type followed struct {
	noted
	*follow.Follower
}
