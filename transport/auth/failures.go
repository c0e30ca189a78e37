package auth

import (
	"context"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"

	"parlor/protocol/chat"
)

// failuresSpan is the time in which an address is logged once for each reason.
const failuresSpan = time.Minute

// MaxFailuresLogged limits the records of failed sign-ins in a minute: an attacker
// with many addresses must not fill the disk.
const MaxFailuresLogged = 60

// failures logs failed sign-ins. Those that are left out are counted, and the
// number is logged with the next one.
type failures struct {
	log *slog.Logger
	now func() time.Time

	mu      sync.Mutex
	since   time.Time
	logged  map[failure]bool
	leftOut int
}

type failure struct{ address, why string }

// add logs that a client could not sign in. The texts of this package's errors say
// why, and hold nothing of the credential.
func (f *failures) add(remote string, why error) {
	address, _, err := net.SplitHostPort(remote)
	if err != nil {
		address = remote
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	this := failure{address, strings.TrimPrefix(chat.AsError(why).Message, notSignedIn)}
	if now := f.now(); f.logged == nil || now.Sub(f.since) >= failuresSpan {
		f.logRest()
		f.since, f.logged, f.leftOut = now, make(map[failure]bool), 0
	}
	if f.logged[this] || len(f.logged) >= MaxFailuresLogged {
		f.leftOut++
		return
	}
	f.logged[this] = true
	level := slog.LevelWarn
	if why == error(errNoCredential) { // somebody who has yet to sign in
		level = slog.LevelInfo
	}
	f.log.Log(context.Background(), level, "sign-in failed", "remote", this.address, "why", this.why)
}

// close logs how many were left out since the last record.
func (f *failures) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.logRest()
	f.leftOut = 0
}

func (f *failures) logRest() {
	if f.leftOut > 0 {
		f.log.Warn("more sign-ins failed", "count", f.leftOut, "since", f.since)
	}
}
