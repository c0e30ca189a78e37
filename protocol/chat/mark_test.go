package chat

import (
	"strings"
	"testing"
)

func TestMarkChanges(t *testing.T) {
	for name, test := range map[string]struct {
		folder, want string
		code         Code
	}{
		"plain":        {"Work", "Work", ""},
		"none":         {" \n ", "", ""},
		"one line":     {" a\tb\x00 ", "a b", ""},
		"one accent":   {"Zu\u0308rich", "Z\u00fcrich", ""},
		"the longest":  {strings.Repeat("👩‍👩‍👧‍👦", MaxFolderLen), strings.Repeat("👩‍👩‍👧‍👦", MaxFolderLen), ""},
		"too long":     {strings.Repeat("x", MaxFolderLen+1), "", CodeTooLarge},
		"many accents": {"a" + strings.Repeat("\u0301", 10_000), "", CodeTooLarge},
	} {
		c, refusal := MarkChanges{Folder: &test.folder}.Valid()
		switch {
		case refusal != nil && refusal.Code != test.code || refusal == nil && test.code != "":
			t.Errorf("%s: got %v, want %q", name, refusal, test.code)
		case refusal == nil && *c.Folder != test.want:
			t.Errorf("%s: got %q, want %q", name, *c.Folder, test.want)
		}
	}
	if _, refusal := (MarkChanges{}).Valid(); refusal == nil || refusal.Code != CodeInvalid {
		t.Errorf("no change: got %v", refusal)
	}
}
