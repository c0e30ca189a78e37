package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/http"
	"os"
	"time"

	"parlor/actors/access"
	"parlor/actors/assistant"
	"parlor/actors/conversation"
	"parlor/actors/door"
	"parlor/actors/ledger"
	"parlor/actors/openwebui"
	"parlor/actors/recovery"
	"parlor/actors/retention"
	"parlor/actors/room"
	"parlor/actors/rooms"
	"parlor/actors/session"
	"parlor/actors/system"
	"parlor/actors/title"
	"parlor/persistence"
	wire "parlor/protocol/assistant"
	"parlor/protocol/chat"
	"parlor/protocol/engineio"
	openwebuiwire "parlor/protocol/openwebui"
	"parlor/transport"
	"parlor/transport/api"
	"parlor/transport/auth"
	"parlor/transport/console"
	"parlor/transport/limit"
	"parlor/transport/metrics"
	"parlor/transport/openai"
	"parlor/transport/origin"
	"parlor/transport/provider"
	"parlor/transport/provider/eliza"
	"parlor/transport/provider/guard"
	"parlor/transport/provider/realtime"
	"parlor/transport/provider/upstream"
	"parlor/transport/tools"
)

// Limits of HTTP that cannot be set.
const (
	readHeaderTimeout = 10 * time.Second
	httpIdleTimeout   = 2 * time.Minute
	maxHeaderBytes    = 32 << 10
	// stopTimeout is how long all parts together may take to stop. The assistant
	// SPA gives up after 18 seconds, so a restart must take less.
	stopTimeout = 8 * time.Second
	// closeTimeout is how long clients may take to close their connections when
	// the server stops.
	closeTimeout = 2 * time.Second
	// requestTimeout is how long a request may take to arrive and its answer to
	// be sent. The time for which a poll waits is added to it.
	requestTimeout = 30 * time.Second
)

// serve runs the server until ctx ends: it starts the parts in the order in
// which they need each other, and stops them in reverse.
func serve(ctx context.Context, s Settings, log *slog.Logger) (err error) {
	var parts parts
	defer func() { err = errors.Join(err, parts.stop()) }()

	outliveFileSizeLimit()
	parts.add("memory", releaseMemory())
	store, err := openStore(s, log)
	if err != nil {
		return err
	}
	parts.add("event log", func(context.Context) error { return store.Close() })

	seats, err := openRecovery(s, store, log)
	if err != nil {
		return err
	}
	parts.add("recovery", func(context.Context) error { seats.Close(); return nil })

	numbers := guard.NewMetrics()
	models, err := openModels(s, numbers, log)
	if err != nil {
		return err
	}
	parts.add("providers", func(context.Context) error { return models.Close() })
	actors := system.New(log)
	verifier, accounts, err := openVerifier(s, store, &parts, log)
	if err != nil {
		return err
	}
	hooks, err := startWebhooks(s, store, &parts, log)
	if err != nil {
		return err
	}
	budgets, err := openLedger(s, store, models)
	if err != nil {
		return err
	}
	pushes, err := openPush(s, store, verifier, &parts, log)
	if err != nil {
		return err
	}
	registry, err := openTools(s, log)
	if err != nil {
		return err
	}
	rooms, err := startRooms(s, actors, store, models, registry, budgets, told{hooks, pushes}, accounts, verifier.Development(), log)
	if err != nil {
		return err
	}
	parts.add("rooms", rooms.Close)
	parts.add("links", handOverChats(accounts, rooms, log))
	endStrays(ctx, accounts, rooms)
	openControl(s, store, rooms, accounts, hooks, &parts, log)

	keeper := retention.Start(retention.Options{Log: store, Rooms: rooms, Logger: log, For: s.RetainFor, Bytes: int64(s.RetainBytes)})
	parts.add("retention", func(context.Context) error { keeper.Close(); return nil })

	guests := auth.WithGuests{Verifier: verifier} // for what keeps them in their chat
	warnings := origin.NewWarnings(log)
	limits := limit.New(limit.Rates{User: s.MaxUserRate, Address: s.MaxAddressRate, Event: s.MaxEventRate, Guest: s.MaxGuestRate}, log)
	devices := new(door.Devices)
	hub := newHub(s, rooms, accounts)
	webui := &openwebui.Namespace{
		Auth: verifier, Rooms: rooms, Limits: limits, Devices: devices, MaxDevices: s.MaxConnectionsPerUser,
		Sockets:  hub.Namespace(openwebuiwire.Namespace, openwebuiwire.Reserved),
		MaxRooms: s.MaxJoinedRooms, MaxListed: s.MaxListedMembers,
	}
	connections := openConnections(s, actors, map[string]session.Namespace{
		wire.Namespace: &assistant.Namespace{
			Auth: guests, Rooms: rooms, Recovery: seats, Limits: limits, Devices: devices, MaxDevices: s.MaxConnectionsPerUser,
			Sockets:  hub.Namespace(wire.Namespace, wire.Reserved),
			MaxRooms: s.MaxJoinedRooms, MaxReplayBytes: int(s.QueueBytes) / 2,
		},
		openwebuiwire.Namespace: webui,
	}, warnings, log)
	follower, streams := openStreams(s, rooms, connections, devices, verifier)
	endpoints, err := api.New(rooms, people{rooms, accounts}, models, guests, api.Options{
		Guests: letIn(s, verifier), AllowedOrigins: s.CORSOrigins, SignIn: verifier, OriginRefused: warnings.Refused, Limits: limits, Logger: log,
		Backends: backends(s, hub, verifier, log), MaxSayBytes: int(s.MaxPayload), MaxFileBytes: int64(s.MaxFileBytes), MaxUploads: s.MaxMessageFiles,
	})
	if err != nil {
		return err
	}
	mount(endpoints, s, follower, streams)
	endpoints.Mount(pushRoutes(pushes))
	endpoints.Mount(uiRoutes(s, rooms, follower, models, streams, limits, warnings, log))
	mux := routes(s, connections, endpoints, metrics.Handler(numbers))
	addOpenWebUI(mux, s, endpoints, rooms, models, webui)
	completions := newCompletions(s, models, store, budgets, log)
	parts.add("completions", completions.Close)
	addOpenAI(mux, s, openai.Options{
		Rooms: rooms, Follower: follower, Completer: completions, Models: models, Streams: streams,
		SignIn: verifier.SignIn, Protect: endpoints.Protect, Limits: limits, Logger: log,
	})
	return parts.run(ctx, s, front(s, mux), connections, log)
}

