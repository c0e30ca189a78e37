package eliza

import (
	"slices"
	"strings"
	"testing"
)

// TestDoctorIsWhole checks what the parser does not: that nothing in the
// script is written in vain.
func TestDoctorIsWhole(t *testing.T) {
	keywords := make(map[*keyword]bool)
	for word, k := range doctor.keys {
		keywords[k] = true
		if word != strings.ToLower(word) || doctor.expand[word] != nil {
			t.Errorf("keyword %q is never heard", word)
		}
		if len(k.rules) == 0 {
			t.Errorf("keyword %q has no rules", word)
		}
	}
	if len(keywords) < 40 {
		t.Errorf("only %d keywords", len(keywords))
	}
}

func TestDoctorLinksEnd(t *testing.T) {
	for word, k := range doctor.keys {
		for steps := 0; ; steps++ {
			i := slices.IndexFunc(k.rules, func(r *rule) bool { return r.answers[0].link != "" && r.answers[0].link != next })
			if i < 0 {
				break
			}
			if steps > maxLinks {
				t.Fatalf("the links of %q go in a circle", word)
			}
			k = doctor.keys[k.rules[i].answers[0].link]
		}
	}
}

const none = "none\n  *\n    Go on.\n"

func TestParseRefuses(t *testing.T) {
	for _, test := range []struct{ name, script, want string }{
		{"unknown section", "word x\n", `line 1: unknown section "word"`},
		{"rank missing", "key x\n", "line 1: rank"},
		{"keyword twice", "key x : 1\nkey x : 2\n", `line 2: keyword "x" is taken`},
		{"keyword next", "key next : 1\n", `keyword "next" is taken`},
		{"pattern under nothing", "  * x\n", "line 1: indented under nothing"},
		{"answer under nothing", "key x : 1\n    Yes.\n", "line 2: indented under nothing"},
		{"odd indentation", "key x : 1\n   *\n", "line 2: indented"},
		{"no answers", none + "key x : 1\n  *\n", "no answers"},
		{"link to nothing", none + "key x : 1\n  *\n    -> y\n", `no keyword "y"`},
		{"unknown group", none + "key x : 1\n  @y\n    Yes.\n", `no group "y"`},
		{"part that may be empty", none + "key x : 1\n  * x\n    {1}!\n", "part 1"},
		{"part that is not there", none + "key x : 1\n  x +\n    {2}!\n", "part 2"},
		{"part without number", none + "key x : 1\n  x +\n    {y}!\n", "part 0"},
		{"no none", "key x : 1\n  *\n    Yes.\n", "none"},
		{"none with a link", "key x : 1\n  *\n    Yes.\nnone\n  *\n    -> x\n", "none"},
		{"none that is particular", "none\n  x *\n    Yes.\n", "none"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if _, err := parse(test.script); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want an error with %q", err, test.want)
			}
		})
	}
}

// TestMethod shows each step of the method with a script of its own.
func TestMethod(t *testing.T) {
	const script = `
expand i'm = i am
reflect i am = you are
reflect my = your
reflect you = I
reflect-last you = me
group kin = sister brother
key low : 1
  *
    Low.
key high : 5
  *
    High.
key linked : 2
  *
    -> low
key skipped : 9
  *
    -> next
key loop : 3
  *
    -> loop
key am : 4
  * i am +
    Are you {2}?
key from : 4
  from + to +
    {1}, {2}.
key my : 4
  * my @kin *
    Which {2}?
key turns : 4
  *
    One.
    Two.
memory
  * my +
    Back to your {2}.
none
  *
    Go on.
`
	s, err := parse(script)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name    string
		remarks []string
		want    string
	}{
		{"no keyword", []string{"blue"}, "Go on."},
		{"nothing", []string{""}, "Go on."},
		{"rank decides", []string{"low and high"}, "High."},
		{"the clause of the highest rank", []string{"low, then high. low"}, "High."},
		{"but ends a clause", []string{"from here to there but not from far"}, "Here, there."},
		{"link", []string{"linked"}, "Low."},
		{"next keyword", []string{"skipped low"}, "Low."},
		{"next keyword, none left", []string{"skipped"}, "Go on."},
		{"links in a circle", []string{"loop"}, "Go on."},
		{"short forms", []string{"I'm blue"}, "Are you blue?"},
		{"curly apostrophe", []string{"I’m blue"}, "Are you blue?"},
		{"turned around", []string{"i am like my dog for you"}, "Are you like your dog for me?"},
		{"words as they were said", []string{"FROM Rome to NYC"}, "Rome, NYC."},
		{"group", []string{"my sister"}, "Which sister?"},
		{"no pattern fits", []string{"from nowhere"}, "Go on."},
		{"memory", []string{"my own dog", "blue"}, "Back to your own dog."},
		{"memory is used up", []string{"my own dog", "blue", "blue"}, "Go on."},
		{"memory waits for a keyword", []string{"my own dog", "low"}, "Low."},
		{"oldest memory first", []string{"my sister Ann", "my brother Bob", "blue"}, "Back to your sister Ann."},
		{"memory before a keyword without words", []string{"my dog", "my cat"}, "Back to your dog."},
		{"capital of a common word", []string{"My Sister Ann"}, "Which sister?"},
		{"long words are not heard", []string{"i am " + strings.Repeat("x", maxWord+1)}, "Go on."},
		{"the end of long clauses is not heard", []string{strings.Repeat("x ", maxClause) + "high"}, "Go on."},
	} {
		t.Run(test.name, func(t *testing.T) {
			tk := newTalk(s, 0)
			var got string
			for _, remark := range test.remarks {
				got = tk.reply(remark)
			}
			if got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestAnswersTakeTurns(t *testing.T) {
	s, err := parse("none\n  *\n    One.\n    Two.\n    Three.\n")
	if err != nil {
		t.Fatal(err)
	}
	tk := newTalk(s, 7)
	heard := []string{tk.reply(""), tk.reply(""), tk.reply("")}
	if again := tk.reply(""); again != heard[0] {
		t.Errorf("after %q came %q", heard, again)
	}
	slices.Sort(heard)
	if want := []string{"One.", "Three.", "Two."}; !slices.Equal(heard, want) {
		t.Errorf("got %q", heard)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(doctorText)
	f.Add("key x : 1\n  * x +\n    {2}\nmemory\n  +\n    {1}\n" + none)
	f.Add("key x : 1\n  @\n    {}\n")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := parse(text)
		if err != nil {
			return
		}
		tk := newTalk(s, 1)
		for word := range s.keys {
			if tk.reply(word) == "" {
				t.Errorf("no answer to %q", word)
			}
		}
	})
}
