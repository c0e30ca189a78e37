package provider

import (
	"fmt"
	"math"
	"testing"

	"parlor/protocol/chat"
)

// many returns models with so many configured, each with a name.
func many(tb testing.TB, n int) *Models {
	tb.Helper()
	var list []Config
	for i := range n {
		list = append(list, Config{ModelID: fmt.Sprint("model-", i), Provider: "mine", Name: fmt.Sprint("name-", i)})
	}
	m, err := New(Options{Models: list, Providers: map[string]ProviderConfig{"mine": {BaseURL: "http://127.0.0.1:1"}}})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { m.Close() })
	return m
}

func TestNamed(t *testing.T) {
	m := many(t, 20)
	for name, want := range map[string]chat.ModelID{
		"name-7": "model-7", "NAME-7": "model-7", "Name-19": "model-19", "eliza": ElizaID, "ELIZA": ElizaID,
		"name-20": "", "": "", "model-7": "", "name": "", "name-7 ": "", "el\u0130za": "",
	} {
		if got, ok := m.Named(name); got != want || ok != (want != "") {
			t.Errorf("%q: got %q, %v, want %q", name, got, ok, want)
		}
	}
}

// The cost of looking for a model does not grow with the list.
func TestLookingForAModelCostsTheSame(t *testing.T) {
	for name, look := range map[string]func(m *Models){
		"Named":           func(m *Models) { m.Named("name-0"); m.Named("nobody") },
		"Model":           func(m *Models) { m.Model("model-0"); m.Model("mine:anything") },
		"Refusal":         func(m *Models) { m.Refusal("model-0"); m.Refusal("mine:anything") },
		"Model not there": func(m *Models) { m.Model("nobody"); m.Refusal("nobody") },
	} {
		one, all := many(t, 1), many(t, 200)
		before, after := allocs(func() { look(one) }), allocs(func() { look(all) })
		if before != after || name == "Named" && after > 0 {
			t.Errorf("%s: %v allocations with one model, %v with 200", name, before, after)
		}
	}
}

// allocs returns the least allocations of several tries: others allocate meanwhile.
func allocs(f func()) float64 {
	least := math.Inf(1)
	for range 5 {
		least = min(least, testing.AllocsPerRun(100, f))
	}
	return least
}

func BenchmarkNamed(b *testing.B) {
	for _, n := range []int{1, 200} {
		m := many(b, n)
		b.Run(fmt.Sprintf("models=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				m.Named("nobody")
			}
		})
	}
}
