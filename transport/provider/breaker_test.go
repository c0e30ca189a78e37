package provider

import (
	"slices"
	"testing"
	"time"

	"parlor/protocol/chat"
	"parlor/transport/provider/guard"
)

// A provider whose breaker is open is not asked: its fallback is, at once.
func TestFallbackOfAnOpenBreaker(t *testing.T) {
	url, asked := answering(t)
	sick, well := url, echo(t, "well")
	m := newModels(t, Options{
		Guard:     guard.Options{Failures: 1, Retries: -1, CoolDown: time.Hour},
		Providers: map[string]ProviderConfig{"sick": {BaseURL: sick}, "well": {BaseURL: well}},
		Models:    []Config{{ModelID: "m", Provider: "sick", UpstreamModel: "fails", Fallbacks: []string{"well:w"}}},
	})
	ask := func() (text string, states []chat.ProviderState) {
		for d, err := range m.Stream(t.Context(), chat.Prompt{Model: "m"}) {
			if err != nil {
				t.Fatal(err)
			}
			text += d.Text
			if d.Health != nil {
				states = append(states, d.Health.State)
			}
		}
		return text, states
	}
	for range 2 {
		if text, states := ask(); text != "well w " || !slices.Equal(states, []chat.ProviderState{chat.ProviderOpen}) {
			t.Errorf("got %q, told %v", text, states)
		}
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("the sick one was asked %d times", n)
	}
	list := m.List()
	if list[0].State != chat.ProviderOpen {
		t.Errorf("listed as %q", list[0].State)
	}
}