// run serves HTTP until ctx ends or serving fails.
func (p *parts) run(ctx context.Context, s Settings, handler http.Handler, connections *transport.Server, log *slog.Logger) error {
	stop, ended, err := listen(s, handler, log)
	if err != nil {
		return err
	}
	p.add("http", stop)
	// Connections are stopped before http, which waits for their polls to end.
	p.add("connections", func(ctx context.Context) error {
		if err := connections.Shutdown(ctx); err != nil {
			log.Info("cut off clients that did not close their connection")
		}
		return nil
	})
	select {
	case <-ctx.Done():
		log.Info("stopping")
		return nil
	case err := <-ended:
		return fmt.Errorf("serve http: %w", err)
	}
}

// listen serves HTTP until stop is called. When serving ends, ended receives why.
func listen(s Settings, handler http.Handler, log *slog.Logger) (stop func(context.Context) error, ended <-chan error, err error) {
	listener, err := net.Listen("tcp", s.Listen)
	if err != nil {
		return nil, nil, fmt.Errorf("listen: %w", err)
	}
	timeout := s.PingInterval + s.PingTimeout + requestTimeout
	server := &http.Server{
		Handler: handler, ReadTimeout: timeout, WriteTimeout: timeout,
		ReadHeaderTimeout: readHeaderTimeout, IdleTimeout: httpIdleTimeout, MaxHeaderBytes: maxHeaderBytes,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()

	for _, warning := range s.Warnings() {
		log.Warn(warning)
	}
	if s.Development() {
		log.Warn("development mode: no jwt-secret or other key, so everybody is who they say they are and all chats are shared, on this computer only")
	}
	log.Info("listening on http://" + listener.Addr().String())
	stop = func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, closeTimeout)
		defer cancel()
		if err := server.Shutdown(ctx); err != nil {
			log.Info("cut off requests that did not end")
			return server.Close()
		}
		return nil
	}
	return stop, served, nil
}

// parts are the parts of the server that have been started, in that order.
type parts []part

type part struct {
	name string
	stop func(context.Context) error
}

func (p *parts) add(name string, stop func(context.Context) error) {
	*p = append(*p, part{name, stop})
}

func (p parts) stop() (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	for i := len(p) - 1; i >= 0; i-- {
		if stopErr := p[i].stop(ctx); stopErr != nil {
			err = errors.Join(err, fmt.Errorf("stop %s: %w", p[i].name, stopErr))
		}
	}
	return err
}

