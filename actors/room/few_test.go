package room

import (
	"maps"
	"testing"

	"pgregory.net/rapid"
)

// A few behaves like a map, on both sides of the size at which it becomes one.
func TestFewIsAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var got few[int, int]
		want := map[int]int{}
		key := rapid.IntRange(0, 2*fewListed)
		t.Repeat(map[string]func(*rapid.T){
			"set": func(t *rapid.T) {
				k, v := key.Draw(t, "key"), rapid.Int().Draw(t, "value")
				got.set(k, v)
				want[k] = v
			},
			"remove": func(t *rapid.T) {
				k := key.Draw(t, "key")
				got.remove(k)
				delete(want, k)
			},
			"": func(t *rapid.T) {
				for k := range 2*fewListed + 1 {
					v, ok := got.get(k)
					if w, in := want[k]; v != w || ok != in {
						t.Fatalf("%d: got %d, %t, want %d, %t", k, v, ok, w, in)
					}
				}
				if all := maps.Collect(got.all()); got.len() != len(want) || !maps.Equal(all, want) {
					t.Fatalf("got %d: %v, want %v", got.len(), all, want)
				}
			},
		})
	})
}

// A few that was large becomes a list again once it is empty.
func TestFewForgetsItsMap(t *testing.T) {
	var f few[int, int]
	for i := range 2 * fewListed {
		f.set(i, i)
	}
	for i := range 2 * fewListed {
		f.remove(i)
	}
	f.set(1, 1)
	if f.many != nil || len(f.list) != 1 {
		t.Errorf("got %+v", f)
	}
}
