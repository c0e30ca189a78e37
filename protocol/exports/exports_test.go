package exports

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"parlor/protocol/chat"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// shown returns what a member sees of the chat: the current branch, then what else was said.
func shown(records []chat.Record) string {
	var b strings.Builder
	var branches chat.Branches
	var info chat.Info
	for _, r := range records {
		branches = branches.After(r)
		switch e := r.Event.(type) {
		case chat.Created:
			info = e.Chat
		case chat.Configured:
			info.Settings = e.Settings
		}
	}
	fmt.Fprintf(&b, "chat %s of %s (%s), model %s, created %s\ntitle %q, system %q\n",
		info.ID, info.Owner, info.OwnerName, info.ModelID, chat.Timestamp(info.Created), info.Title, info.SystemPrompt)
	current, versions := branches.Current(), branches.Versions()
	for _, hidden := range []bool{false, true} {
		for _, r := range records {
			if m, says := r.Message(); says && current.Hides(r) == hidden {
				b.WriteString(line(m, hidden, len(versions(m))))
			}
		}
	}
	return b.String()
}

func line(m chat.Message, hidden bool, versions int) string {
	who := string(m.ModelID)
	if m.Author != nil {
		who = fmt.Sprintf("%s (%s)", m.Author.ID, m.Author.Name)
	}
	s := fmt.Sprintf("  %s %s %s: %q", chat.Timestamp(m.Created), m.ID, who, m.Content)
	if hidden {
		s = "  (other branch)" + s[1:]
	}
	for _, f := range m.Files {
		s += fmt.Sprintf(" [%s %s %d bytes, %s]", f.Name, f.Type, f.Size, chat.Timestamp(f.Created))
	}
	for _, c := range m.Calls {
		s += fmt.Sprintf(" {%s %s(%s) = %s %q, at %d}", c.ID, c.Name, c.Arguments, c.State, c.Result, c.At)
	}
	if m.Thought != "" {
		s += fmt.Sprintf(" thought %q", m.Thought)
	}
	if m.Usage != nil && m.Usage.TotalTokens > 0 {
		s += fmt.Sprintf(" %d+%d tokens", m.Usage.PromptTokens, m.Usage.CompletionTokens)
	}
	if m.Error != nil {
		s += fmt.Sprintf(" error %q", m.Error.Message)
	}
	return s + fmt.Sprintf(" %s %s, %d versions\n", m.State, m.Modality, versions)
}

// read returns the chats of files of one format.
func read(t *testing.T, format string, notes Notes, files ...string) (chats []*Chat, faults []error) {
	t.Helper()
	var webui OpenWebUI
	var mongo Mongo
	messages := make(map[string][][]byte)
	for _, learning := range []bool{true, false} {
		for _, file := range files {
			f, err := os.Open(filepath.Join("testdata", file))
			if err != nil {
				t.Fatal(err)
			}
			for v, err := range Values(f) {
				if err != nil {
					t.Fatal(err)
				}
				var c *Chat
				switch {
				case format == "mongo" && learning:
					var id string
					if id, err = mongo.Learn(v.JSON); id != "" {
						messages[id] = append(messages[id], slices.Clone(v.JSON))
					}
				case format == "openwebui" && learning:
					_, err = webui.Learn(v.JSON)
				case format == "openwebui":
					c, err = webui.Chat(v.JSON, notes)
				case format == "librechat" && !learning:
					c, err = LibreChat(v.JSON, notes)
				case format == "chatgpt" && !learning:
					c, err = ChatGPT(v.JSON, notes)
				}
				if err != nil {
					faults = append(faults, err)
				} else if c != nil {
					chats = append(chats, c)
				}
			}
			f.Close()
		}
	}
	for _, id := range mongo.Chats() {
		c, err := mongo.Chat(id, messages[id], notes)
		if err != nil {
			t.Fatal(err)
		}
		chats = append(chats, c)
	}
	return chats, faults
}

