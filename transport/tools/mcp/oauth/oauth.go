// Package oauth signs in to servers of tools that ask for it, and keeps what comes of that.
//
//	Begin → the address of an authorization server → a person → Complete → grant, on the disk
//	                                                                         ↓
//	                                                      Token, which refreshes it → requests
//
// A grant belongs to one server and one member, or to the operator, whose grant serves all.
// The SDK finds out whom to ask, and whom a server may name; what it is told is asked by a
// client that keeps out of private networks.
package oauth

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"golang.org/x/oauth2"

	"parlor/protocol/chat"
	"parlor/transport/durable"
	"parlor/transport/outbound"
)

// A Server is one that may ask for a sign-in.
type Server struct {
	URL     string
	Members bool // each member signs in; otherwise the operator does, for all

	// The client that this server is to an authorization server, if somebody has registered
	// it there. Otherwise it registers itself.
	ClientID, ClientSecret string

	Scopes []string // to ask for. Empty asks for those that the server names
}

// Options configure [Grants]. Store has no default.
type Options struct {
	Servers map[string]Server
	Store   durable.Store

	// Targets are the private addresses that may be asked. Besides, a server may name
	// authorization servers on its own host.
	Targets outbound.Targets

	// Secret seals what is stored. Empty means one that the store keeps.
	Secret []byte

	// Changed is called when somebody has signed in to a server or has revoked that; the
	// user is empty if it was the operator. It must not block. Nil is not called.
	Changed func(server string, user chat.UserID)

	Logger *slog.Logger // nil discards
}

// Limits.
const (
	askTimeout  = 15 * time.Second // of one request
	loginTTL    = 10 * time.Minute // between Begin and Complete
	maxLogins   = 1000             // that are under way
	maxPerUser  = 10               // of them, of one user
	early       = 10 * time.Second // before a token expires it is refreshed
	maxReason   = 300              // bytes of what others say is wrong
	maxScopes   = 2 << 10          // bytes of what is asked for
	maxToken    = 16 << 10         // bytes of each token
	maxClient   = 2 << 10          // bytes of the name of a client, and of its secret
	keyOfSecret = "mcp-secret"
	keyOfGrants = "mcp-grant/"
)

// Grants are those of all servers and members. They may be used from any goroutine.
type Grants struct {
	Options
	seal sealer

	replacing sync.Mutex // held by those who put a new grant on the disk; locked before mu

	mu     sync.Mutex
	all    map[id]*held
	logins map[string]*login // by state
	newest []string          // their states, in order
}

// An id says whose grant it is, and for what.
type id struct {
	Server string      `json:"server"`
	User   chat.UserID `json:"user_id,omitempty"` // empty: the operator's
}

// key is where the store has it. It tells nothing of either.
func (i id) key() string {
	sum := sha256.Sum256([]byte(i.Server + "\x00" + string(i.User)))
	return keyOfGrants + base64.RawURLEncoding.EncodeToString(sum[:])
}

// A grant is what an authorization server has granted, and where it is renewed.
type grant struct {
	id
	Resource  string    `json:"resource"` // the URL of the server, for which alone it is good
	Issuer    string    `json:"issuer"`
	Client    client    `json:"client"`
	TokenURL  string    `json:"token_url"`
	RevokeURL string    `json:"revoke_url,omitempty"`
	Scopes    []string  `json:"scopes,omitempty"`
	Since     time.Time `json:"since"`
	Access    string    `json:"access"`
	Refresh   string    `json:"refresh,omitempty"`
	Expires   time.Time `json:"expires,omitzero"`
}

// A client is this server as an authorization server knows it.
type client struct {
	ID       string           `json:"id"`
	Secret   string           `json:"secret,omitempty"`
	Style    oauth2.AuthStyle `json:"style,omitempty"`
	Redirect string           `json:"redirect"`
}

// A held grant is refreshed by one at a time.
type held struct {
	turn chan struct{} // has room for whoever uses the grant
	grant
}

// Open reads what the store has.
func Open(o Options) (*Grants, error) {
	o.Logger = cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	if o.Changed == nil {
		o.Changed = func(string, chat.UserID) {}
	}
	g := &Grants{Options: o, all: make(map[id]*held), logins: make(map[string]*login)}
	sealed := make(map[string][]byte)
	err := o.Store.EachAccount(func(key string, value []byte) {
		switch {
		case key == keyOfSecret && len(o.Secret) == 0:
			g.Secret = value
		case strings.HasPrefix(key, keyOfGrants):
			sealed[key] = value
		}
	})
	if err != nil {
		return nil, fmt.Errorf("read who has signed in to servers of tools: %w", err)
	}
	if len(g.Secret) == 0 {
		g.Secret = newSecret()
		if err := durable.Wait(context.Background(), func(done func(error)) { o.Store.PutAccount(keyOfSecret, g.Secret, done) }); err != nil {
			return nil, err
		}
	}
	if g.seal, err = newSealer(g.Secret); err != nil {
		return nil, err
	}
	for key, value := range sealed {
		g.load(key, value)
	}
	return g, nil
}

func (g *Grants) load(key string, value []byte) {
	var one grant
	text, err := g.seal.open(key, value)
	if err == nil {
		err = json.Unmarshal(text, &one)
	}
	if err != nil {
		g.Logger.Warn("a sign-in to a server of tools cannot be read, and has to be made again: the secret may be another one now", "err", err)
		return
	}
	g.all[one.id] = hold(one)
}

func hold(one grant) *held { return &held{turn: make(chan struct{}, 1), grant: one} }

// keep puts a grant on the disk.
func (g *Grants) keep(ctx context.Context, one grant) error {
	text, err := json.Marshal(one)
	if err != nil {
		return err
	}
	key := one.key()
	return durable.Wait(ctx, func(done func(error)) { g.Store.PutAccount(key, g.seal.close(key, text), done) })
}

// client asks what the server has named: nothing private but its own host.
func (g *Grants) client(s Server) *http.Client {
	return g.Targets.Beside(s.URL, askTimeout)
}
