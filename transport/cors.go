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

// withCORS makes browsers let pages of the allowed origins see what next
// answers, its refusals too, and answers their preflight requests. No other
// request is stopped here, that is what verifyOrigin does.
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

// verifyOrigin keeps foreign pages from using the cookies that their visitors
// have for this host (CVE-2019-13611).
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

// listed reports whether origin is one of those that are allowed.
func listed(allowed []string, origin string) bool {
	return slices.ContainsFunc(allowed, func(a string) bool {
		return a == "*" || strings.EqualFold(a, origin)
	})
}
