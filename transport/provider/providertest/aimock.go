package providertest

import (
	"bufio"
	_ "embed"
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"parlor/protocol/chat"
	"parlor/transport/provider/upstream"
)

//go:embed aimock.mjs
var aimockScript string

// aimock gives this answer in many pieces, and counts it so.
var (
	aimockAnswer = strings.Repeat("Streaming is fun. 😀 Über alles: ja. ", 20)
	aimockUsage  = chat.Usage{PromptTokens: 3, CompletionTokens: 5, TotalTokens: 8}
)

// nodeModules is where make installs aimock, from the top of the repository.
const nodeModules = "cmd/parlor/e2e/node_modules"

// hangTime is the limit that a provider gets which aimock lets hang; it passes
// on the machine's clock.
const hangTime = 100 * time.Millisecond

func runAimock(t *testing.T, h Harness) {
	url := startAimock(t)
	open := func(t *testing.T, o upstream.Options) Provider { return h.open(t, url, o) }
	t.Run("side by side", func(t *testing.T) {
		p := open(t, upstream.Options{})
		var wg sync.WaitGroup
		for _, message := range []string{"hello", "slowly", "hello", "slowly"} {
			wg.Go(func() { aimockWhole(t, p, message) })
		}
		wg.Wait()
	})
	for message, refusal := range aimockRefusals() {
		t.Run(message, func(t *testing.T) {
			got := Collect(t, open(t, upstream.Options{}).Stream(t.Context(), said(message)))
			got.Check(t, "", chat.CodeProviderError, refusalWords)
			checkRetryable(t, got.Err, refusal)
		})
	}
	for _, message := range []string{"truncated", "disconnected", "chaos of drops", "chaos of nonsense", "chaos of limits", "chaos of cuts"} {
		t.Run(message, func(t *testing.T) {
			p := open(t, upstream.Options{})
			got := Collect(t, p.Stream(t.Context(), said(message)))
			got.Check(t, got.Text, chat.CodeProviderError, "")
			if !strings.HasPrefix(aimockAnswer, got.Text) || got.Text == aimockAnswer {
				t.Errorf("text is %q, want a part of the answer", got.Text)
			}
			aimockWhole(t, p, "hello") // and the provider goes on
		})
	}
	t.Run("hanging", func(t *testing.T) {
		p := open(t, upstream.Options{FirstToken: hangTime})
		Collect(t, p.Stream(t.Context(), said("hanging"))).Check(t, "", chat.CodeProviderTimeout, "")
	})
}

func aimockWhole(t *testing.T, p Provider, message string) {
	t.Helper()
	got := Collect(t, p.Stream(t.Context(), said(message)))
	got.Check(t, aimockAnswer, "", "")
	if got.Usage == nil || *got.Usage != aimockUsage {
		t.Errorf("usage is %+v, want %+v", got.Usage, aimockUsage)
	}
	if got.Pieces < 10 {
		t.Errorf("the answer came in %d pieces", got.Pieces)
	}
}

// runAimockSessions asks the same in sessions. What went wrong there ends the
// answer; the next one is asked in a session of its own.
func runAimockSessions(t *testing.T, h Harness) {
	url := startAimock(t)
	open := func(t *testing.T, o upstream.Options) *session {
		s := &session{t: t, provider: closed(t, h.AimockSessions(t, url, o)), in: make(chan chat.Input), out: make(chan piece, unreadDeltas)}
		s.begin(t.Context())
		return s
	}
	t.Run("answers follow each other", func(t *testing.T) {
		s := open(t, upstream.Options{})
		for _, id := range []chat.MessageID{"hello", "slowly"} {
			s.ask(id, string(id))
			s.answer(id).check(t, aimockAnswer, chat.StateCompleted)
			s.say(id, chat.RoleAssistant, aimockAnswer)
		}
	})
	for message := range aimockRefusals() {
		t.Run(message, func(t *testing.T) {
			s := open(t, upstream.Options{})
			s.ask("a1", message)
			s.answer("a1").failed(t, "", chat.CodeProviderError, refusalWords)
		})
	}
	for _, message := range []string{"truncated", "disconnected"} {
		t.Run(message, func(t *testing.T) {
			s := open(t, upstream.Options{})
			s.ask("a1", message)
			got := s.answer("a1")
			got.failed(t, got.text, chat.CodeProviderError, "")
			if !strings.HasPrefix(aimockAnswer, got.text) || got.text == aimockAnswer {
				t.Errorf("text is %q, want a part of the answer", got.text)
			}
		})
	}
	t.Run("hanging", func(t *testing.T) {
		s := open(t, upstream.Options{FirstToken: hangTime})
		s.ask("a1", "hanging")
		s.answer("a1").failed(t, "", chat.CodeProviderTimeout, "")
	})
}

// aimockRefusals are the refusals by what is said to have them.
func aimockRefusals() map[string]Refusal {
	names := []string{"limit", "patience", "boom", "overloaded", "wrong", "credential", "forbidden", "nowhere"}
	m := make(map[string]Refusal)
	for i, r := range refusals {
		if r.Status != http.StatusTooManyRequests {
			r.Header = nil // aimock sends Retry-After with no other
		}
		m[names[i]] = r
	}
	return m
}

// startAimock starts aimock for the test and returns its URL. It skips the test
// if make has not installed it.
func startAimock(t *testing.T) string {
	t.Helper()
	dir := repositoryTop(t)
	if _, err := os.Stat(filepath.Join(dir, nodeModules, "@copilotkit/aimock")); errors.Is(err, fs.ErrNotExist) {
		t.Skipf("aimock is not installed: run make %s", nodeModules)
	}
	config, err := json.Marshal(map[string]any{"answer": aimockAnswer, "words": refusalWords, "key": Key, "usage": aimockUsage})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("node", "--input-type=module", "--eval", aimockScript, string(config))
	cmd.Dir = filepath.Dir(filepath.Join(dir, nodeModules)) // where node looks for packages
	cmd.Stderr = t.Output()
	in, err := cmd.StdinPipe() // held open: its end is aimock's
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("start aimock: %v", err)
	}
	t.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("aimock ended with %v", err)
		}
	})
	url, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("read the URL of aimock: %v", err)
	}
	return strings.TrimSpace(url)
}

// repositoryTop finds go.mod above the package under test.
func repositoryTop(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		up := filepath.Dir(dir)
		if up == dir {
			t.Fatal("there is no go.mod above the package")
		}
		dir = up
	}
}
