package main

import (
	"context"
	"strings"

	"parlor/actors/room"
	"parlor/protocol/chat"
	"parlor/transport/api"
	"parlor/transport/outbound"
	"parlor/transport/push"
)

// openPush opens nothing if nobody is told anything by push.
func (s *server) openPush() error {
	if s.PushContact == "" {
		return nil
	}
	targets, err := outbound.ParseTargets(s.PrivateTargets)
	if err != nil {
		return err
	}
	client := outbound.NewClient(targets, s.WebhookTimeout)
	s.pushes, err = push.Open(push.Options{
		Store: s.store, SignIns: s.verifier, Client: client, Contact: s.PushContact, PrivateKey: string(s.VAPIDPrivateKey),
		MaxPerUser: s.MaxPushSubscriptions, Logger: s.log,
	})
	if err != nil {
		return err
	}
	s.parts.add("push", func(context.Context) error { s.pushes.Close(); client.Close(); return nil })
	return nil
}

func pushRoutes(pushes *push.Service) map[string]api.Handler {
	routes := make(map[string]api.Handler)
	for name, h := range pushes.Routes() {
		routes[name] = h
	}
	return routes
}

// pushEnds returns what pushes the end of long answers to those who have left. It is nil if
// there are no pushes.
func (s *server) pushEnds() func(room.Ended) {
	if s.pushes == nil {
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
				s.pushes.Notify(u, m)
			}
		}
	}
}

// pushAsked returns what pushes to those who have left that a call of a tool waits for
// approval. It is nil if there are no pushes.
func (s *server) pushAsked() func(room.Asked) {
	if s.pushes == nil {
		return nil
	}
	return func(a room.Asked) {
		m := push.Message{Type: "approval", Chat: a.Chat.ID, State: chat.StateWaiting}
		if s.PushContent == "on" {
			m.Title, m.Body = opening(a.Chat.Title), opening(a.Tool)
		}
		for _, u := range a.Away {
			s.pushes.Notify(u, m)
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
