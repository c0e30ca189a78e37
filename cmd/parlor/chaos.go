//go:build chaos

package main

import (
	"math/rand/v2"
	"os"
	"strconv"
	"time"

	"parlor/persistence"
	"parlor/persistence/doubt"
)

// maxDoubt is the longest time for which the log of a chaos build does not know an outcome.
const maxDoubt = 300 * time.Millisecond

// logOfRooms loses sight of one write in CHAOS_UNKNOWN, as a log on several machines does when it
// loses its leader. Half of these writes are not made. The creations of rooms, by which a run of
// the harness begins, are left as they are.
func logOfRooms(store *persistence.Store) *doubt.Log {
	oneIn, _ := strconv.Atoi(os.Getenv("CHAOS_UNKNOWN"))
	return &doubt.Log{Store: store, Fate: func(c persistence.Commit) (f doubt.Fate) {
		if oneIn <= 0 || c.After == 0 || rand.IntN(oneIn) > 0 {
			return f
		}
		f.Unknown = time.Duration(1 + rand.Int64N(int64(maxDoubt)))
		if rand.IntN(2) == 0 {
			f.Err = persistence.ErrUnavailable
		}
		return f
	}}
}
