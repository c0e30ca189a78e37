package conversation

import (
	"fmt"
	"strings"
	"testing"

	"parlor/protocol/chat"
)

// counting are models a0, a1 … that count how often they are looked for.
type counting struct {
	Models
	asked map[string]int
}

func (c counting) Named(name string) (chat.ModelID, bool) {
	c.asked[name]++
	return chat.ModelID(name), strings.HasPrefix(name, "a")
}

// Each name is looked up once, however often and in whatever case it is
// mentioned, and none behind one that is too many.
func TestMentionsAreLookedUpOnce(t *testing.T) {
	const size = 64 << 10
	var distinct strings.Builder
	names := 0
	for ; distinct.Len() < size; names++ {
		fmt.Fprintf(&distinct, "@b%d ", names)
	}
	for name, test := range map[string]struct {
		text string
		want int
	}{
		"one name":       {strings.Repeat("@b ", size/3), 1},
		"in any case":    {strings.Repeat("@bc @BC @Bc @bC ", size/16), 1},
		"distinct names": {distinct.String(), names},
		"too many":       {"@b " + strings.ReplaceAll(distinct.String(), "@b", "@a"), 1 + maxAddressed + 1},
	} {
		c := counting{asked: make(map[string]int)}
		m := Moment{Rules: &Rules{Models: c}, State: new(State)}
		refusal := m.addresses(test.text).refusal()
		if (refusal != nil) != (name == "too many") {
			t.Errorf("%s: %v", name, refusal)
		}
		total := 0
		for _, n := range c.asked {
			total += n
		}
		if total != test.want || len(c.asked) != test.want {
			t.Errorf("%s: %d look-ups of %d names, want %d", name, total, len(c.asked), test.want)
		}
	}
}
