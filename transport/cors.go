package transport

import (
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/rs/cors"

	"parlor/protocol/engineio"
	"parlor/transport/origin"
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
		rules.AllowOriginFunc = func(page string) bool { return origin.Listed(opts.AllowedOrigins, page) }
	}
	return cors.New(rules).Handler(next)
}

// verifyOrigin refuses requests of foreign pages, which could otherwise use the
// cookies that their visitors have for this host (CVE-2019-13611).
func (s *Server) verifyOrigin(r *http.Request) *engineio.Error {
	page := r.Header.Get("Origin")
	if page == "" {
		return nil
	}
	if _, err := url.Parse(page); err != nil {
		return engineio.ErrBadRequest
	}
	if origin.Admits(r, s.opts.AllowedOrigins) {
		return nil
	}
	s.opts.OriginRefused(r)
	return engineio.ErrForbidden
}
