package conversation_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"parlor/actors/conversation"
	"parlor/protocol/chat"
)

// everybody are models of any name, and of none that has an x in it.
type everybody struct{}

func (everybody) Model(id chat.ModelID) (chat.Model, bool) { return chat.Model{ID: id}, true }
func (everybody) Refusal(chat.ModelID) *chat.Error         { return nil }
func (everybody) Named(name string) (chat.ModelID, bool) {
	return chat.ModelID(name), !strings.Contains(name, "x")
}

func TestMentions(t *testing.T) {
	for _, test := range []struct {
		text string
		want string // who is asked, in this order
	}{
		{"", "m"},
		{"nobody", "m"},
		{"@a", "a"},
		{"@a.", "a"},
		{"@a-_.", "a"},
		{"@a.b-c_d", "a.b-c_d"},
		{"(@a), @b: and \"@c\"?", "a b c"},
		{"@b @a @b @a", "b a"},
		{"mail me@a, or m.e@a", "m"},
		{"the path/@a is none, nor is +@a", "m"},
		{"@@a", "m"},
		{"@a@b", "m"},
		{"@a @", "a"},
		{"@ a", "m"},
		{"@x", "m"},
		{"@x @a", "a"},
		{"@日本 and @é", "日本 é"},
		{"line\n@a\n@b", "a b"},
		{"@1 @2 @3 @4 @5 @6 @7 @8 @1", "1 2 3 4 5 6 7 8"},
		{"@1 @2 @3 @4 @5 @6 @7 @8 @9", "a crowd"},
	} {
		rules := conversation.Rules{Models: everybody{}}
		models, refusal := rules.Addressed(test.text, "m")
		var got []string
		for _, id := range models {
			got = append(got, string(id))
		}
		if refusal != nil {
			got = []string{"a crowd"}
		}
		if diff := cmp.Diff(test.want, strings.Join(got, " ")); diff != "" || refusal != nil && refusal.Code != chat.CodeInvalid {
			t.Errorf("%q: %s %v", test.text, diff, refusal)
		}
	}
}