// openModels makes the assistants. A key comes from the environment variable that
// its model or provider names. OpenAI's key may also be a setting.
func openModels(s Settings, numbers *guard.Metrics, log *slog.Logger) (*provider.Models, error) {
	if !s.ModelsOnly && !s.Development() {
		log.Warn("models-only is off: whoever signs in may ask any model of every provider that can be reached, on your keys")
	}
	settings := map[string]string{"OPENAI_API_KEY": string(s.OpenAIAPIKey), "OPENAI_BASE_URL": s.OpenAIBaseURL}
	return provider.New(provider.Options{
		Models: s.Models, Providers: s.Providers, ModelsOnly: s.ModelsOnly, Listen: s.Listen, Logger: log,
		Discover: s.Discover, DiscoverEvery: s.DiscoverEvery, DiscoverTimeout: s.DiscoverTimeout, DiscoverLimit: s.DiscoverLimit,
		LookupEnv: func(name string) (string, bool) {
			if v, ok := settings[name]; ok {
				return v, v != ""
			}
			return os.LookupEnv(name)
		},
		Thinking: s.ThinkingTimeout,
		Upstream: upstream.Options{Connect: s.ProviderTimeout, FirstToken: s.FirstTokenTimeout, KeptAlive: s.KeepAliveTimeout, Silence: s.SilenceTimeout},
		Realtime: realtime.Options{
			Connect: s.ProviderTimeout, FirstToken: s.FirstTokenTimeout, Silence: s.SilenceTimeout, MaxAge: s.RealtimeMaxAge, Transcription: s.RealtimeTranscription, Voice: s.RealtimeVoice,
		},
		Eliza: eliza.Options{Delay: cmp.Or(s.ElizaWordDelay, -1)},
		Guard: guard.Options{
			Streams: s.MaxStreams, Wait: s.FirstTokenTimeout,
			Retries: cmp.Or(s.Retries, -1), RetryDelay: s.RetryDelay, RetryBudget: cmp.Or(s.RetryBudget, -1),
			Failures: cmp.Or(s.BreakerFailures, -1), FailureSpan: s.BreakerWindow, CoolDown: s.BreakerCoolDown,
			Metrics: numbers,
		},
	})
}

func openStore(s Settings, log *slog.Logger) (*persistence.Store, error) {
	return persistence.Open(s.Data, persistence.Options{
		Charges: conversation.Charges, MessageID: conversation.MessageID, Logger: log,
		Quota: persistence.Quota{Chats: s.MaxChatsPerUser, Bytes: int64(s.MaxBytesPerUser), Folders: s.MaxFoldersPerUser, Pinned: s.MaxPinnedPerUser},
	})
}

func openVerifier(s Settings, store *persistence.Store, parts *parts, log *slog.Logger) (*auth.Verifier, *auth.Accounts, error) {
	accounts, err := auth.OpenAccounts(s.accounts(store, log))
	if err != nil {
		return nil, nil, err
	}
	options := s.auth()
	options.Logger, options.Accounts = log, accounts
	verifier := auth.New(options)
	parts.add("credentials", func(context.Context) error { verifier.Close(); return nil })
	return verifier, accounts, nil
}

// openRecovery returns nil if connection state recovery is switched off.
func openRecovery(s Settings, store *persistence.Store, log *slog.Logger) (*recovery.Table, error) {
	if s.RecoveryWindow == 0 {
		return nil, nil
	}
	return recovery.Open(recovery.Options{Store: store, Logger: log, Window: s.RecoveryWindow, MaxSeats: s.MaxSessions, MaxSeatsPerUser: s.MaxSessionsPerUser})
}

// openLedger returns what is left of the budgets.
func openLedger(s Settings, store *persistence.Store, models *provider.Models) (*ledger.Ledger, error) {
	for i := range s.Budgets {
		s.Budgets[i].Provider = provider.Name(s.Budgets[i].Provider)
	}
	return ledger.New(s.Budgets, store.Charges(0, persistence.EndOfHours), models.Identity)
}

func startRooms(s Settings, actors *system.System, store *persistence.Store, models *provider.Models, registry *tools.Registry, budgets *ledger.Ledger, told told, accounts *auth.Accounts, shared bool, log *slog.Logger) (*rooms.Rooms, error) {
	warnOfModels(s, models, log)
	reads := rooms.Reads{AtOnce: s.MaxReads, PerUser: s.MaxReadsPerUser, Waiting: s.MaxWaitingReads, SearchBytes: int(s.MaxSearchBytes)}
	options := roomOptions(s, models, budgets, shared, log)
	options.Activity = func(a room.Activity) { told.hooks.Note(a.Chat.Room) }
	options.Ended = told.ended(s)
	options.Departed = func(guest chat.UserID) { go accounts.EndGuest(guest) } // it waits for the disk
	options.Tools = registry
	return rooms.Start(actors, store, options, reads)
}

