package aisdk

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestWishes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l wishes
		w := wish{"alice", "c", "m"}
		if _, ok := l.find(w); ok {
			t.Error("a wish that nobody had")
		}
		l.add(w, "turn")
		time.Sleep(againWithin - 1)
		if got, ok := l.find(w); got != "turn" || !ok {
			t.Errorf("got %q, %t", got, ok)
		}
		if _, ok := l.find(wish{"bob", "c", "m"}); ok {
			t.Error("somebody else's wish")
		}
		time.Sleep(time.Nanosecond)
		if _, ok := l.find(w); ok || len(l.list) > 0 {
			t.Error("a wish of long ago")
		}
	})
}
