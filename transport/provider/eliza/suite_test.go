package eliza

import (
	"testing"

	"parlor/transport/provider/providertest"
	"parlor/transport/provider/upstream"
)

// TestSuite is what all providers have to pass.
func TestSuite(t *testing.T) {
	for name, o := range map[string]Options{"at once": {Delay: -1}, "with pauses": {}} {
		t.Run(name, func(t *testing.T) {
			providertest.Run(t, providertest.Harness{
				New: func(testing.TB, string, upstream.Options) providertest.Provider { return New(o) },
			})
		})
	}
}
