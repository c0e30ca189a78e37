package transport

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/rs/cors"

	"parlor/protocol/engineio"
)

// withCORS lets pages of the allowed origins see the answers of next, refusals
// too, and answers their preflight requests. It stops no other request:
// verifyOrigin does that.
func withCORS(opts Options, next http.Handler) http.Handler {
	if len(opts.AllowedOrigins) == 0 {
		return next
	}
	rules := cors.Options{
		AllowedMethods:   []string{http.MethodGet, http.MethodPost},
		AllowedHeaders:   opts.CORS.AllowedHeaders,
		ExposedHeaders:   opts.CORS.ExposedHeaders,
		AllowCredentials: opts.CORS.Credentials,
		MaxAge:           int(opts.CORS.MaxAge / time.Second),
	}
	if rules.AllowedHeaders == nil {
		rules.AllowedHeaders = []string{"*"}
	}
	if slices.Contains(opts.AllowedOrigins, "*") {
		rules.AllowedOrigins = []string{"*"}
	} else {
		rules.AllowOriginFunc = func(origin string) bool { return listed(opts.AllowedOrigins, origin) }
	}
	return cors.New(rules).Handler(next)
}

// verifyOrigin refuses requests of foreign pages, which could otherwise use the
// cookies that their visitors have for this host (CVE-2019-13611).
func (s *Server) verifyOrigin(r *http.Request) *engineio.Error {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return nil
	}
	u, err := url.Parse(origin)
	if err != nil {
		return engineio.ErrBadRequest
	}
	sameHost := u.Host != "" && strings.EqualFold(u.Host, r.Host)
	if !sameHost && !listed(s.opts.AllowedOrigins, origin) {
		return engineio.ErrForbidden
	}
	return nil
}

// listed reports whether origin is an allowed one.
func listed(allowed []string, origin string) bool {
	return slices.ContainsFunc(allowed, func(a string) bool {
		return a == "*" || strings.EqualFold(a, origin)
	})
}
