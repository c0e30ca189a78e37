package actortest

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
)

// Seed returns SEED of the environment, or a new seed, and logs it, so that a
// random test that failed can be run again.
func Seed(t testing.TB) uint64 {
	t.Helper()
	n, err := strconv.ParseUint(cmp.Or(os.Getenv("SEED"), fmt.Sprint(rand.Uint32())), 10, 64)
	if err != nil {
		t.Fatal("SEED:", err)
	}
	t.Logf("SEED=%d", n)
	return n
}
