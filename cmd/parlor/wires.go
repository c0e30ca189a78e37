package main

import (
	"cmp"
	"context"
	"iter"
	"net/http"
	"os"
	"time"

	"parlor/actors/assistant"
	"parlor/actors/follow"
	"parlor/actors/observe"
	"parlor/actors/openwebui"
	"parlor/actors/room"
	"parlor/actors/session"
	"parlor/actors/turn"
	"parlor/protocol/admin"
	wire "parlor/protocol/assistant"
	"parlor/protocol/chat"
	"parlor/protocol/engineio"
	openaiwire "parlor/protocol/openai"
	openwebuiwire "parlor/protocol/openwebui"
	"parlor/transport"
	"parlor/transport/api"
	"parlor/transport/auth"
	"parlor/transport/console"
	"parlor/transport/limit"
	"parlor/transport/live"
	"parlor/transport/metrics"
	"parlor/transport/provider"
	"parlor/transport/requests"
	"parlor/transport/sse"
	"parlor/transport/traces"
)

// encoders are those of all wires, by name.
func encoders() room.Encoders {
	all := room.Encoders{
		follow.Plain:  follow.NewPlain,
		admin.Encoder: observe.NewEncoder,
		sse.OneChat:   func(chat.Info) room.Encoder { return sse.NewEncoder() },
		sse.AllChats:  func(info chat.Info) room.Encoder { return sse.NewAllEncoder(info.ID) },

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

// openConnections connects transport and sessions: a session gets what transport
// reads, and transport writes what the session sends.
func (s *server) openConnections() error {
	s.hub = newHub(s.Settings, s.rooms, s.accounts)
	sessions := session.New(s.actors, session.Options{
		Namespaces:     s.namespaces(),
		ConnectTimeout: s.ConnectTimeout, Window: s.Window, UserWindow: s.WindowPerUser, MaxPacketBytes: int(s.MaxPayload), Logger: s.log,
		MaxAuthBytes: int(s.MaxAuthBytes), MaxRefusals: s.MaxRefusals,
		Turns: turns{s.limits}, Done: s.eventDone(),
	})
	most := s.maxConnections(openFiles())
	s.connections = transport.NewServer(transport.Options{
		Accept:       func(c *transport.Conn) transport.Receiver { return sessions.Open(c) },
		PingInterval: s.PingInterval, PingTimeout: s.PingTimeout,
		MaxConns: most, MaxConnsPerAddress: cmp.Or(s.MaxConnectionsPerAddress, max(most/4, 1)),
		StrangerPayload: int(s.MaxStrangerPayload), StrangerBytes: int(s.MaxStrangerBytes),
		MaxPayload: int(s.MaxPayload), QueueBytes: int(s.QueueBytes), Coalesce: coalesce, Shed: wire.Shed, CloseTimeout: closeTimeout, Logger: s.log,
		Delivered: s.numbers.Delivered,
		Ended: func(reason string) {
			if reason == transport.ReasonSlowConsumer {
				s.numbers.SlowConsumer()
			}
		},
		AllowedOrigins: s.CORSOrigins, OriginRefused: s.warnings.Refused, CORS: transport.CORS{Credentials: true},
		KeepHeaders: []string{"Authorization", "Cookie"}, // what auth.Verifier.Socket reads
	})
	s.openStreams()
	return nil
}

// turns are those of the users of sessions.
type turns struct{ limits *limit.Limiter }

func (t turns) Begin(user string, bytes int) time.Duration {
	return t.limits.Begin(chat.UserID(user), bytes)
}
func (t turns) Charge(user string, bytes int) { t.limits.Charge(chat.UserID(user), bytes) }
func (t turns) End(user string)               { t.limits.End(chat.UserID(user)) }

// answerBytes is how many bytes of events cost others as much as an answer, whose many
// pieces are told and saved.
const answerBytes = 6 << 10

// charging are models whose answers delay what else their users ask for.
type charging struct {
	*provider.Current
	limits *limit.Limiter
	traces *traces.Traces // nil: there are none
}

// Without it, a stop would not end what the provider goes on with.
var _ turn.Runs = charging{}

func (c charging) Stream(ctx context.Context, p chat.Prompt) iter.Seq2[chat.Delta, error] {
	c.limits.Charge(p.User, answerBytes)
	return c.stream(ctx, p)
}

// namespaces are those of Socket.IO.
func (s *server) namespaces() map[string]session.Namespace {
	s.webui = &openwebui.Namespace{
		Auth: s.verifier, Rooms: s.rooms, Limits: s.limits, Devices: s.devices, MaxDevices: s.MaxConnectionsPerUser,
		Sockets:  s.hub.Namespace(openwebuiwire.Namespace, openwebuiwire.Reserved),
		MaxRooms: s.MaxJoinedRooms, MaxListed: s.MaxListedMembers,
	}
	return map[string]session.Namespace{
		openwebuiwire.Namespace: s.webui,
		wire.Namespace: &assistant.Namespace{
			Auth: s.members(), Rooms: s.rooms, Recovery: s.seats, Limits: s.limits, Devices: s.devices, MaxDevices: s.MaxConnectionsPerUser,
			Sockets:  s.hub.Namespace(wire.Namespace, wire.Reserved),
			Returned: s.numbers.Resumed,
			MaxRooms: s.MaxJoinedRooms, MaxReplayBytes: int(s.QueueBytes) / 2,
		},
	}
}

// members returns who says who somebody is where guests are kept in their chat.
func (s *server) members() auth.WithGuests { return auth.WithGuests{Verifier: s.verifier} }

// coalesce joins the pieces of answers in the frames that wait for a slow client.
func coalesce(frames []engineio.Frame) []engineio.Frame {
	return openwebuiwire.Coalesce(wire.Coalesce(frames))
}

// openStreams opens what HTTP answers need that go on for long: what they tell, and how
// they are kept. They count as connections, and end when those are shut down.
func (s *server) openStreams() {
	s.follower = follow.New(follow.Options{Rooms: s.rooms, Encoders: encoders(), MaxBytes: int(s.QueueBytes)})
	s.streams = live.New(live.Options{
		Hold:         s.connections.Hold,
		Enter:        func(u chat.UserID) bool { return s.devices.Add(u, s.MaxConnectionsPerUser) },
		Leave:        s.devices.Remove,
		Watch:        s.verifier.Watch,
		WriteTimeout: s.PingTimeout,
	})
}

// openAPI opens the HTTP API, with what other packages serve below it.
func (s *server) openAPI() (err error) {
	s.api, err = api.New(noted{s.rooms}, people{s.rooms, s.accounts}, s.models, s.members(), api.Options{
		Guests: letIn(s.Settings, s.verifier), AllowedOrigins: s.CORSOrigins, SignIn: s.verifier.SignIns(), OriginRefused: s.warnings.Refused, Limits: s.limits, Logger: s.log,
		Backends: backends(s.Settings, s.hub, s.verifier, s.log), MaxSayBytes: int(s.MaxPayload), MaxImportBytes: int(s.MaxImportBytes), MaxFileBytes: int64(s.MaxFileBytes), MaxImageBytes: int64(s.MaxImageBytes), MaxUploads: s.MaxMessageFiles, MaxMessageBytes: int(s.MaxMessageBytes),
	})
	if err != nil {
		return err
	}
	events := sse.New(sse.Options{Follower: s.follower, Streams: s.streams, KeepAlive: s.PingInterval})
	s.api.Mount(map[string]api.Handler{
		"GET /chat/{chat_id}/events": events.Room,
		"GET /events":                events.All,
	})
	s.api.Mount(pushRoutes(s.pushes))
	s.api.Mount(s.uiRoutes())
	own, open := grantRoutes(s.grants)
	s.api.Mount(own)
	s.api.MountOpen(open)
	s.api.MountOpen(s.probeRoutes())
	s.api.Mount(promptRoutes(s.servers))
	s.api.Mount(s.admin.Routes())
	return nil
}

// handler serves everything.
func (s *server) handler() http.Handler {
	mux := routes(s.Settings, s.connections, s.api, s.serveNumbers())
	api.RegisterHealth(mux, s.BasePath, s.health.unready)
	s.addOpenWebUI(mux)
	s.addOpenAI(mux)
	s.addMCP(mux)
	return requests.Routed(mux)
}

func (s *server) serveNumbers() http.Handler {
	return s.numbers.Handler(s.state(), s.guards, s.backups)
}

// state is what numbers are read from when they are asked for.
func (s *server) state() metrics.State {
	return metrics.State{
		Version:     version(),
		Connections: s.connections.Connections,
		Devices:     s.devices.Count,
		Rooms:       s.rooms.Awake,
		Answering:   s.rooms.Answering,
		Restarts:    s.actors.Restarts,
		FileBytes:   func() int64 { return fileBytes(s.Data) },
		Waiting:     s.store.Waiting,
		Approvals:   func() int { return s.observer.Waiting() },
		Mailboxes:   func(kind string) (all, longest int) { return s.observer.Queued(kind) },
	}
}

// fileBytes returns the size of a file, and 0 if that cannot be found out.
func fileBytes(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}

// routes serves everything at the top, and also below the base path if there is
// one: clients build some of their URLs with the base path and some without.
func routes(s Settings, connections http.Handler, endpoints *api.API, numbers http.Handler) *http.ServeMux {
	mux := http.NewServeMux()
	for _, base := range s.bases() {
		mux.Handle(base+"/socket.io", connections)
		mux.Handle(base+"/socket.io/", connections)
		mux.Handle(base+"/ws/socket.io/", connections) // where clients of Open WebUI look for it
		endpoints.Register(mux, base+"/api/v1")
		endpoints.RegisterFiles(mux, base)
		mux.Handle(base+"/", console.Handler(console.Options{BasePath: base}))
	}
	if s.Metrics {
		mux.Handle("GET /metrics", numbers)
	}
	return mux
}
