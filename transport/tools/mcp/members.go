package mcp

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"parlor/protocol/chat"
	"parlor/transport/tools"
)

// Limits of the sessions of members with a server.
const (
	maxSessions = 200              // of a server
	sessionIdle = 10 * time.Minute // without a call, until it ends
)

// Members is the state of a server to which members sign in.
const Members State = "members"

// members keep a session with a server for each member who uses it, with the member's own
// sign-in. All of them are offered the tools that the server has listed last to one of them.
type members struct {
	name   string
	config Config
	grants Grants
	put    func(server string, list []tools.Tool)
	log    *slog.Logger
	ctx    context.Context // ends with [Servers.Close]

	running sync.WaitGroup

	mu     sync.Mutex
	all    map[chat.UserID]*member
	tools  int
	tokens int
}

// A member is the session of one.
type member struct {
	*server
	stop  context.CancelFunc
	calls int // that run
	used  time.Time
	idle  *time.Timer
}

func newMembers(ctx context.Context, name string, c Config, g Grants, put func(string, []tools.Tool), log *slog.Logger) *members {
	return &members{name: name, config: c, grants: g, put: put, log: log, ctx: ctx, all: make(map[chat.UserID]*member)}
}

// start has the tools listed to somebody who has signed in.
func (m *members) start() {
	if !m.learn() {
		m.invite()
	}
}

// invite offers, in the place of tools that are not known, one that says how to sign in.
func (m *members) invite() {
	m.put(m.name, []tools.Tool{{
		Tool: chat.Tool{
			Name:        m.name + "/sign_in",
			Description: fmt.Sprintf("Says how a person signs in to %s, which has other tools then.", m.name),
			Schema:      json.RawMessage(`{"type":"object","properties":{}}`),
		},
		Approval: chat.ApprovalNever,
		Run:      func(context.Context, chat.ToolRun, func()) (string, error) { return "", m.refusal() },
	}})
}

// learn begins a session of the member who has signed in last, and reports whether there is
// one.
func (m *members) learn() bool {
	user := m.grants.Latest(m.name)
	if user == "" {
		return false
	}
	one, err := m.enter(user)
	if err == nil {
		m.leave(one)
	}
	return err == nil
}

// refusal tells a person what to do.
func (m *members) refusal() error { return chat.Refuse(chat.CodeForbidden, "not run: "+m.how()) }

func (m *members) how() string {
	return fmt.Sprintf("whoever asks has to sign in to %s first, at the address %s of this server", m.name, LoginPath(m.name))
}

// LoginPath is where a member signs in to a server, below the address of this one.
func LoginPath(server string) string { return "/api/v1/tools/accounts/" + server + "/login" }

// within is a [caller], each of whose users has a session.
func (m *members) within(ctx context.Context, user chat.UserID, do func(*session) error) error {
	if !m.grants.Has(m.name, user) {
		return m.refusal()
	}
	one, err := m.enter(user)
	if err != nil {
		return err
	}
	defer m.leave(one)
	return one.ofAll(ctx, user, do)
}

// enter returns the session of a member, which begins if there is none.
func (m *members) enter(user chat.UserID) (*member, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	one := m.all[user]
	if one == nil {
		if len(m.all) >= maxSessions && !m.makeRoom() {
			return nil, chat.Refuse(chat.CodeBusy, fmt.Sprintf("not run: too many people use %s at the moment", m.name))
		}
		one = m.begin(user)
	}
	one.calls++
	if one.idle != nil {
		one.idle.Stop()
	}
	return one, nil
}

func (m *members) begin(user chat.UserID) *member {
	ctx, stop := context.WithCancel(m.ctx)
	token := func(ctx context.Context, refused string) (string, error) {
		return m.grants.Token(ctx, m.name, user, refused)
	}
	open := func() (link, error) { return newRemote(m.config, token), nil }
	one := &member{server: newServer(ctx, m.name, m.config, open, m.listed, m.log.With("user", user)), stop: stop}
	one.signIn, one.server.within = m.how(), m.within
	m.all[user] = one
	m.running.Go(one.run)
	return one
}

func (m *members) leave(one *member) {
	m.mu.Lock()
	defer m.mu.Unlock()
	one.calls--
	one.used = time.Now()
	if one.calls == 0 {
		one.idle = time.AfterFunc(sessionIdle, func() { m.drop(one) })
	}
}

// drop ends a session that is not in use.
func (m *members) drop(one *member) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if one.calls == 0 {
		m.remove(one)
	}
}

// remove ends a session. Calls that run in it fail. The caller holds m.mu.
func (m *members) remove(one *member) {
	for user, other := range m.all {
		if other == one {
			delete(m.all, user)
		}
	}
	if one.idle != nil {
		one.idle.Stop()
	}
	one.stop()
}

// makeRoom ends the session that was used least recently, and reports whether there is one.
func (m *members) makeRoom() bool {
	var oldest *member
	for _, one := range m.all {
		if one.calls == 0 && (oldest == nil || one.used.Before(oldest.used)) {
			oldest = one
		}
	}
	if oldest != nil {
		m.remove(oldest)
	}
	return oldest != nil
}

// listed takes the tools that the server has listed to a member.
func (m *members) listed(name string, list []tools.Tool) {
	if len(list) == 0 { // it was not connected, or the next member may see more
		m.mu.Lock()
		known := m.tools > 0
		m.mu.Unlock()
		if !known {
			m.invite()
		}
		return
	}
	tokens := 0
	for _, t := range list {
		tokens += Tokens(t.Tool)
	}
	m.mu.Lock()
	m.tools, m.tokens = len(list), tokens
	m.mu.Unlock()
	m.put(name, list)
}

// signedIn begins the session of a member anew, with what the member has granted.
func (m *members) signedIn(user chat.UserID) {
	m.mu.Lock()
	if one := m.all[user]; one != nil {
		m.remove(one)
	}
	m.mu.Unlock()
	if m.grants.Has(m.name, user) {
		m.learn()
	}
}

func (m *members) status() Status {
	m.mu.Lock()
	defer m.mu.Unlock()
	return Status{Server: m.name, State: Members, Tools: m.tools, Tokens: m.tokens, Members: len(m.all)}
}
