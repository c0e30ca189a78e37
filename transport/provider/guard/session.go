package guard

import (
	"context"
	"fmt"

	"parlor/protocol/chat"
	"parlor/transport/provider/upstream"
)

// Admit lets one answer of a session begin, unless the provider is left alone
// or gives as many answers as it may: a session waits for no place, since
// people speak in it meanwhile. The caller calls ended once, with how the answer
// ended and, if it failed, why.
func (g *Guard) Admit() (ended func(chat.State, *upstream.Failure), err error) {
	if g.breaker.refuses() {
		return nil, g.refusal(nil)
	}
	if !g.places.tryTake("") {
		g.opts.Metrics.request(g.name, outcomeCrowded)
		return nil, chat.Refuse(chat.CodeProviderTimeout, fmt.Sprintf("%s is busy: it answers %d others", g.opts.Shown, g.opts.Streams))
	}
	p, ok := g.breaker.allow()
	if !ok {
		g.places.leave("")
		return nil, g.refusal(nil)
	}
	g.inFlight.Add(1)
	return func(s chat.State, f *upstream.Failure) { g.ended(p, s, f) }, nil
}

func (g *Guard) ended(p permit, s chat.State, f *upstream.Failure) {
	v, outcome := none, outcomeStopped
	switch {
	case s == chat.StateCompleted:
		v, outcome = good, outcomeCompleted
	case f != nil:
		v, outcome = judge(context.Background(), f, true)
	}
	g.note(g.breaker.report(p, v), f)
	g.opts.Metrics.request(g.name, outcome)
	g.inFlight.Add(-1)
	g.places.leave("")
}
