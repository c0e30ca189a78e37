package room

import (
	"testing"

	"parlor/protocol/chat"
)

// silent takes what it is told, and does nothing.
type silent struct{}

func (silent) Deliver(Delivery) {}

// echo encodes a notice as it is.
type echo struct{}

func (echo) Encode(_ chat.RoomID, n chat.Notice) any { return n }

// A delivery takes no allocation: what a room tells is made once for all its listeners.
func TestDeliveryAllocatesNothing(t *testing.T) {
	costs := func(listeners int) float64 {
		var a audience
		for i := range listeners {
			a.admit(Address{ID: uint64(i + 1)}, &listener{recipient: silent{}}, "echo", func() Encoder { return echo{} })
		}
		p := Publication{Notice: chat.Record{Seq: 1}}
		return testing.AllocsPerRun(100, func() {
			if told := a.publish(p); told != listeners {
				t.Fatalf("told %d of %d", told, listeners)
			}
		})
	}
	if one, thousand := costs(1), costs(1000); one > 2 || thousand > one {
		t.Errorf("got %v allocations for one listener and %v for a thousand, want the same", one, thousand)
	}
}
