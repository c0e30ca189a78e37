package eliza

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"iter"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"parlor/protocol/chat"
)

var update = flag.Bool("update", false, "rewrite testdata")

// said makes a prompt of what the user said, with an answer after each remark
// but the last, as rooms build it.
func said(remarks ...string) chat.Prompt {
	p := chat.Prompt{Model: "eliza", Messages: []chat.PromptMessage{{Role: chat.RoleSystem, Content: "my rules"}}}
	for i, remark := range remarks {
		p.Messages = append(p.Messages, chat.PromptMessage{Role: chat.RoleUser, Content: remark})
		if i < len(remarks)-1 {
			p.Messages = append(p.Messages, chat.PromptMessage{Role: chat.RoleAssistant, Content: "I see."})
		}
	}
	return p
}

// heard collects an answer; usage must come once, last and alone.
func heard(t rapid.TB, answer iter.Seq2[chat.Delta, error]) (words []string, usage *chat.Usage) {
	t.Helper()
	for d, err := range answer {
		switch {
		case err != nil:
			t.Fatalf("Stream: %v", err)
		case usage != nil:
			t.Fatalf("%+v after the usage", d)
		case d.Usage != nil && d.Text != "":
			t.Fatalf("usage together with the text %q", d.Text)
		case d.Usage != nil:
			usage = d.Usage
		default:
			words = append(words, d.Text)
		}
	}
	return words, usage
}

func TestTalk(t *testing.T) {
	const file = "testdata/talk.txt"
	golden, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	eliza := New(Options{Seed: 1, Delay: -1})
	var got strings.Builder
	var remarks []string
	for line := range strings.Lines(string(golden)) {
		remark, isRemark := strings.CutPrefix(line, "> ")
		switch {
		case isRemark:
			remarks = append(remarks, strings.TrimSuffix(remark, "\n"))
			words, _ := heard(t, eliza.Stream(t.Context(), said(remarks...)))
			got.WriteString(line + "< " + strings.Join(words, "") + "\n")
		case !strings.HasPrefix(line, "< "):
			got.WriteString(line)
		}
	}
	if *update {
		if err := os.WriteFile(file, []byte(got.String()), 0o666); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(string(golden), got.String()); diff != "" {
		t.Errorf("conversation differs (-want +got):\n%s", diff)
	}
}

func TestUsageCountsWords(t *testing.T) {
	p := chat.Prompt{Messages: []chat.PromptMessage{{Role: chat.RoleUser, Content: "the sky  is blue"}}}
	words, got := heard(t, New(Options{Delay: -1}).Stream(t.Context(), p))
	want := &chat.Usage{PromptTokens: 4, CompletionTokens: len(words), TotalTokens: 4 + len(words)}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("usage differs (-want +got):\n%s", diff)
	}
}

// TestAnswerOfAnything checks what holds for every conversation: there is an
// answer, of single words, the same each time, with nothing left unfilled.
func TestAnswerOfAnything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seed := rapid.Uint64().Draw(t, "seed")
		remark := rapid.OneOf(rapid.String(), rapid.Custom(remarkFromScript))
		p := said(rapid.SliceOfN(remark, 0, 6).Draw(t, "remarks")...)

		words, _ := heard(t, New(Options{Seed: seed, Delay: -1}).Stream(t.Context(), p))
		again, _ := heard(t, New(Options{Seed: seed, Delay: -1}).Stream(t.Context(), p))
		if diff := cmp.Diff(words, again); diff != "" {
			t.Fatalf("the second answer differs:\n%s", diff)
		}
		text := strings.Join(words, "")
		if strings.TrimSpace(text) == "" || strings.ContainsAny(text, "{}\n") {
			t.Fatalf("answer %q", text)
		}
		for _, word := range words {
			if len(strings.Fields(word)) != 1 {
				t.Fatalf("delta %q is not one word", word)
			}
		}
	})
}

