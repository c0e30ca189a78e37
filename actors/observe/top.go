package observe

import (
	"cmp"
	"container/heap"
	"slices"

	"parlor/actors/system"
)

// A top keeps those of the actors that it is given that have the highest ranks. To sort all
// of them would cost several times what it takes to look at them.
type top struct {
	size int
	seen int // actors so far
	held ranks
}

// A ranked actor was the nth that was given.
type ranked struct {
	system.Look
	rank int64
	nth  int
}

// compare sorts the highest rank first, and those of one rank as they came.
func compare(a, b ranked) int { return cmp.Or(cmp.Compare(b.rank, a.rank), cmp.Compare(a.nth, b.nth)) }

func (t *top) add(l system.Look, rank int64) {
	t.seen++
	r := ranked{l, rank, t.seen}
	switch {
	case len(t.held) < t.size:
		heap.Push(&t.held, r)
	case t.size > 0 && compare(r, t.held[0]) < 0:
		t.held[0] = r
		heap.Fix(&t.held, 0)
	}
}

// from returns the actors that it holds, in order, without the first ones.
func (t *top) from(offset int) (looks []system.Look) {
	slices.SortFunc(t.held, compare)
	for _, r := range t.held[min(offset, len(t.held)):] {
		looks = append(looks, r.Look)
	}
	return looks
}

// ranks are a heap with the lowest in front.
type ranks []ranked

func (r ranks) Len() int           { return len(r) }
func (r ranks) Less(i, j int) bool { return compare(r[i], r[j]) > 0 }
func (r ranks) Swap(i, j int)      { r[i], r[j] = r[j], r[i] }
func (r *ranks) Push(x any)        { *r = append(*r, x.(ranked)) }
func (r *ranks) Pop() any {
	last := (*r)[len(*r)-1]
	*r = (*r)[:len(*r)-1]
	return last
}
