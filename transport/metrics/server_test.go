package metrics

import (
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"parlor/protocol/chat"
)

// nothing is the state of a server in which nothing has happened.
var nothing = State{
	Version:     "v0",
	Connections: func() int { return 0 },
	Devices:     func() (sessions, users int) { return 0, 0 },
	Rooms:       func() int { return 0 },
	Restarts:    func() uint64 { return 0 },
	FileBytes:   func() int64 { return 0 },
	Answering:   func() int { return 0 },
	Waiting:     func() int { return 0 },
	Approvals:   func() int { return 0 },
	Mailboxes:   func(string) (all, longest int) { return 0, 0 },
}

func scrape(s *Server, now State) string {
	w := httptest.NewRecorder()
	s.Handler(now).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	return w.Body.String()
}

func wantLines(t *testing.T, body string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if !strings.Contains(body, "\n"+line+"\n") {
			t.Errorf("%q is missing in:\n%s", line, body)
		}
	}
}

// An alert on the rate of a series that appears late would miss its first count.
func TestSeriesExistFromTheStart(t *testing.T) {
	wantLines(t, scrape(NewServer(), nothing),
		"parlor_connections 0", "parlor_sessions 0", "parlor_users 0", "parlor_rooms 0", "parlor_storage_bytes 0",
		`parlor_turns_total{end="completed",reason="stop"} 0`, `parlor_turns_total{end="failed",reason="provider_error"} 0`,
		"parlor_first_token_seconds_count 0", "parlor_commit_seconds_count 0", "parlor_commit_failures_total 0",
		"parlor_slow_consumers_total 0", `parlor_resumes_total{complete="true"} 0`, `parlor_resumes_total{complete="false"} 0`,
		"parlor_restarts_total 0", `parlor_tool_calls_total{outcome="unknown"} 0`, `parlor_approvals_total{decision="denied"} 0`,
		"parlor_delivery_seconds_count 0", "parlor_fsync_seconds_count 0", "parlor_commit_queue 0", "parlor_approvals_waiting 0",
		`parlor_mailbox_messages{kind="room"} 0`, `parlor_mailbox_longest{kind="session"} 0`,
		`parlor_tokens_total{kind="completion"} 0`, `parlor_build_info{version="v0"} 1`,
	)
}

func TestServerCounts(t *testing.T) {
	s, now := NewServer(), nothing
	s.TurnEnded(chat.TurnEnded{State: chat.StateCompleted, Finish: chat.FinishStop, Usage: &chat.Usage{PromptTokens: 3, CompletionTokens: 4}})
	s.TurnEnded(chat.TurnEnded{State: chat.StateFailed, Error: chat.Refuse(chat.CodeProviderTimeout, "it is late")})
	s.FirstToken(300 * time.Millisecond)
	s.Committed(5, 2*time.Millisecond, nil)
	s.Committed(5, time.Second, errors.New("disk full"))
	s.Tools(chat.ToolDecided{Approved: true})
	s.Tools(chat.ToolEnded{State: chat.ToolUnknown})
	s.Resumed(true)
	s.SlowConsumer()
	s.Delivered(3 * time.Millisecond)
	s.Synced(time.Millisecond)
	now.Waiting, now.Approvals = func() int { return 4 }, func() int { return 2 }
	now.Mailboxes = func(kind string) (all, longest int) { return len(kind), 1 }
	now.Devices = func() (sessions, users int) { return 3, 2 }
	now.Restarts = func() uint64 { return 7 }
	wantLines(t, scrape(s, now),
		`parlor_turns_total{end="completed",reason="stop"} 1`, `parlor_turns_total{end="failed",reason="provider_timeout"} 1`,
		`parlor_tokens_total{kind="prompt"} 3`, `parlor_tokens_total{kind="completion"} 4`,
		`parlor_first_token_seconds_bucket{le="0.25"} 0`, `parlor_first_token_seconds_bucket{le="0.5"} 1`,
		"parlor_commit_seconds_count 1", "parlor_commit_requests_total 5", "parlor_commit_failures_total 1",
		`parlor_approvals_total{decision="approved"} 1`, `parlor_tool_calls_total{outcome="unknown"} 1`,
		`parlor_resumes_total{complete="true"} 1`, "parlor_slow_consumers_total 1",
		`parlor_delivery_seconds_bucket{le="0.0025"} 0`, `parlor_delivery_seconds_bucket{le="0.005"} 1`, "parlor_fsync_seconds_count 1",
		"parlor_commit_queue 4", "parlor_approvals_waiting 2", `parlor_mailbox_messages{kind="supervisor"} 10`, `parlor_mailbox_longest{kind="room"} 1`,
		"parlor_sessions 3", "parlor_users 2", "parlor_restarts_total 7",
	)
}
