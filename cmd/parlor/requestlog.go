package main

import (
	"context"
	"log/slog"
	"time"

	"parlor/actors/chats"
	"parlor/actors/session"
	"parlor/actors/turn"
	"parlor/protocol/chat"
	"parlor/transport/requests"
)

// requestLog is where a line of each request goes, or nil.
func (s *server) requestLog() *slog.Logger {
	if !s.RequestLog {
		return nil
	}
	return s.log
}

// eventDone returns what logs the events of Socket.IO clients that are done, or nil.
func (s *server) eventDone() func(session.Note) {
	if !s.RequestLog {
		return nil
	}
	return func(n session.Note) {
		outcome := n.Outcome
		if outcome == "" {
			outcome = "ok"
		}
		s.log.LogAttrs(context.Background(), slog.LevelInfo, "event", filled(
			slog.String("request", n.Request), slog.String("namespace", n.Namespace), slog.String("event", n.Event), slog.String("outcome", outcome),
			slog.Duration("duration", n.Took), slog.String("user", n.User), slog.String("room", n.Room), slog.String("message", n.Message), slog.String("turn", n.Turn),
		)...)
	}
}

// turnLog logs the turns that end, besides what another tracer does.
type turnLog struct {
	turn.Tracer
	log *slog.Logger
}

// Begin implements [turn.Tracer].
func (l turnLog) Begin(in chat.Info, t chat.Turn) (context.Context, func(chat.TurnEnded)) {
	ctx, traced := l.Tracer.Begin(in, t)
	began := time.Now()
	return ctx, func(end chat.TurnEnded) {
		traced(end)
		if end.State == "" {
			return // the next attempt goes on with it
		}
		reason := string(end.Finish)
		if end.Error != nil {
			reason = string(end.Error.Code)
		}
		l.log.LogAttrs(context.Background(), slog.LevelInfo, "turn", filled(
			slog.String("turn", string(t.ID)), slog.String("chat", string(in.ID)), slog.String("room", string(in.Room)), slog.String("message", string(t.Prompt)),
			slog.String("answer", string(t.MessageID)), slog.String("user", string(t.By)), slog.String("model", string(end.ModelID)),
			slog.String("end", string(end.State)), slog.String("reason", reason), slog.Int("attempt", t.Attempt), slog.Duration("duration", time.Since(began)),
		)...)
	}
}

// filled leaves out texts that are empty.
func filled(attrs ...slog.Attr) []slog.Attr {
	some := attrs[:0]
	for _, a := range attrs {
		if a.Value.Kind() != slog.KindString || a.Value.String() != "" {
			some = append(some, a)
		}
	}
	return some
}

// noted are rooms that note in the line of a request what has come of it.
type noted struct{ *chats.Chats }

// Say is that of [chats.Chats].
func (n noted) Say(ctx context.Context, u chat.User, id chat.ID, m chat.Say) (chat.Said, error) {
	said, err := n.Chats.Say(ctx, u, id, m)
	noteSaid(ctx, id, said)
	return said, err
}

// Edit is that of [chats.Chats].
func (n noted) Edit(ctx context.Context, u chat.User, id chat.ID, m chat.Edit) (chat.Said, error) {
	said, err := n.Chats.Edit(ctx, u, id, m)
	noteSaid(ctx, id, said)
	return said, err
}

// Regenerate is that of [chats.Chats].
func (n noted) Regenerate(ctx context.Context, u chat.User, id chat.ID, a chat.Again) (chat.Queued, error) {
	queued, err := n.Chats.Regenerate(ctx, u, id, a)
	requests.NoteChat(ctx, id)
	requests.Note(ctx, "turn", string(queued.TurnID))
	return queued, err
}

// Stop is that of [chats.Chats].
func (n noted) Stop(ctx context.Context, u chat.User, id chat.ID, s chat.Stop) (chat.Stopped, error) {
	stopped, err := n.Chats.Stop(ctx, u, id, s)
	requests.NoteChat(ctx, id)
	requests.Note(ctx, "turn", string(stopped.TurnID))
	return stopped, err
}

func noteSaid(ctx context.Context, id chat.ID, said chat.Said) {
	requests.NoteChat(ctx, id)
	requests.Note(ctx, "message", string(said.MessageID))
	for _, t := range said.Turns {
		requests.Note(ctx, "turn", string(t)) // the last one, if several models were asked
	}
}
