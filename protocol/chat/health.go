package chat

import "time"

// A ProviderState says whether a provider is asked.
type ProviderState string

// The states of a provider, named as those of a circuit breaker.
const (
	ProviderClosed   ProviderState = "closed"    // it is asked
	ProviderOpen     ProviderState = "open"      // it has failed too often and is left alone for a while
	ProviderHalfOpen ProviderState = "half_open" // one request tries whether it answers again
)

// Health is how a provider fares.
type Health struct {
	Provider string
	State    ProviderState
	RetryAt  time.Time // when it will be asked again; zero unless it is open
}
