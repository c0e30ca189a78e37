package observe_test

import (
	"testing"
	"time"

	"parlor/actors/actortest"
	"parlor/actors/observe"
	"parlor/protocol/admin"
)

// However many administrators look, and however often, the actors of a kind are visited once a
// second for each of the lists that are shown, and once for all that needs attention.
func TestLooksAreBounded(t *testing.T) {
	run(t, func(t *testing.T, s *actortest.Server, o *observe.Observer) {
		s.User("alice").Create(theChat)
		const seconds = 60
		for range seconds * 10 {
			for range 20 { // administrators
				o.Attention(8)
				o.Actors(admin.Query{Kind: admin.KindRoom, Sort: admin.ByQueue, Limit: 50})
				o.Actors(admin.Query{Kind: admin.KindRoom, Sort: admin.ByQueue, Limit: 20})
			}
			time.Sleep(time.Second / 10)
		}
		if looks := o.Cost().Looks; looks < seconds || looks > 3*(seconds+1) {
			t.Errorf("%d looks in a minute, want one a second for each of three lists", looks)
		}
	})
}
