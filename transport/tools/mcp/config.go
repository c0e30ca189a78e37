// Package mcp makes the tools of servers of the Model Context Protocol known.
//
//	configuration → Start → server, one for each name, which keeps one session:
//
//	connect → list → Put(tools) ─→ calls, until the session ends ─→ pause ─→ connect again
//	            ↑ the list changes ┘
//
// A server is a process that we start ([process]) or a URL ([remote]). What neither the
// SDK nor a server can be trusted with is done here: stray lines, floods, time, starts
// anew, and processes that nobody would end.
package mcp

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"parlor/protocol/chat"
	"parlor/transport/tools"
)

// Defaults of the times of a [Config].
const (
	DefaultStart = 30 * time.Second
	DefaultList  = 30 * time.Second
	DefaultIdle  = time.Minute
	DefaultTotal = 10 * time.Minute
)

// A Config is a server, as other hosts of the protocol have it in their files: a command
// to start, or a URL.
type Config struct {
	Command string            `yaml:"command" json:"command,omitempty"`
	Args    []string          `yaml:"args" json:"args,omitempty"`
	Env     map[string]string `yaml:"env" json:"env,omitempty"`

	URL     string            `yaml:"url" json:"url,omitempty"`
	Headers map[string]string `yaml:"headers" json:"headers,omitempty"`

	// Auth says who signs in if the server behind the URL asks for that (OAuth): [AuthShared],
	// which is the default, or [AuthMember].
	Auth  string `yaml:"auth" json:"auth,omitempty"`
	OAuth OAuth  `yaml:"oauth" json:"oauth,omitzero"`

	// Approval is that of all tools of the server. Empty asks for all but those that the
	// server says only read.
	Approval chat.Approval `yaml:"approval" json:"approval,omitempty"`

	StartTimeout tools.Duration `yaml:"start_timeout" json:"start_timeout,omitzero"`
	ListTimeout  tools.Duration `yaml:"list_timeout" json:"list_timeout,omitzero"`
	IdleTimeout  tools.Duration `yaml:"idle_timeout" json:"idle_timeout,omitzero"`   // of a call that shows no progress
	TotalTimeout tools.Duration `yaml:"total_timeout" json:"total_timeout,omitzero"` // of a call
}

// The values of [Config.Auth].
const (
	AuthShared = "shared" // the operator, for all
	AuthMember = "member" // each member: a call is made on behalf of the one who has asked
)

// OAuth is what an operator has agreed on with an authorization server.
type OAuth struct {
	ClientID     string   `yaml:"client_id" json:"client_id,omitempty"` // empty: this server registers itself
	ClientSecret string   `yaml:"client_secret" json:"client_secret,omitempty"`
	Scopes       []string `yaml:"scopes" json:"scopes,omitempty"` // to ask for. Empty: those that the server names
}

// SignsIn reports whether somebody may sign in to the server.
func (c Config) SignsIn() bool { return c.URL != "" && !c.authorized() }

// authorized reports whether the configuration has a credential of its own.
func (c Config) authorized() bool {
	for name := range c.Headers {
		if strings.EqualFold(name, "Authorization") {
			return true
		}
	}
	return false
}

var legalName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$`)

// Validate returns all that is wrong with servers.
func Validate(servers map[string]Config) error {
	var wrong []error
	for _, name := range slices.Sorted(maps.Keys(servers)) {
		err := servers[name].validate()
		if !legalName.MatchString(name) {
			err = errors.New("the name must be letters, digits and _.-, at most 64")
		}
		if err != nil {
			wrong = append(wrong, fmt.Errorf("mcp_servers[%q]: %w", name, err))
		}
	}
	return errors.Join(wrong...)
}

func (c Config) validate() error {
	switch {
	case (c.Command == "") == (c.URL == ""):
		return errors.New("must have either a command or a url")
	case c.URL == "" && c.Headers != nil:
		return errors.New("headers: only a url has some")
	case c.Command == "" && (c.Args != nil || c.Env != nil):
		return errors.New("args, env: only a command has some")
	case c.Auth != "" && c.Auth != AuthShared && c.Auth != AuthMember:
		return errors.New("auth: must be shared or member")
	case (c.Auth != "" || c.OAuth.given()) && !c.SignsIn():
		return errors.New("auth, oauth: only a url without a header Authorization has some")
	case c.OAuth.ClientSecret != "" && c.OAuth.ClientID == "":
		return errors.New("oauth: client_secret without a client_id")
	case c.Approval != "" && !c.Approval.Valid():
		return errors.New("approval: must be always, ask or never")
	case c.URL != "":
		if u, err := url.Parse(c.URL); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return errors.New("url: must be absolute, http or https")
		}
	}
	for _, limit := range []struct {
		name string
		d    tools.Duration
	}{{"start_timeout", c.StartTimeout}, {"list_timeout", c.ListTimeout}, {"idle_timeout", c.IdleTimeout}, {"total_timeout", c.TotalTimeout}} {
		if limit.d < 0 {
			return fmt.Errorf("%s: must not be less than 0", limit.name)
		}
	}
	return nil
}

func (o OAuth) given() bool { return o.ClientID != "" || o.ClientSecret != "" || o.Scopes != nil }

// Expanded returns o with the variables in it replaced.
func (o OAuth) Expanded(lookup func(string) (string, bool)) (OAuth, error) {
	values, err := tools.Expand(map[string]string{"client_id": o.ClientID, "client_secret": o.ClientSecret}, lookup)
	o.ClientID, o.ClientSecret = values["client_id"], values["client_secret"]
	if err != nil {
		return o, fmt.Errorf("oauth: %w", err)
	}
	return o, nil
}

// complete returns c with defaults, and with the variables in its headers and its
// environment replaced.
func (c Config) complete(lookup func(string) (string, bool)) (_ Config, err error) {
	c.StartTimeout = cmp.Or(c.StartTimeout, tools.Duration(DefaultStart))
	c.ListTimeout = cmp.Or(c.ListTimeout, tools.Duration(DefaultList))
	c.IdleTimeout = cmp.Or(c.IdleTimeout, tools.Duration(DefaultIdle))
	c.TotalTimeout = cmp.Or(c.TotalTimeout, tools.Duration(DefaultTotal))
	if c.Headers, err = tools.Expand(c.Headers, lookup); err != nil {
		return c, fmt.Errorf("headers: %w", err)
	}
	if c.Env, err = tools.Expand(c.Env, lookup); err != nil {
		return c, fmt.Errorf("env: %w", err)
	}
	return c, nil
}
