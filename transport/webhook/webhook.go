// Package webhook sends events to endpoints as Standard Webhooks has it
// (https://www.standardwebhooks.com).
//
//	Message → JSON body → signature of each secret → POST → outbound.Client
package webhook

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"parlor/protocol/chat"
	"parlor/transport/outbound"
)

// A Config is a webhook as operators define it.
type Config struct {
	Name      string        `json:"name"`
	URL       string        `json:"url"`
	SecretVar string        `json:"secret_var"` // names the variable with the secret, or with two of them
	Events    []string      `json:"events"`
	Chats     []chat.ID     `json:"chats,omitempty"`
	Users     []chat.UserID `json:"users,omitempty"`
}

// MaxNameLen limits the name of a webhook, in bytes.
const MaxNameLen = 32

// Validate returns what is wrong with a list of webhooks, of which an event has to be one of
// events.
func Validate(all []Config, events []string) error {
	var faults []error
	names := make(map[string]bool)
	for i, c := range all {
		fault := c.fault(events)
		if fault == "" && names[c.Name] {
			fault = fmt.Sprintf(".name: there is another %q", c.Name)
		}
		names[c.Name] = true
		if fault != "" {
			faults = append(faults, fmt.Errorf("webhooks[%d]%s", i, fault))
		}
	}
	return errors.Join(faults...)
}

func (c Config) fault(events []string) string {
	u, err := url.Parse(c.URL)
	switch {
	case c.Name == "" || len(c.Name) > MaxNameLen || strings.Trim(strings.ToLower(c.Name), "abcdefghijklmnopqrstuvwxyz0123456789-_") != "":
		return fmt.Sprintf(".name: must be 1 to %d letters, digits, - and _", MaxNameLen)
	case err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil:
		return fmt.Sprintf(".url: %q must be an absolute URL, https://… or, to private-targets, http://…", c.URL)
	case c.SecretVar == "":
		return ".secret_var: must name the environment variable that holds the secret"
	case len(c.Events) == 0:
		return ".events: must name one or more of " + strings.Join(events, ", ")
	}
	for _, name := range c.Events {
		if !slices.Contains(events, name) {
			return fmt.Sprintf(".events: there is no %q; there are %s", name, strings.Join(events, ", "))
		}
	}
	return ""
}

// secretPrefix begins every secret.
const secretPrefix = "whsec_"

// ParseSecrets reads one secret, or two with a space in between: the next one and the one
// before, while endpoints change over.
func ParseSecrets(text string) (secrets [][]byte, err error) {
	for _, word := range strings.Fields(text) {
		encoded, ok := strings.CutPrefix(word, secretPrefix)
		secret, err := base64.StdEncoding.DecodeString(encoded)
		if !ok || err != nil || len(secret) < 24 || len(secret) > 64 {
			return nil, errors.New("a secret must be whsec_ and 24 to 64 bytes in base64, such as whsec_$(openssl rand -base64 32)")
		}
		secrets = append(secrets, secret)
	}
	if len(secrets) == 0 || len(secrets) > 2 {
		return nil, errors.New("must be one secret, or two with a space in between")
	}
	return secrets, nil
}

// A Message is one event for an endpoint.
type Message struct {
	ID    string
	Event string
	At    time.Time
	Chat  chat.ID
	Room  chat.RoomID
	Seq   uint64
	Body  json.RawMessage
}

// body is what endpoints are sent.
type body struct {
	Type      string          `json:"type"`
	Timestamp string          `json:"timestamp"`
	Chat      chat.ID         `json:"chat_id"`
	Room      chat.RoomID     `json:"room_id"`
	Seq       uint64          `json:"seq"`
	Data      json.RawMessage `json:"data"`
}

// An Endpoint is where the events of a webhook go.
type Endpoint struct {
	URL     string
	Secrets [][]byte
	Client  *outbound.Client
}

// Send sends a message once. Every answer but a success is an error.
func (e *Endpoint) Send(ctx context.Context, m Message) error {
	text, err := json.Marshal(body{m.Event, chat.Timestamp(m.At), m.Chat, m.Room, m.Seq, m.Body})
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, e.URL, bytes.NewReader(text))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "parlor")
	Sign(r.Header, e.Secrets, m.ID, time.Now(), text)
	return e.Client.Send(ctx, r)
}

// Sign sets the headers that show who has sent a body, and when: one signature for each secret.
func Sign(h http.Header, secrets [][]byte, id string, at time.Time, body []byte) {
	timestamp := strconv.FormatInt(at.Unix(), 10)
	h.Set("webhook-id", id)
	h.Set("webhook-timestamp", timestamp)
	h.Set("webhook-signature", signatures(secrets, id, timestamp, body))
}

func signatures(secrets [][]byte, id, timestamp string, text []byte) string {
	var all []string
	for _, secret := range secrets {
		mac := hmac.New(sha256.New, secret)
		fmt.Fprintf(mac, "%s.%s.%s", id, timestamp, text)
		all = append(all, "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	}
	return strings.Join(all, " ")
}
