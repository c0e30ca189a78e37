package main

import (
	"context"
	"log/slog"
	"strings"

	"parlor/actors/room"
	"parlor/actors/webhook"
	"parlor/persistence"
	"parlor/transport/api"
	"parlor/transport/auth"
	"parlor/transport/outbound"
	"parlor/transport/push"
)

// told are those who are told what happens in rooms without listening.
type told struct {
	hooks  *webhook.Engine
	pushes *push.Service // nil: there are none
}

// openPush returns nil if nobody is told anything by push.
func openPush(s Settings, store *persistence.Store, verifier *auth.Verifier, parts *parts, log *slog.Logger) (*push.Service, error) {
	if s.PushContact == "" {
		return nil, nil
	}
	targets, err := outbound.ParseTargets(s.PrivateTargets)
	if err != nil {
		return nil, err
	}
	client := outbound.NewClient(targets, s.WebhookTimeout)
	pushes, err := push.Open(push.Options{
		Store: store, SignIns: verifier, Client: client, Contact: s.PushContact, PrivateKey: string(s.VAPIDPrivateKey),
		MaxPerUser: s.MaxPushSubscriptions, Logger: log,
	})
	if err != nil {
		return nil, err
	}
	parts.add("push", func(context.Context) error { pushes.Close(); client.Close(); return nil })
	return pushes, nil
}

func pushRoutes(pushes *push.Service) map[string]api.Handler {
	routes := make(map[string]api.Handler)
	for name, h := range pushes.Routes() {
		routes[name] = h
	}
	return routes
}

// ended returns what pushes the end of long answers to those who have left. It is nil if
// there are no pushes.
func (t told) ended(s Settings) func(room.Ended) {
	if t.pushes == nil {
		return nil
	}
	return func(e room.Ended) {
		if e.Took < s.PushAfter {
			return
		}
		m := push.Message{Type: "answer", Chat: e.Chat.ID, State: e.Answer.State}
		if s.PushContent == "on" {
			m.Title, m.Body = opening(e.Chat.Title), opening(e.Answer.Content)
		}
		for _, u := range e.Away {
			if u != e.Answer.By { // who has stopped it knows
				t.pushes.Notify(u, m)
			}
		}
	}
}

// opening returns as much of a text as fits into a push.
func opening(text string) string {
	if len(text) > push.MaxBody {
		text = strings.ToValidUTF8(text[:push.MaxBody], "") + "…"
	}
	return text
}