// warnOfModels logs which settings name a model that cannot be asked.
func warnOfModels(s Settings, models *provider.Models, log *slog.Logger) {
	if why := models.Refusal(s.TitleModel); s.TitleModel != "" && why != nil {
		log.Warn("title-model: "+why.Message+"; chats get their first words as title", "model", s.TitleModel)
	}
	for i, b := range s.Budgets {
		if b.Provider != "" && b.Provider != "*" && !models.Reaches(b.Provider) {
			log.Warn(fmt.Sprintf("budgets[%d]: there is no such provider, or it cannot be asked; as it is the budget limits nothing", i), "provider", b.Provider)
		}
		if b.Model == "" || b.Model == "*" {
			continue
		}
		if why := models.Refusal(chat.ModelID(b.Model)); why != nil {
			log.Warn(fmt.Sprintf("budgets[%d]: %s; as it is the budget limits nothing", i, why.Message), "model", b.Model)
		}
	}
}

func roomOptions(s Settings, models *provider.Models, budgets *ledger.Ledger, shared bool, log *slog.Logger) room.Options {
	return room.Options{
		Models: models, Provider: models, Encoders: encoders(), Logger: log, Access: access.Policy{Shared: shared}, SystemPrompt: s.SystemPrompt,
		Ledger: budgets, ContextWindow: s.ContextWindow, FileShare: s.FileShare,
		MaxFileBytes: int64(s.MaxFileBytes), MaxImageBytes: int64(s.MaxImageBytes), MaxFiles: s.MaxFilesPerChat, MaxMessageFiles: s.MaxMessageFiles,
		Titles: title.Policy{
			On: s.Titles == "on", Model: s.TitleModel,
			Able: func(m chat.Model) bool { return m.Provider != provider.ProviderEliza },
		},
		MaxMessageBytes: int(s.MaxMessageBytes), MaxAnswerBytes: int(s.MaxAnswerBytes), MaxQueuedTurns: s.MaxQueuedTurns, MaxMembers: s.MaxMembers, MaxBranches: s.MaxBranches, MaxListed: s.MaxListedMembers, MaxAwake: cmp.Or(s.MaxRoomsPerUser, math.MaxInt),
		TurnPolicy: chat.Policy(s.TurnPolicy), TurnTimeout: s.TurnTimeout, IdleTimeout: s.RoomIdleTimeout,
		LineIdle: s.RealtimeIdleTimeout, HearTimeout: s.TranscriptTimeout,
		MaxAttempts: s.MaxAttempts, CheckpointEvery: s.CheckpointEvery, MaxRestarts: s.MaxRestarts,
	}
}

// openConnections connects transport and sessions: a session gets what transport
// reads, and transport writes what the session sends.
func openConnections(s Settings, actors *system.System, namespaces map[string]session.Namespace, warnings *origin.Warnings, log *slog.Logger) *transport.Server {
	sessions := session.New(actors, session.Options{
		Namespaces:     namespaces,
		ConnectTimeout: s.ConnectTimeout, Window: s.Window, UserWindow: s.WindowPerUser, MaxPacketBytes: int(s.MaxPayload), Logger: log,
		MaxAuthBytes: int(s.MaxAuthBytes), MaxRefusals: s.MaxRefusals,
	})
	return transport.NewServer(transport.Options{
		Accept:       func(c *transport.Conn) transport.Receiver { return sessions.Open(c) },
		PingInterval: s.PingInterval, PingTimeout: s.PingTimeout,
		MaxConns: s.MaxConnections, MaxConnsPerAddress: cmp.Or(s.MaxConnectionsPerAddress, max(s.MaxConnections/4, 1)),
		StrangerPayload: int(s.MaxStrangerPayload), StrangerBytes: int(s.MaxStrangerBytes),
		MaxPayload: int(s.MaxPayload), QueueBytes: int(s.QueueBytes), Coalesce: coalesce, Shed: wire.Shed, CloseTimeout: closeTimeout, Logger: log,
		AllowedOrigins: s.CORSOrigins, OriginRefused: warnings.Refused, CORS: transport.CORS{Credentials: true},
		KeepHeaders: []string{"Authorization", "Cookie"}, // what auth.Verifier.Socket reads
	})
}

// coalesce joins the pieces of answers in the frames that wait for a slow client.
func coalesce(frames []engineio.Frame) []engineio.Frame {
	return openwebuiwire.Coalesce(wire.Coalesce(frames))
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
	api.RegisterHealth(mux, s.BasePath)
	if s.Metrics {
		mux.Handle("GET /metrics", numbers)
	}
	return mux
}
