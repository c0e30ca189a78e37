package origin

import (
	"log/slog"
	"net/http"
	"sync"
	"time"
)

// The limits of [Warnings].
const (
	maxWarnings  = 100 // in each warningSpan
	warningSpan  = time.Hour
	maxLoggedLen = 256 // of what a client has sent, in bytes
)

// Warnings tell the operator which origins were refused, each once an hour. They may be
// used from any goroutine.
type Warnings struct {
	log *slog.Logger

	mu    sync.Mutex
	told  map[string]struct{} // origins
	since time.Time
}

// NewWarnings returns warnings that have not been given. A nil logger discards them.
func NewWarnings(log *slog.Logger) *Warnings {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Warnings{log: log}
}

// Refused is called for each request that was refused because of its origin.
func (w *Warnings) Refused(r *http.Request) {
	origin := cut(r.Header.Get("Origin"))
	if !w.isNew(origin, time.Now()) {
		return
	}
	w.log.WarnContext(r.Context(), "a page of another origin was refused: if it may use this server, add its origin to cors-origins;"+
		" if it is this server's own page behind a proxy, have the proxy pass the host on, and name the proxy in trusted-proxies (docs/proxies.md)",
		"origin", origin, "host", cut(r.Host), "remote", r.RemoteAddr)
}

// isNew reports whether nobody was warned of the origin within the hour.
func (w *Warnings) isNew(origin string, now time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.told == nil || now.Sub(w.since) >= warningSpan {
		w.told, w.since = make(map[string]struct{}), now
	}
	if _, told := w.told[origin]; told || len(w.told) == maxWarnings {
		return false
	}
	w.told[origin] = struct{}{}
	return true
}

func cut(s string) string { return s[:min(len(s), maxLoggedLen)] }
