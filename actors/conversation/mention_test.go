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

// A member is mentioned by the id in whatever case. Of two whose ids differ in case alone
// each is, once, by the id as it is written.
func TestMentionsOfMembers(t *testing.T) {
	for text, want := range map[string]string{
		"@MONA, @mona": "mona", "@Bob": "Bob", "@bob": "bob", "@bob @Bob @bob": "bob Bob", "@nobody": "",
	} {
		w := newWorld()
		for _, id := range []chat.UserID{"mona", "Bob", "bob"} {
			w.record(chat.MemberChanged{Member: chat.Member{ID: id, Role: chat.RoleMember}})
		}
		p, refusal := w.moment().Say(conversation.Utterance{By: chat.User{ID: "alice"}, Content: text})
		if refusal != nil {
			t.Fatal(refusal)
		}
		var got []string
		for _, id := range p.Mentions {
			got = append(got, string(id))
		}
		if diff := cmp.Diff(want, strings.Join(got, " ")); diff != "" {
			t.Errorf("%q: %s", text, diff)
		}
	}
}
