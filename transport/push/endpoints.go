package push

import (
	"encoding/json"
	"net/http"

	"github.com/SherClockHolmes/webpush-go"

	"parlor/protocol/chat"
	"parlor/transport/api"
)

// maxBody limits the body of a request, in bytes.
const maxBody = 8 << 10

var errOff = chat.Refuse(chat.CodeNotFound, "nobody is told anything by Web Push here: the setting push-contact is not set")

// Routes are what browsers ask for, by "METHOD /path". A nil Service refuses everything.
func (s *Service) Routes() map[string]handler {
	routes := map[string]handler{
		"GET /push/key": s.key, "POST /push/subscriptions": s.subscribe, "DELETE /push/subscriptions": s.unsubscribe,
	}
	if s == nil {
		for name := range routes {
			routes[name] = func(http.ResponseWriter, *http.Request, chat.SignIn) error { return errOff }
		}
	}
	return routes
}

func (s *Service) key(w http.ResponseWriter, _ *http.Request, _ chat.SignIn) error {
	return api.Answer(w, map[string]string{"public_key": s.Key()})
}

// subscribe takes what PushSubscription.toJSON returns in browsers.
func (s *Service) subscribe(w http.ResponseWriter, r *http.Request, in chat.SignIn) error {
	var body webpush.Subscription
	if err := read(w, r, &body); err != nil {
		return err
	}
	if err := s.Subscribe(r.Context(), in, body); err != nil {
		return err
	}
	return api.Answer(w, map[string]string{"message": "Subscribed"})
}

func (s *Service) unsubscribe(w http.ResponseWriter, r *http.Request, in chat.SignIn) error {
	var body webpush.Subscription
	if err := read(w, r, &body); err != nil {
		return err
	}
	if err := s.Unsubscribe(in, body.Endpoint); err != nil {
		return err
	}
	return api.Answer(w, map[string]string{"message": "Unsubscribed"})
}

func read(w http.ResponseWriter, r *http.Request, into *webpush.Subscription) error {
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(into); err != nil {
		return chat.Refuse(chat.CodeInvalid, "the request body must be a subscription, as browsers make it: {endpoint, keys: {p256dh, auth}}")
	}
	return nil
}
