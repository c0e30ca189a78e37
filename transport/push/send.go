package push

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/SherClockHolmes/webpush-go"

	"parlor/protocol/chat"
	"parlor/transport/outbound"
)

// A Message is what a browser is told. It is encrypted for that browser.
type Message struct {
	Type  string     `json:"type"` // "answer", or "approval" if a call of a tool waits for one
	Chat  chat.ID    `json:"chat_id"`
	State chat.State `json:"state"`
	Title string     `json:"title,omitempty"` // of the chat
	Body  string     `json:"body,omitempty"`  // the beginning of the answer, or the tool
}

// MaxBody limits the Title and the Body of a message, in bytes, and maxPayload a message as
// JSON: push services take 4 KiB with what encryption adds.
const (
	MaxBody    = 1 << 10
	maxPayload = 3900
)

// How long a push service keeps a message for a browser that is not there, and how often and
// when it is asked again if it fails.
const (
	timeToLive  = 24 * time.Hour
	maxAttempts = 4
	retryDelay  = 5 * time.Second
	maxPause    = 5 * time.Minute
)

// A delivery is a message on its way to one browser.
type delivery struct {
	subscription string
	message      Message
	attempt      int
}

// Notify tells a message to all browsers of the user that have subscribed. It does not
// block: what finds no place in the queue is dropped.
func (s *Service) Notify(u chat.UserID, m Message) {
	s.mu.Lock()
	subs := s.ofLocked(u)
	s.mu.Unlock()
	for _, sub := range subs {
		s.enqueue(delivery{subscription: sub.ID, message: m})
	}
}

func (s *Service) enqueue(d delivery) {
	select {
	case s.queue <- d:
	default:
		s.Logger.Warn("push: too much waits to be sent, a message is dropped", "chat", d.message.Chat)
	}
}

func (s *Service) run() {
	for {
		select {
		case d := <-s.queue:
			s.send(d)
		case <-s.ctx.Done():
			return
		}
	}
}

// send tells one message, or has that done again later.
func (s *Service) send(d delivery) {
	s.mu.Lock()
	sub := s.all[d.subscription]
	s.mu.Unlock()
	if sub == nil {
		return
	}
	if !s.SignIns.Live(sub.signIn()) {
		s.remove(sub.ID)
		return
	}
	err := s.post(sub, d.message)
	var status *outbound.StatusError
	answered := errors.As(err, &status)
	switch {
	case err == nil || s.ctx.Err() != nil:
	case answered && (status.Status == http.StatusNotFound || status.Status == http.StatusGone):
		s.remove(sub.ID)
	case answered && status.Status < 500 && status.Status != http.StatusTooManyRequests, errors.Is(err, outbound.ErrPrivate), d.attempt+1 >= maxAttempts:
		s.Logger.Warn("push: a message was not taken", "host", hostOf(sub.Endpoint), "err", err)
	default:
		pause := retryDelay << (2 * d.attempt)
		if answered {
			pause = max(pause, min(status.RetryAfter, maxPause))
		}
		d.attempt++
		time.AfterFunc(pause, func() {
			if s.ctx.Err() == nil {
				s.enqueue(d)
			}
		})
	}
}

// post encrypts a message and sends it once.
func (s *Service) post(sub *subscription, m Message) error {
	text, err := json.Marshal(m)
	if len(text) > maxPayload { // much of it was escaped
		m.Title, m.Body = "", ""
		text, err = json.Marshal(m)
	}
	if err != nil {
		return err
	}
	var answer error
	_, err = webpush.SendNotificationWithContext(s.ctx, text, &sub.Subscription, &webpush.Options{
		HTTPClient: sender(func(r *http.Request) error { answer = s.Client.Send(r.Context(), r); return answer }),
		Subscriber: strings.TrimPrefix(s.Contact, "mailto:"), TTL: int(timeToLive / time.Second),
		Urgency: webpush.UrgencyNormal, Topic: s.topicOf(m.Chat), VAPIDPublicKey: s.public, VAPIDPrivateKey: s.private,
	})
	return err
}

// topicOf makes a message replace those of the same chat that wait. It may be 32 bytes long.
// The key is in it so that push services cannot look for the chat.
func (s *Service) topicOf(id chat.ID) string {
	sum := sha256.Sum256([]byte(s.private + "\x00" + string(id)))
	return base64.RawURLEncoding.EncodeToString(sum[:24])
}

// A sender makes an HTTP client of a function.
type sender func(*http.Request) error

// Do implements [webpush.HTTPClient].
func (f sender) Do(r *http.Request) (*http.Response, error) {
	if err := f(r); err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: http.StatusCreated, Body: http.NoBody}, nil
}

// hostOf is as much of an endpoint as may be logged.
func hostOf(endpoint string) string {
	_, rest, _ := strings.Cut(endpoint, "://")
	host, _, _ := strings.Cut(rest, "/")
	return host
}
