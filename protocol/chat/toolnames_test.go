package chat_test

import (
	"encoding/json"
	"testing"

	"parlor/protocol/chat"
)

func TestToolNames(t *testing.T) {
	for _, test := range []struct {
		list string
		has  map[string]bool // nil if it is refused
	}{
		{`[]`, map[string]bool{"pay": false}},
		{`["pay","files/*"]`, map[string]bool{"pay": true, "payment": false, "files/read": true, "filesystem/read": false}},
		{`["files/read"]`, map[string]bool{"files/read": true, "files/write": false}},
		{`["*"]`, map[string]bool{"pay": true, "files/read": true}},
		{`[7]`, nil}, {`"pay"`, nil},
	} {
		var names chat.ToolNames
		if err := json.Unmarshal([]byte(test.list), &names); (err != nil) != (test.has == nil) {
			t.Errorf("%s: %v", test.list, err)
			continue
		} else if err != nil {
			continue
		}
		if b, err := json.Marshal(names); err != nil || string(b) != test.list {
			t.Errorf("%s is written as %s, %v", test.list, b, err)
		}
		for tool, want := range test.has {
			if names.Has(tool) != want {
				t.Errorf("%s has %s: %t", test.list, tool, !want)
			}
		}
	}
}
