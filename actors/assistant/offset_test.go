package assistant

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What a client gets can be read again, and says which rooms of which epoch.
func TestOffset(t *testing.T) {
	a, b := tagOf("room", "epoch"), tagOf("room", "another")
	if a == b || a != tagOf("room", "epoch") || len(a) != tagLen {
		t.Errorf("tags %q and %q", a, b)
	}
	want := offset{{a, 0, 0}, {b, 1<<63 - 1, 3}}
	var text string
	if err := json.Unmarshal(want.json(), &text); err != nil {
		t.Fatal(err)
	}
	got, ok := parseOffset(text, 2)
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(mark{})); !ok || diff != "" {
		t.Errorf("%s: (-want +got):\n%s", text, diff)
	}
	for _, bad := range []string{
		"", brokenOffset, ",", text + ",", text + "," + text, a, a + ".", a + ".1.", a + ".1.2.3", a + ".-1", a + ".1.-1",
		"short.1", a + ".1.zzzzz", a + ".zzzzzzzzzzzzzzzz", a + ".1 ", "A" + a[1:] + ".1", `"` + a[1:] + ".1",
	} {
		if got, ok := parseOffset(bad, 2); ok {
			t.Errorf("parsed %q: %v", bad, got)
		}
	}
}

// Clients may send anything.
func FuzzOffset(f *testing.F) {
	for _, s := range []string{"", "-", "abcdefgh.1", "abcdefgh.1.2,ijklmnop.zz", "abcdefgh.1,abcdefgh.2", "........", "abcdefgh.0.0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		const limit = 3
		o, ok := parseOffset(s, limit)
		if !ok {
			return
		}
		if len(o) == 0 || len(o) > limit {
			t.Fatalf("%d rooms", len(o))
		}
		for _, m := range o {
			if len(m.tag) != tagLen || m.frames < 0 {
				t.Fatalf("mark %+v", m)
			}
		}
		var again string
		if err := json.Unmarshal(o.json(), &again); err != nil {
			t.Fatal(err)
		}
		if p, ok := parseOffset(again, limit); !ok || cmp.Diff(o, p, cmp.AllowUnexported(mark{})) != "" {
			t.Fatalf("%q was written as %q", s, again)
		}
	})
}