// The published formats come over with order, people, models, attachments and times. The
// golden files are read by people: each line is a message of testdata.
func TestGolden(t *testing.T) {
	for format, files := range map[string][]string{
		"mongo": {"mongo.json"}, "openwebui": {"openwebui-users.json", "openwebui.json"},
		"librechat": {"librechat.json", "librechat-flat.json"}, "chatgpt": {"chatgpt.json"},
	} {
		notes := make(Notes)
		chats, faults := read(t, format, notes, files...)
		var got strings.Builder
		for _, c := range chats {
			if c.Owner == "" {
				c.Owner = "ada"
			}
			marks := fmt.Sprintf("pinned %v, archived %v, folder %q\n", c.Pinned, c.Archived, c.Folder)
			records, err := c.Records(notes)
			if err != nil {
				t.Errorf("%s: %s: %v", format, c.ID, err)
				continue
			}
			got.WriteString(shown(records) + marks)
		}
		for _, err := range faults {
			fmt.Fprintf(&got, "left out: %v\n", err)
		}
		said, _ := json.MarshalIndent(notes, "", " ")
		fmt.Fprintf(&got, "notes: %s\n", said)
		golden := filepath.Join("testdata", format+".golden")
		if *update {
			if err := os.WriteFile(golden, []byte(got.String()), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got.String()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", format, diff)
		}
	}
}

// The same export gives the same records, so that a second run finds what the first has made.
func TestRecordsAreTheSameAgain(t *testing.T) {
	var runs []string
	for range 8 {
		var all strings.Builder
		chats, _ := read(t, "chatgpt", make(Notes), "chatgpt.json")
		for _, c := range chats {
			c.Owner = "ada"
			records, err := c.Records(make(Notes))
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range records {
				data, _ := r.Encode()
				all.Write(data)
			}
		}
		runs = append(runs, all.String())
	}
	if got := slices.Compact(runs); len(got) != 1 {
		t.Errorf("%d different results of the same export", len(got))
	}
}

// Of any tree all that was said is recorded, and the current branch shows what
// leads to the message that was shown last, in order.
func TestAnyTree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := &Chat{ID: "c", Owner: "ada", Created: time.Unix(1e9, 0)}
		n := rapid.IntRange(1, 30).Draw(t, "messages")
		for i := range n {
			m := Message{ID: fmt.Sprint("m", i), Role: rapid.SampledFrom([]chat.Role{chat.RoleUser, chat.RoleAssistant, ""}).Draw(t, "role"), Content: fmt.Sprint("m", i)}
			m.At = time.Unix(1e9+int64(rapid.IntRange(0, 50).Draw(t, "at")), 0)
			m.Unfinished = m.Role == chat.RoleAssistant && rapid.Bool().Draw(t, "unfinished")
			if parent := rapid.IntRange(-1, i-1).Draw(t, "parent"); parent >= 0 {
				m.Parent = fmt.Sprint("m", parent)
			}
			c.Messages = append(c.Messages, m)
		}
		leaf := rapid.IntRange(0, n-1).Draw(t, "current")
		c.Current = fmt.Sprint("m", leaf)
		way, all := wayTo(c, leaf), wayTo(c, -1)
		records, err := c.Records(make(Notes))
		if err != nil {
			t.Fatal(err)
		}
		var branches chat.Branches
		for _, r := range records {
			branches = branches.After(r)
		}
		current := branches.Current()
		var got []string
		said := make(map[string]bool)
		for _, r := range records {
			m, _ := r.Message()
			for _, word := range strings.Fields(m.Content) {
				if said[word] = true; !current.Hides(r) && slices.Contains(way, word) {
					got = append(got, word)
				}
			}
		}
		if !slices.Equal(got, way) {
			t.Errorf("the current branch shows %v of %v", got, way)
		}
		for _, word := range all {
			if !said[word] {
				t.Errorf("%s is not recorded", word)
			}
		}
	})
}

