package main

import (
	"parlor/actors/door"
	"parlor/actors/follow"
	"parlor/actors/room"
	"parlor/actors/rooms"
	wire "parlor/protocol/assistant"
	"parlor/protocol/chat"
	openaiwire "parlor/protocol/openai"
	openwebuiwire "parlor/protocol/openwebui"
	"parlor/transport"
	"parlor/transport/api"
	"parlor/transport/auth"
	"parlor/transport/live"
	"parlor/transport/sse"
)

// encoders are those of all wires, by name.
func encoders() room.Encoders {
	all := room.Encoders{
		follow.Plain: follow.NewPlain,
		sse.OneChat:  func(chat.Info) room.Encoder { return sse.NewEncoder() },
		sse.AllChats: func(info chat.Info) room.Encoder { return sse.NewAllEncoder(info.ID) },

		openaiwire.Encoder: func(chat.Info) room.Encoder { return new(openaiwire.Encode) },
	}
	for _, d := range wire.Dialects {
		all[d.String()] = func(chat.Info) room.Encoder { return wire.NewEncoder(d) }
	}
	for _, f := range openwebuiwire.Forms {
		all[f.String()] = func(info chat.Info) room.Encoder { return openwebuiwire.NewEncoder(f, info) }
	}
	return all
}

// openStreams returns what HTTP answers need that go on for long: what they tell, and how
// they are kept. They count as connections, and end when those are shut down.
func openStreams(s Settings, rooms *rooms.Rooms, connections *transport.Server, devices *door.Devices, verifier *auth.Verifier) (*follow.Follower, *live.Streams) {
	follower := follow.New(follow.Options{Rooms: rooms, Encoders: encoders(), MaxBytes: int(s.QueueBytes)})
	streams := live.New(live.Options{
		Hold:         connections.Hold,
		Enter:        func(u chat.UserID) bool { return devices.Add(u, s.MaxConnectionsPerUser) },
		Leave:        devices.Remove,
		Watch:        verifier.Watch,
		WriteTimeout: s.PingTimeout,
	})
	return follower, streams
}

// mount adds to the API what other packages serve.
func mount(endpoints *api.API, s Settings, follower *follow.Follower, streams *live.Streams) {
	events := sse.New(sse.Options{Follower: follower, Streams: streams, KeepAlive: s.PingInterval})
	endpoints.Mount(map[string]api.Handler{
		"GET /chat/{chat_id}/events": events.Room,
		"GET /events":                events.All,
	})
}
