package main

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"slices"
	"time"

	"parlor/actors/access"
	"parlor/actors/chats"
	"parlor/actors/conversation"
	"parlor/actors/ledger"
	"parlor/actors/queries"
	"parlor/actors/recovery"
	"parlor/actors/retention"
	"parlor/actors/room"
	"parlor/actors/title"
	"parlor/persistence"
	"parlor/protocol/chat"
	"parlor/transport/auth"
	"parlor/transport/pdf"
	"parlor/transport/provider"
	"parlor/transport/provider/eliza"
	"parlor/transport/provider/guard"
	"parlor/transport/provider/realtime"
	"parlor/transport/provider/upstream"
)

func openStore(s *Settings, log *slog.Logger, committed func(int, time.Duration, error), synced func(time.Duration)) (*persistence.Store, error) {
	return withKeys(s, func(ring persistence.KeyRing) (*persistence.Store, error) {
		return persistence.Open(s.Data, persistence.Options{
			Charges: conversation.Charges, MessageID: conversation.MessageID, Logger: log, Committed: committed, Synced: synced, Keys: ring,
			Quota: persistence.Quota{Chats: s.MaxChatsPerUser, Bytes: int64(s.MaxBytesPerUser), Folders: s.MaxFoldersPerUser, Pinned: s.MaxPinnedPerUser},
		})
	})
}

func (s *server) openStore() (err error) {
	committed := func(requests int, took time.Duration, err error) {
		s.numbers.Committed(requests, took, err)
		s.health.committed(err)
	}
	if s.store, err = openStore(&s.Settings, s.log, committed, s.numbers.Synced); err != nil {
		return err
	}
	s.keysFrom.Store(&s.Settings)
	s.parts.add("event log", func(context.Context) error { return s.store.Close() })
	return nil
}

// openRecovery opens nothing if connection state recovery is switched off.
func (s *server) openRecovery() (err error) {
	if s.RecoveryWindow == 0 {
		return nil
	}
	s.seats, err = recovery.Open(recovery.Options{Store: s.store, Logger: s.log, Window: s.RecoveryWindow, MaxSeats: s.MaxSessions, MaxSeatsPerUser: s.MaxSessionsPerUser})
	if err != nil {
		return err
	}
	s.parts.add("recovery", func(context.Context) error { s.seats.Close(); return nil })
	return nil
}

// openModels makes the assistants. A key comes from the environment variable that
// its model or provider names. OpenAI's key may also be a setting.
func (s *server) openModels() (err error) {
	if !s.ModelsOnly && !s.Development() {
		s.log.Warn("models-only is off: whoever signs in may ask any model of every provider that can be reached, on your keys")
	}
	if s.models, err = provider.NewCurrent(s.modelOptions(&s.Settings)); err != nil {
		return err
	}
	s.parts.add("providers", func(context.Context) error { return s.models.Close() })
	return nil
}

// modelOptions are the settings about models and their providers.
func (s *server) modelOptions(v *Settings) provider.Options {
	settings := map[string]string{"OPENAI_API_KEY": string(v.OpenAIAPIKey), "OPENAI_BASE_URL": v.OpenAIBaseURL}
	return provider.Options{
		Models: v.Models, Providers: v.Providers, ModelsOnly: v.ModelsOnly, Listen: cmp.Or(s.address, v.Listen), Logger: s.log,
		Discover: v.Discover, DiscoverEvery: v.DiscoverEvery, DiscoverTimeout: v.DiscoverTimeout, DiscoverLimit: v.DiscoverLimit,
		LookupEnv: func(name string) (string, bool) {
			if v, ok := settings[name]; ok {
				return v, v != ""
			}
			return os.LookupEnv(name)
		},
		Thinking: v.ThinkingTimeout,
		Upstream: upstream.Options{Connect: v.ProviderTimeout, FirstToken: v.FirstTokenTimeout, KeptAlive: v.KeepAliveTimeout, Silence: v.SilenceTimeout},
		Realtime: realtime.Options{
			Connect: v.ProviderTimeout, FirstToken: v.FirstTokenTimeout, Silence: v.SilenceTimeout, MaxAge: v.RealtimeMaxAge, Transcription: v.RealtimeTranscription, Voice: v.RealtimeVoice,
		},
		Eliza: eliza.Options{Delay: cmp.Or(v.ElizaWordDelay, -1)},
		Guard: guard.Options{
			Streams: v.MaxStreams, Wait: v.FirstTokenTimeout,
			Retries: cmp.Or(v.Retries, -1), RetryDelay: v.RetryDelay, RetryBudget: cmp.Or(v.RetryBudget, -1),
			Failures: cmp.Or(v.BreakerFailures, -1), FailureSpan: v.BreakerWindow, CoolDown: v.BreakerCoolDown,
			Metrics: s.guards,
		},
	}
}

// openLedger opens what is left of the budgets.
func (s *server) openLedger() (err error) {
	s.budgets, err = ledger.New(named(s.Budgets), s.store.Charges(0, persistence.EndOfHours), s.models.Identity)
	return err
}