// remarkFromScript makes remarks that lead deep into the rules: a pattern
// with its wildcards filled.
func remarkFromScript(t *rapid.T) string {
	var keys []*keyword
	for _, k := range doctor.keys {
		keys = append(keys, k)
	}
	k := rapid.SampledFrom(keys).Draw(t, "keyword")
	if len(k.rules) == 0 {
		return ""
	}
	var words []string
	for _, e := range rapid.SampledFrom(k.rules).Draw(t, "rule").pattern {
		switch e.kind {
		case literal:
			words = append(words, e.word)
		case member:
			words = append(words, rapid.SampledFrom(e.group).Draw(t, "member"))
		default:
			words = append(words, rapid.SliceOfN(rapid.StringN(1, 6, 12), 1, 3).Draw(t, "any")...)
		}
	}
	return strings.Join(words, " ")
}

func TestSeedsDiffer(t *testing.T) {
	answers := make(map[string]bool)
	for seed := range uint64(20) {
		words, _ := heard(t, New(Options{Seed: seed, Delay: -1}).Stream(t.Context(), said("the sky")))
		answers[strings.Join(words, "")] = true
	}
	if len(answers) < 3 {
		t.Errorf("20 seeds gave %d answers", len(answers))
	}
}

func TestEmptyPrompt(t *testing.T) {
	words, usage := heard(t, New(Options{Delay: -1}).Stream(t.Context(), chat.Prompt{}))
	if len(words) == 0 || usage == nil {
		t.Errorf("got %q, %v", words, usage)
	}
}

func TestDelayBeforeEachWord(t *testing.T) {
	for _, test := range []struct {
		name        string
		delay, want time.Duration
	}{
		{"default", 0, DefaultDelay},
		{"configured", time.Second, time.Second},
		{"none", -1, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				words, _ := heard(t, New(Options{Delay: test.delay}).Stream(t.Context(), said("the sky")))
				if got, want := time.Since(start), time.Duration(len(words))*test.want; got != want {
					t.Errorf("%d words took %v, want %v", len(words), got, want)
				}
			})
		})
	}
}

func TestCancelEndsThePause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stopped := errors.New("stopped by a test")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Minute, func() { cancel(stopped) })
		start := time.Now()
		var errs []error
		for _, err := range New(Options{Delay: time.Hour}).Stream(ctx, said("the sky")) {
			errs = append(errs, err)
		}
		if len(errs) != 1 || !errors.Is(errs[0], stopped) {
			t.Errorf("got %v, want one %v", errs, stopped)
		}
		if took := time.Since(start); took != time.Minute {
			t.Errorf("ended after %v", took)
		}
	})
}

func TestCancelledBeforeTheFirstWord(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for d, err := range New(Options{Delay: -1}).Stream(ctx, said("the sky")) {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %+v, %v", d, err)
		}
	}
}

func TestConsumerMayLeave(t *testing.T) {
	for range New(Options{Delay: -1}).Stream(t.Context(), said("the sky")) {
		break
	}
}

// Messages of long ago are not listened to any more: an answer costs the same behind any
// conversation.
func TestLongAgoIsNotHeard(t *testing.T) {
	prompt := func(n int) (p chat.Prompt) {
		for i := range n {
			p.Messages = append(p.Messages,
				chat.PromptMessage{Role: chat.RoleUser, Content: fmt.Sprintf("my %d sisters", i%7)},
				chat.PromptMessage{Role: chat.RoleAssistant, Content: "Go on."})
		}
		p.Messages = append(p.Messages, chat.PromptMessage{Role: chat.RoleUser, Content: "well"})
		return p
	}
	usage := func(p chat.Prompt) (u *chat.Usage) {
		for d, err := range New(Options{Delay: -1}).Stream(t.Context(), p) {
			if err != nil {
				t.Fatal(err)
			}
			if d.Usage != nil {
				u = d.Usage
			}
		}
		return u
	}
	long, longer := usage(prompt(1000)), usage(prompt(7*1000))
	if long.PromptTokens > 3*maxHeard || long.PromptTokens != longer.PromptTokens {
		t.Errorf("counted %d words of a long prompt, and %d of a longer one", long.PromptTokens, longer.PromptTokens)
	}
}