// wayTo returns the messages that lead to a message, with that itself, and without those that
// are left out. -1 stands for all messages.
func wayTo(c *Chat, at int) (way []string) {
	for i, m := range c.Messages {
		if at < 0 && m.Role != "" {
			way = append(way, c.Messages[i].ID)
		}
	}
	for at >= 0 {
		if c.Messages[at].Role != "" {
			way = append([]string{c.Messages[at].ID}, way...)
		}
		at = slices.IndexFunc(c.Messages, func(m Message) bool { return m.ID == c.Messages[at].Parent })
	}
	return way
}

// A file without a conversation is refused, and the error names the place.
func TestHostileChats(t *testing.T) {
	at := time.Unix(1e9, 0)
	long := strings.Repeat("x", maxTextBytes+1)
	chain := func(n int) (messages []Message) {
		messages = []Message{{ID: "q", Role: chat.RoleUser, At: at}}
		for i := range n {
			messages = append(messages,
				Message{ID: fmt.Sprint("a", i), Parent: messages[len(messages)-1].ID, Role: chat.RoleAssistant, Unfinished: true, At: at},
				Message{ID: fmt.Sprint("b", i), Parent: messages[len(messages)-1].ID, Role: chat.RoleUser, At: at})
			messages[len(messages)-1], messages[len(messages)-2] = messages[len(messages)-2], messages[len(messages)-1]
		}
		return messages
	}
	siblings := []Message{{ID: "q", Role: chat.RoleUser, At: at}}
	for i := range maxForks + 2 {
		siblings = append(siblings, Message{ID: fmt.Sprint(i), Parent: "q", Role: chat.RoleAssistant, At: at})
	}
	for says, messages := range map[string][]Message{
		`follows itself`:                            {{ID: "b", Parent: "a", Role: chat.RoleUser, At: at}, {ID: "a", Parent: "b", Role: chat.RoleUser, At: at}},
		`message "s" follows itself`:                {{ID: "s", Parent: "s", At: at}},
		`message "a" comes twice`:                   {{ID: "a", Role: chat.RoleUser, At: at}, {ID: "a", Role: chat.RoleUser, At: at}},
		`message 1 has no id`:                       {{Role: chat.RoleUser, At: at}},
		`message "old": the time 0900-`:             {{ID: "old", Role: chat.RoleUser, At: time.Date(900, 1, 1, 0, 0, 0, 0, time.UTC)}},
		`message "new": the time 9000-`:             {{ID: "new", Role: chat.RoleUser, At: time.Date(9000, 1, 1, 0, 0, 0, 0, time.UTC)}},
		`neither the chat nor a message has`:        {{ID: "a", Role: chat.RoleUser}},
		`message "a": a text of 8388609`:            {{ID: "a", Role: chat.RoleUser, Content: long, At: at}},
		`it has 20001 branches, want at most 20000`: siblings,
		`has more than 268435456 bytes`:             chain(3000),
	} {
		c := &Chat{ID: "c", Owner: "ada", Messages: messages}
		if !strings.HasPrefix(says, "neither") {
			c.Created = at
		}
		if _, err := c.Records(make(Notes)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v, want %q in it", err, says)
		}
	}
}

