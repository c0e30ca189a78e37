package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"parlor/actors/chats"
	"parlor/actors/door"
	"parlor/actors/emit"
	"parlor/actors/follow"
	"parlor/actors/ledger"
	"parlor/actors/observe"
	"parlor/actors/openwebui"
	"parlor/actors/recovery"
	"parlor/actors/retention"
	"parlor/actors/system"
	"parlor/actors/webhook"
	"parlor/persistence"
	"parlor/protocol/chat"
	"parlor/transport"
	"parlor/transport/admin"
	"parlor/transport/api"
	"parlor/transport/auth"
	"parlor/transport/limit"
	"parlor/transport/listen"
	"parlor/transport/live"
	"parlor/transport/metrics"
	"parlor/transport/origin"
	"parlor/transport/provider"
	"parlor/transport/provider/guard"
	"parlor/transport/push"
	"parlor/transport/requests"
	"parlor/transport/tools"
	"parlor/transport/tools/mcp"
	"parlor/transport/tools/mcp/oauth"
	"parlor/transport/traces"
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

// A server is what its parts need of each other.
type server struct {
	Settings
	log   *slog.Logger
	level *slog.LevelVar // of the log

	address string // where it will listen
	parts   parts

	store    *persistence.Store
	seats    *recovery.Table // nil: no connection state is recovered
	numbers  *metrics.Server
	backups  *metrics.Backups
	guards   *guard.Metrics
	models   *provider.Current
	budgets  *ledger.Ledger
	verifier *auth.Verifier
	accounts *auth.Accounts
	hooks    *webhook.Engine
	pushes   *push.Service // nil: nobody is told anything by push
	tools    *tools.Registry
	traces   *traces.Traces // nil: there are none
	servers  *mcp.Servers   // of tools
	grants   *oauth.Grants  // of those who have signed in to these
	actors   *system.System
	rooms    *chats.Chats
	retained retention.Limits // of chats, as rooms tell them

	keysFrom   atomic.Pointer[Settings] // that the keys of the store were read with last
	health     health
	newcomers  newcomers
	modelTools atomic.Pointer[map[chat.ModelID]tools.Model]

	limits      *limit.Limiter
	warnings    *origin.Warnings
	devices     *door.Devices
	hub         *emit.Hub
	webui       *openwebui.Namespace
	connections *transport.Server
	follower    *follow.Follower
	streams     *live.Streams
	api         *api.API
	observer    *observe.Observer
	history     *metrics.History
	admin       *admin.Service
}

// serve runs the server until ctx ends: it starts the parts in the order in
// which they need each other, and stops them in reverse.
func serve(ctx context.Context, settings *Settings, level *slog.LevelVar, log *slog.Logger) (err error) {
	// A hangup before the server is ready waits until then. One while it stops must not end the process, so this is never undone.
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	s := &server{Settings: *settings, address: listen.Address(settings.Listen), log: log, level: level, numbers: metrics.NewServer(), guards: guard.NewMetrics(), backups: metrics.NewBackups(), actors: system.New(log), devices: new(door.Devices), warnings: origin.NewWarnings(log)}
	s.limits = limit.New(limit.Rates{User: s.MaxUserRate, Address: s.MaxAddressRate, Event: s.MaxEventRate, Guest: s.MaxGuestRate}, log)
	defer func() { err = errors.Join(err, s.parts.stop()) }()

	outliveFileSizeLimit()
	s.parts.add("memory", releaseMemory())
	for _, start := range []func() error{
		s.openStore, func() error { return s.deleteUsers(ctx) }, s.openRecovery, s.openModels, s.openLedger, s.openAccounts, s.startWebhooks, s.openPush, s.openTools, s.openTraces,
		s.startRooms,
		s.openConnections, s.openAdmin, s.openAPI, s.startBackups,
	} {
		if err := start(); err != nil {
			return err
		}
	}
	endStrays(ctx, s.accounts, s.rooms)
	s.openControl()
	return s.run(ctx, settings, hangups)
}

// run serves HTTP until ctx ends or serving fails. At each hangup settings are read again.
func (s *server) run(ctx context.Context, settings *Settings, hangups <-chan os.Signal) error {
	listener, err := listen.Open(s.listening())
	if err != nil {
		return err
	}
	ended := s.serveHTTP(listener)
	// Connections are stopped before http, which waits for their polls to end.
	s.parts.add("connections", func(ctx context.Context) error {
		if err := s.connections.Shutdown(ctx); err != nil {
			s.log.Info("cut off clients that did not close their connection")
		}
		return nil
	})
	defer (&reloader{settings: settings, log: s.log, parts: s.reloadable(listener)}).onHangup(ctx, hangups)()
	s.announce(listener)
	watched, unwatch := context.WithCancel(context.Background())
	defer unwatch()
	go listen.Watch(watched, s.rooms.Alive)
	select {
	case <-ctx.Done():
		s.drain(listener)
		return nil
	case err := <-ended:
		return fmt.Errorf("serve http: %w", err)
	}
}

// serveHTTP serves until its part is stopped. When serving ends, ended receives why.
func (s *server) serveHTTP(listener net.Listener) (ended <-chan error) {
	timeout := s.PingInterval + s.PingTimeout + requestTimeout
	server := &http.Server{
		Handler: requests.Handler(s.requestLog(), front(s.Settings, s.handler())), ReadTimeout: timeout, WriteTimeout: timeout,
		ReadHeaderTimeout: readHeaderTimeout, IdleTimeout: httpIdleTimeout, MaxHeaderBytes: maxHeaderBytes,
		ConnState: s.newcomers.note,
		ErrorLog:  slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	s.parts.add("http", func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, closeTimeout)
		defer cancel()
		if err := server.Shutdown(ctx); err != nil {
			s.log.Info("cut off requests that did not end")
			return server.Close()
		}
		return nil
	})
	return served
}

// announce tells the operator and systemd that the server takes requests.
func (s *server) announce(listener *listen.Listener) {
	for _, warning := range s.Warnings() {
		s.log.Warn(warning)
	}
	if s.Development() {
		s.log.Warn("development mode: no jwt-secret or other key, so everybody is who they say they are and all chats are shared, on this computer only")
	}
	s.log.Info("listening on " + listener.URL())
	listen.Ready()
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
