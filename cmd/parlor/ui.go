package main

import (
	"log/slog"

	"parlor/actors/follow"
	"parlor/actors/rooms"
	"parlor/transport/aisdk"
	"parlor/transport/api"
	"parlor/transport/limit"
	"parlor/transport/live"
	"parlor/transport/origin"
	"parlor/transport/provider"
)

// uiRoutes are those of the AI SDK's useChat.
func uiRoutes(s Settings, rooms *rooms.Rooms, follower *follow.Follower, models *provider.Models, streams *live.Streams, limits *limit.Limiter, warnings *origin.Warnings, log *slog.Logger) map[string]api.Handler {
	return aisdk.New(aisdk.Options{
		Rooms: followed{rooms, follower}, Models: models, Streams: streams, Limits: limits, Logger: log,
		AllowedOrigins: s.CORSOrigins, OriginRefused: warnings.Refused,
		MaxBody: int(s.UIMaxBody), MaxRequests: s.UIMaxRequests, ReplayWindow: max(s.UIReplayWindow, 1), KeepAlive: s.UIKeepAlive,
		WriteTimeout: s.PingTimeout, PingInterval: s.PingInterval, PingTimeout: s.PingTimeout,
	}).Routes()
}

// followed are the rooms with those who follow them.
type followed struct {
	*rooms.Rooms
	*follow.Follower
}
