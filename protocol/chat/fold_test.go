package chat

import (
	"strings"
	"testing"
	"unicode"
)

func TestFolded(t *testing.T) {
	for r := range rune(unicode.MaxRune + 1) {
		if r >= 0xd800 && r < 0xe000 {
			continue // no characters
		}
		folded := Folded(string(r))
		if !strings.EqualFold(folded, string(r)) {
			t.Fatalf("%U became %q, which is another letter", r, folded)
		}
		if f := unicode.SimpleFold(r); Folded(string(f)) != folded {
			t.Fatalf("%U and %U are the same letter, and became %q and %q", r, f, folded, Folded(string(f)))
		}
	}
	for name, want := range map[string]string{"Ada_2": "ada_2", "\u212aim": "kim", "\u0130da": "\u0130da", "ÄSOP": "Äsop"} {
		if got := Folded(name); !strings.EqualFold(got, want) || strings.ContainsAny(got, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") {
			t.Errorf("%q: got %q, want %q", name, got, want)
		}
	}
	if n := testing.AllocsPerRun(10, func() { _ = Folded("ada-2") }); n > 0 {
		t.Errorf("%v allocations for a name as it usually is", n)
	}
}