// Values tells where a stream goes wrong, and holds no more of it than one value.
func TestValues(t *testing.T) {
	for stream, want := range map[string]string{
		"":                            "",
		" \n":                         "",
		"[]":                          "",
		"\ufeff [1, {\"a\":[2]}\n]\n": "1@6 {\"a\":[2]}@17 ",
		"1 2\n3":                      "1@1 2@3 3@5 ",
		"{}\n{}\n{":                   "{}@2 {}@5 value 3, behind byte 5: the file ends in the middle of it",
		"[1,2":                        "1@2 2@4 value 3, behind byte 4: the file ends in the middle of it",
		"[1] 2":                       "1@2 value 2, behind byte 2: something follows the end of the list",
		"{}\n{\"a\":}\n{}":            "{}@2 value 2, behind byte 2: invalid character '}' looking for beginning of value",
		"[1 2]":                       "1@2 value 2, behind byte 2: expected comma after array element",
	} {
		var got strings.Builder
		for v, err := range Values(strings.NewReader(stream)) {
			if err != nil {
				got.WriteString(err.Error())
				break
			}
			fmt.Fprintf(&got, "%s@%d ", v.JSON, v.Offset)
		}
		if got.String() != want {
			t.Errorf("%q: %q, want %q", stream, got.String(), want)
		}
	}
	if testing.Short() {
		return
	}
	endless := &endless{}
	for _, err := range Values(endless) {
		if err == nil || !strings.Contains(err.Error(), "value 1, behind byte 0: it is longer than 64 MiB") {
			t.Errorf("an endless text: %v", err)
		}
	}
	if limit := int64(MaxValueBytes + 4<<10); endless.read > limit {
		t.Errorf("%d bytes of an endless text were read, want at most %d", endless.read, limit)
	}
}

// endless is a JSON text without an end.
type endless struct{ read int64 }

func (e *endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	if e.read == 0 {
		p[0] = '"'
	}
	e.read += int64(len(p))
	return len(p), nil
}

func TestMoments(t *testing.T) {
	for in, want := range map[string]string{
		`1740900000`:                                "2025-03-02T07:20:00Z",
		`1740900000.25`:                             "2025-03-02T07:20:00.25Z",
		`1740900000250`:                             "2025-03-02T07:20:00.25Z",
		`"1740900000"`:                              "2025-03-02T07:20:00Z",
		`1740900000250000000`:                       "2025-03-02T07:20:00.25Z",
		`"2025-03-02T08:20:00+01:00"`:               "2025-03-02T07:20:00Z",
		`"2025-03-02 07:20:00.25"`:                  "2025-03-02T07:20:00.25Z",
		`{"$date":"2025-03-02T07:20:00Z"}`:          "2025-03-02T07:20:00Z",
		`{"$date":{"$numberLong":"1740900000250"}}`: "2025-03-02T07:20:00.25Z",
		`null`:                          "0001-01-01T00:00:00Z",
		`"soon"`:                        "error",
		`9e99`:                          "error",
		`-9e99`:                         "error",
		`true`:                          "error",
		`[]`:                            "error",
		`{"a":1}`:                       "error",
		`{"$date":{"$numberLong":"x"}}`: "error",
	} {
		var m moment
		got := "error"
		if json.Unmarshal([]byte(in), &m) == nil {
			got = m.Format(time.RFC3339Nano)
		}
		if got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}

// No input makes a decoder panic, and what one takes can be recorded or is refused.
func FuzzDecoders(f *testing.F) {
	for _, file := range []string{"openwebui.json", "librechat.json", "chatgpt.json", "mongo.json"} {
		in, err := os.Open(filepath.Join("testdata", file))
		if err != nil {
			f.Fatal(err)
		}
		for v := range Values(in) {
			f.Add([]byte(v.JSON))
		}
		in.Close()
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var webui OpenWebUI
		var mongo Mongo
		decoders := []func() (*Chat, error){
			func() (*Chat, error) { return ChatGPT(b, make(Notes)) },
			func() (*Chat, error) { return LibreChat(b, make(Notes)) },
			func() (*Chat, error) { _, _ = webui.Learn(b); return webui.Chat(b, make(Notes)) },
			func() (*Chat, error) {
				if id, err := mongo.Learn(b); id != "" && err == nil {
					return mongo.Chat(id, [][]byte{b}, make(Notes))
				}
				return nil, nil
			},
		}
		for _, decode := range decoders {
			if c, err := decode(); err == nil && c != nil {
				c.Owner = "ada"
				_, _ = c.Records(make(Notes))
			}
		}
	})
}
