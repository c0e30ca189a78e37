package mcp

import (
	"context"
	"fmt"
	"time"

	"parlor/protocol/chat"
	"parlor/transport/tools"
)

// tool makes what the registry knows of a tool.
func (s *server) tool(t found) tools.Tool {
	listed := t.Name
	t.Name = s.name + "/" + listed
	approval := s.config.Approval
	if approval == "" && t.readOnly {
		approval = chat.ApprovalNever
	}
	return tools.Tool{
		Tool: t.Tool, Approval: approval,
		Timeout: time.Duration(s.config.TotalTimeout), Idle: time.Duration(s.config.IdleTimeout),
		Run: func(ctx context.Context, r chat.ToolRun, alive func()) (result string, err error) {
			progressed := func(p chat.ToolProgress) {
				alive()
				if r.Progress != nil {
					r.Progress(p)
				}
			}
			err = s.within(ctx, r.User, func(session *session) (err error) {
				alive()
				if t.read != nil {
					result, err = t.read(ctx, session, r.Call.Arguments)
				} else {
					result, err = session.call(ctx, listed, r.Call.Arguments, progressed)
				}
				return err
			})
			return result, err
		},
	}
}

// A caller has something done in a session for a user. If the server has certainly not done
// it, since the session was over, it is done once more in the next session.
type caller func(ctx context.Context, user chat.UserID, do func(*session) error) error

// ofAll is a [caller] whose session is that of all users.
func (s *server) ofAll(ctx context.Context, _ chat.UserID, do func(*session) error) error {
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	case <-ctx.Done():
		return ctx.Err()
	}
	for again := false; ; again = true {
		session, err := s.current(ctx)
		if err != nil {
			return err
		}
		switch err := do(session); err {
		case errNotRun:
		case errSignIn:
			return chat.Refuse(chat.CodeForbidden, "not run: "+s.signIn)
		default:
			return err
		}
		s.lose(session)
		session.end()
		if again {
			return chat.Refuse(chat.CodeInternal, fmt.Sprintf("not run: the session with the MCP server %s is over again and again", s.name))
		}
	}
}

// current returns the session. If an attempt to connect is under way it waits for that; a
// failed server is tried again.
func (s *server) current(ctx context.Context) (*session, error) {
	s.mu.Lock()
	if s.now.State == Failed && s.session == nil {
		s.try()
		select {
		case s.wake <- struct{}{}:
		default:
		}
	}
	trying := s.trying
	s.mu.Unlock()
	if trying != nil {
		select {
		case <-trying:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.session != nil {
		return s.session, nil
	}
	if s.now.State == SignIn {
		return nil, chat.Refuse(chat.CodeForbidden, "not run: "+s.signIn)
	}
	return nil, chat.Refuse(chat.CodeInternal, fmt.Sprintf("not run: the MCP server %s is not connected (%s): %s", s.name, s.now.State, forMembers(s.now.Error)))
}
