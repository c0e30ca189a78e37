package providertest

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"parlor/protocol/chat"
)

// echoes are forms in which a server may repeat [Key].
func echoes() map[string]string {
	own := strings.TrimPrefix(Key, "sk-test-")
	var percents, escapes, reversed strings.Builder
	for i := range len(Key) {
		fmt.Fprintf(&percents, "%%%02x", Key[i])
		fmt.Fprintf(&escapes, `\u%04X`, Key[i])
		reversed.WriteByte(Key[len(Key)-1-i])
	}
	return map[string]string{
		"without its prefix": own,
		"its beginning":      own[:8],
		"its end":            own[8:],
		"in two parts":       own[:8] + " and " + own[8:],
		"spaced":             strings.Join(strings.Split(Key, ""), " "),
		"percents":           percents.String(),
		"percents twice":     url.QueryEscape(percents.String()),
		"escapes":            escapes.String(),
		"reversed":           reversed.String(),
		"base64":             base64.StdEncoding.EncodeToString([]byte(Key)),
		"base64 of a login":  base64.StdEncoding.EncodeToString([]byte("user:" + Key)),
		"hex":                hex.EncodeToString([]byte(Key)),
	}
}

// runEchoes checks that no form of the key reaches people.
func runEchoes(t *testing.T, h Harness) {
	for name, echo := range echoes() {
		t.Run(name, func(t *testing.T) {
			words := "overloaded, " + echo
			for _, sent := range []string{
				head(http.StatusUnauthorized, "Content-Type: text/plain") + words,
				head(http.StatusUnauthorized, "") + fmt.Sprintf(`{"error":{"message":%q}}`, words),
				EventStream + h.Wire.Error(words),
			} {
				checkEcho(t, h.outcome(t, wireCase{sent: []string{sent}}).Err, echo)
			}
		})
	}
}

// sessionEchoes does the same in a session.
func sessionEchoes(t *testing.T, s *session) {
	s.begin(t.Context())
	var peer Peer
	for name, echo := range echoes() {
		id := chat.MessageID(name)
		s.ask(id, "hello")
		if peer == nil {
			peer = <-s.peers
		}
		peer.Asked()
		peer.Fail("overloaded, " + echo)
		a := s.answer(id)
		a.check(t, "", chat.StateFailed)
		checkEcho(t, a.ended.Error, echo)
	}
}

// checkEcho checks that err does not repeat any part of echo.
func checkEcho(t *testing.T, err error, echo string) {
	t.Helper()
	e := chat.AsError(err)
	if e == nil {
		t.Fatalf("got %v, want an error", err)
	}
	for at := 0; at+6 <= len(echo); at += 6 {
		if part := echo[at : at+6]; strings.Contains(err.Error(), part) {
			t.Errorf("%q of the key is in the error %q", part, err)
		}
	}
}
