package main

import (
	"runtime"
	"testing"
)

func TestReleasable(t *testing.T) {
	for _, test := range []struct {
		name        string
		before, now usage
		want        bool
	}{
		{"quiet", usage{5, 0}, usage{5, worthReleasing}, true},
		{"busy", usage{5, 0}, usage{6, 1 << 30}, false},
		{"little", usage{5, 0}, usage{5, worthReleasing - 1}, false},
	} {
		if got := test.now.releasable(test.before); got != test.want {
			t.Errorf("%s: got %t, want %t", test.name, got, test.want)
		}
	}
}

func TestReleaseMemoryStops(t *testing.T) {
	if err := releaseMemory()(t.Context()); err != nil {
		t.Error(err)
	}
	before := readUsage()
	runtime.GC()
	if now := readUsage(); now.collections == before.collections {
		t.Error("a collection was not counted")
	}
}