// named returns the budgets with the names of providers as models have them.
func named(budgets []ledger.Budget) []ledger.Budget {
	budgets = slices.Clone(budgets)
	for i := range budgets {
		budgets[i].Provider = provider.Name(budgets[i].Provider)
	}
	return budgets
}

func (s *server) openAccounts() (err error) {
	if s.accounts, err = auth.OpenAccounts(s.Settings.accounts(s.store, s.log)); err != nil {
		return err
	}
	options := s.auth()
	options.Logger, options.Accounts = s.log, s.accounts
	s.verifier = auth.New(options)
	s.parts.add("credentials", func(context.Context) error { s.verifier.Close(); return nil })
	return nil
}

func (s *server) startRooms() (err error) {
	s.warnOfModels(&s.Settings)
	reads := queries.Reads{AtOnce: s.MaxReads, PerUser: s.MaxReadsPerUser, Waiting: s.MaxWaitingReads, SearchBytes: int(s.MaxSearchBytes)}
	if s.rooms, err = chats.Start(s.actors, logOfRooms(s.store), s.roomOptions(), reads); err != nil {
		return err
	}
	s.parts.add("rooms", s.rooms.Close)
	s.parts.add("links", handOverChats(s.accounts, s.rooms, s.log))
	keeper := retention.Start(retention.Options{Log: s.store, Rooms: s.rooms, Logger: s.log, Limits: &s.retained, For: s.RetainFor, Bytes: int64(s.RetainBytes)})
	s.parts.add("retention", func(context.Context) error { keeper.Close(); return nil })
	return nil
}

func (s *server) roomOptions() room.Options {
	return room.Options{
		Models: s.models, Provider: s.asked(), Tools: s.called(), Encoders: encoders(), Logger: s.log, Access: access.Policy{Shared: s.verifier.Development()}, SystemPrompt: s.SystemPrompt,
		Ledger: s.budgets, Currency: s.Currency, ContextWindow: s.ContextWindow, FileShare: s.FileShare,
		PDF: s.pdfReader(), MaxFileBytes: int64(s.MaxFileBytes), MaxImageBytes: int64(s.MaxImageBytes), MaxFiles: s.MaxFilesPerChat, MaxMessageFiles: s.MaxMessageFiles,
		Titles: title.Policy{
			On: s.Titles == "on", Model: s.TitleModel,
			Able: func(m chat.Model) bool { return m.Provider != provider.ProviderEliza },
		},
		MaxMessageBytes: int(s.MaxMessageBytes), MaxAnswerBytes: int(s.MaxAnswerBytes), MaxQueuedTurns: s.MaxQueuedTurns, MaxMembers: s.MaxMembers, MaxBranches: s.MaxBranches, MaxListed: s.MaxListedMembers, MaxAwake: cmp.Or(s.MaxRoomsPerUser, math.MaxInt),
		TurnPolicy: chat.Policy(s.TurnPolicy), TurnTimeout: s.TurnTimeout, IdleTimeout: s.RoomIdleTimeout,
		ApprovalExpiry: s.ApprovalExpiry, PageGrace: s.ClientToolGrace,
		LineIdle: s.RealtimeIdleTimeout, HearTimeout: s.TranscriptTimeout,
		MaxAttempts: s.MaxAttempts, CheckpointEvery: s.CheckpointEvery, MaxRestarts: s.MaxRestarts,

		Meter:  s.numbers,
		Tracer: s.tracer(),
		Activity: func(a room.Activity) {
			s.hooks.Note(a.Chat.Room)
			s.retained.Note(a.Chat)
		},
		Ended:    s.pushEnds(),
		Asked:    s.pushAsked(),
		Departed: func(guest chat.UserID) { go s.accounts.EndGuest(guest) }, // it waits for the disk
	}
}

// pdfReader reads PDF files, or is nil if they are refused.
func (s *Settings) pdfReader() room.PDF {
	if s.PDFTimeout == 0 {
		return nil
	}
	o := pdf.Options{Timeout: s.PDFTimeout, Memory: int64(s.PDFMemory), AtOnce: s.MaxPDFReaders}
	if caches, err := os.UserCacheDir(); err == nil {
		o.Cache = filepath.Join(caches, "parlor")
	}
	return pdf.New(o)
}

// warnOfModels logs which settings name a model that cannot be asked.
func (s *server) warnOfModels(v *Settings) {
	if why := s.models.Refusal(v.TitleModel); v.TitleModel != "" && why != nil {
		s.log.Warn("title-model: "+why.Message+"; chats get their first words as title", "model", v.TitleModel)
	}
	for i, b := range named(v.Budgets) {
		if b.Provider != "" && b.Provider != "*" && !s.models.Reaches(b.Provider) {
			s.log.Warn(fmt.Sprintf("budgets[%d]: there is no such provider, or it cannot be asked; as it is the budget limits nothing", i), "provider", b.Provider)
		}
		if b.Model == "" || b.Model == "*" {
			continue
		}
		if why := s.models.Refusal(chat.ModelID(b.Model)); why != nil {
			s.log.Warn(fmt.Sprintf("budgets[%d]: %s; as it is the budget limits nothing", i, why.Message), "model", b.Model)
		}
	}
}
