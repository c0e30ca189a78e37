package retention

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"parlor/persistence"
)

// The rest of all shares fits, and a share that is no more than an equal part of the
// space is left alone.
func TestHogsAmong(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var shares []persistence.Owned
		for i, n := range rapid.SliceOfN(rapid.Int64Range(0, 1000), 0, 50).Draw(t, "bytes") {
			shares = append(shares, persistence.Owned{Owner: fmt.Sprint(i), Share: persistence.Share{Bytes: n}})
		}
		fits := rapid.Int64Range(0, 20_000).Draw(t, "fits")
		h := hogsAmong(shares, fits)
		left := int64(0)
		for _, s := range shares {
			hog := h.all[s.Owner]
			if hog == nil {
				left += s.Bytes
				continue
			}
			left += h.level
			if s.Bytes <= fits/int64(len(shares)) {
				t.Errorf("an owner with %d bytes has to give some up, of %d for %d owners", s.Bytes, fits, len(shares))
			}
		}
		if left > fits {
			t.Errorf("%d bytes are left, want at most %d", left, fits)
		}
		if len(h.all) > 0 && left < fits-int64(len(shares)) {
			t.Errorf("only %d bytes are left of %d that fit", left, fits)
		}
	})
}

func TestLargestHogsAreRemembered(t *testing.T) {
	var shares []persistence.Owned
	for i := range 10 * maxHogs {
		shares = append(shares, persistence.Owned{Owner: fmt.Sprint(i), Share: persistence.Share{Bytes: int64(1000 + i)}})
	}
	h := hogsAmong(shares, 1)
	if len(h.all) != maxHogs || h.all[fmt.Sprint(10*maxHogs-1)] == nil {
		t.Errorf("%d hogs", len(h.all))
	}
}
