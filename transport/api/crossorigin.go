package api

import (
	_ "embed" // openapi.json
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/rs/cors"

	"parlor/transport/origin"
	"parlor/transport/requests"
)

// openAIHeaders are those of requests to OpenAI's API, as its client for browsers sends them.
var openAIHeaders = []string{
	"x-parlor-chat", "openai-organization", "openai-project", "x-stainless-arch", "x-stainless-helper-method", "x-stainless-lang", "x-stainless-os",
	"x-stainless-package-version", "x-stainless-retry-count", "x-stainless-runtime", "x-stainless-runtime-version", "x-stainless-timeout",
}

// mcpHeaders are those of requests of MCP's clients for browsers.
var mcpHeaders = []string{"mcp-protocol-version", "mcp-session-id", "mcp-method", "mcp-name"}

// protectOrigins sets up what browsers are told about the origins (CORS), and which of
// their requests are refused. CORS alone does not protect: a browser sends some
// requests with cookies without asking first, so those that change something are
// checked here too.
func (a *API) protectOrigins() error {
	a.csrf = http.NewCrossOriginProtection()
	a.csrf.SetDenyHandler(http.HandlerFunc(a.refuseCrossOrigin))
	for _, allowed := range a.origins {
		if strings.Contains(allowed, "*") {
			return fmt.Errorf("api: allowed origin %q: wildcards are not supported", allowed)
		}
		if err := a.csrf.AddTrustedOrigin(allowed); err != nil {
			return fmt.Errorf("api: allowed origin: %w", err)
		}
	}
	a.cors = cors.New(cors.Options{
		// A function, because cors takes an empty list for "all".
		AllowOriginVaryRequestFunc: a.allows,
		AllowedMethods:             []string{"GET", "POST", "DELETE", "PUT", "PATCH"},
		AllowedHeaders:             slices.Concat([]string{"content-type", "x-csrf-token", "cf-access-token", "authorization", "x-parlor-user", "last-event-id", "idempotency-key", "x-request-id"}, openAIHeaders, mcpHeaders),
		ExposedHeaders:             []string{requests.Header},
		AllowCredentials:           true,
		MaxAge:                     preflightSeconds,
	})
	return nil
}

// allows reports whether browsers let a page of that origin read answers. A request
// without an Origin comes from no page of another one.
func (a *API) allows(r *http.Request, page string) (allowed bool, vary []string) {
	allowed = origin.Listed(a.origins, page)
	if !allowed && page != "" && !origin.Same(r) {
		a.originRefused(r)
	}
	return allowed, nil
}

// crossOrigin refuses changes by pages of another origin, in requests that browsers send
// without asking first. [http.CrossOriginProtection] takes an origin with its default
// port and one without it for two.
func (a *API) crossOrigin(next http.Handler) http.Handler {
	protected := a.csrf.Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		own := r.Header.Get("Sec-Fetch-Site") == "" && origin.Same(r)
		if own || origin.Listed(a.origins, r.Header.Get("Origin")) {
			next.ServeHTTP(w, r)
			return
		}
		protected.ServeHTTP(w, r)
	})
}
