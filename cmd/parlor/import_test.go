package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"parlor/actors/conversation"
	"parlor/persistence"
	"parlor/protocol/chat"
)

// TestMain lets the test binary be the program that a command starts.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[2] == "--in-process" || os.Getenv("GO_TEST_RUN_PARLOR") != "" {
		main()
	}
	os.Exit(m.Run())
}

// parlorCmd is a process of its own that carries out a command.
func parlorCmd(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	cmd.Env = append(os.Environ(), "GO_TEST_RUN_PARLOR=1")
	return cmd
}

// killedIn carries out a command with whole, and kills it four times with cut: after 2 to 5
// parts of the time that it has taken. It returns how often it had not ended before.
func killedIn(t *testing.T, command func(data string) *exec.Cmd, whole, cut string, parts time.Duration, after func(kill int)) (kills int) {
	t.Helper()
	begun := time.Now()
	if out, err := command(whole).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	took := time.Since(begun)
	for i := range 4 {
		cmd := command(cut)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(took * time.Duration(i+2) / parts)
		_ = cmd.Process.Kill()
		if cmd.Wait() != nil {
			kills++
		}
		after(i)
	}
	return kills
}

// exported returns an export of chats with two records each.
func exported(t *testing.T, ids ...chat.ID) []string {
	t.Helper()
	lines := []string{`{"parlor_export":1}`}
	for _, id := range ids {
		created := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
		info := chat.Info{ID: id, Room: id.Room(), Owner: "alice", ModelID: "eliza", Epoch: "e", Created: created}
		lines = append(lines, fmt.Sprintf(`{"chat":%s,"records":2}`, conversation.Row(info).Info))
		for i, event := range []chat.Event{
			chat.Created{Chat: info},
			chat.MessageAdded{MessageID: "m", Author: chat.User{ID: "alice"}, Content: "<hi>", ModelID: "eliza", ClientID: "c"},
		} {
			data, err := chat.Record{At: created, Event: event}.Encode()
			if err != nil {
				t.Fatal(err)
			}
			lines = append(lines, fmt.Sprintf(`{"seq":%d,"record":%s}`, i+1, data))
		}
	}
	return append(lines, fmt.Sprintf(`{"end":{"chats":%d,"records":%d}}`, len(ids), 2*len(ids)))
}

func writeLines(t *testing.T, lines []string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "chats.jsonl")
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestImportIsWhatExportWrites(t *testing.T) {
	ids := []chat.ID{"a", "b"}
	if ids[0].Room() > ids[1].Room() {
		ids[0], ids[1] = ids[1], ids[0]
	}
	lines := exported(t, ids...)
	data := filepath.Join(t.TempDir(), "parlor.db")
	if status, out, errs := runIn(t, nil, "import", "--data="+data, writeLines(t, lines)); status != 0 || out != "2 chats imported, 0 skipped\n" || errs != "" {
		t.Fatalf("import: status %d, stdout %q, stderr %q", status, out, errs)
	}
	if status, out, errs := runIn(t, nil, "export", "--data="+data); status != 0 || out != strings.Join(lines, "\n")+"\n" || errs != "" {
		t.Errorf("export: status %d, stderr %q, stdout\n%s\nwant\n%s", status, errs, out, strings.Join(lines, "\n"))
	}
	if status, out, errs := runIn(t, nil, "check", "--data="+data); status != 0 || !strings.HasPrefix(out, "2 chats, 4 records, 0 sessions, ") || errs != "" {
		t.Errorf("check: status %d, stdout %q, stderr %q", status, out, errs)
	}
}

// Every fault of an export is told with its line, and nothing of it is imported.
func TestImportRefuses(t *testing.T) {
	sound := exported(t, "a", "b")
	change := func(i int, old, new string) []string {
		lines := append([]string{}, sound...)
		lines[i] = strings.Replace(lines[i], old, new, 1)
		if lines[i] == sound[i] {
			t.Fatalf("line %d has no %s: %s", i+1, old, lines[i])
		}
		return lines
	}
	without := func(i int) []string { return append(append([]string{}, sound[:i]...), sound[i+1:]...) }
	for says, lines := range map[string][]string{
		"line 1: not an export":                    without(0),
		"line 1: an export of version 9":           change(0, "1", "9"),
		"cut short":                                sound[:len(sound)-1],
		"line 3: record 2: a chat is created by":   without(2)[:4],
		"line 4: chat \"a\" has 1 records":         without(3),
		"line 4: record 3 cannot follow":           change(3, `"seq":2`, `"seq":3`),
		"line 4: decode record 2":                  change(3, `"message_added"`, `"shouted"`),
		"line 5: the line of chat \"a\" says":      change(1, `"eliza"`, `"other"`),
		"line 2: chat \"x\" does not belong":       change(1, `"chat_id":"a"`, `"chat_id":"x"`),
		"line 3: record 1: chat \"x\" does not":    change(2, `"chat_id":"a"`, `"chat_id":"x"`),
		"line 3: neither a chat nor a record":      change(2, `"record":`, `"end":null,"chat":`),
		"line 3: not a line of an export":          change(2, `{`, `[`),
		"line 4: not a line of an export: it goes": change(3, `"c"}}}`, `"c"}}} {}`),
		"line 8: 2 chats with 4 records":           change(7, `:4`, `:5`),
		"line 9: there is something after the end": append(append([]string{}, sound...), sound[1]),
		"line 8: chat \"a\" comes twice":           append(append([]string{}, sound[:7]...), sound[1:]...),
	} {
		data := filepath.Join(t.TempDir(), "parlor.db")
		status, out, errs := runIn(t, nil, "import", "--data="+data, writeLines(t, lines))
		if status != 1 || out != "" || !strings.Contains(errs, says) {
			t.Errorf("status %d, stdout %q, stderr %q, want %q in it", status, out, errs, says)
		}
		if left, err := os.ReadDir(filepath.Dir(data)); err != nil || len(left) > 0 {
			t.Errorf("%s: left behind %v, %v", says, left, err)
		}
	}
}

// A failure leaves a file that was there as it was.
func TestImportChangesNothingIfItFails(t *testing.T) {
	data := filepath.Join(t.TempDir(), "parlor.db")
	if status, _, errs := runIn(t, nil, "import", "--data="+data, writeLines(t, exported(t, "a"))); status != 0 {
		t.Fatal(errs)
	}
	lines := exported(t, "b", "c")
	for _, wrong := range [][]string{lines[:len(lines)-1], exported(t, "b", "a")} {
		if status, _, errs := runIn(t, nil, "import", "--data="+data, writeLines(t, wrong)); status != 1 {
			t.Errorf("status %d, stderr %q", status, errs)
		}
		if status, out, _ := runIn(t, nil, "check", "--data="+data); status != 0 || !strings.HasPrefix(out, "1 chats, 2 records") {
			t.Errorf("status %d, stdout %q", status, out)
		}
	}
}

// A failure of the disk, after the whole export was found sound, leaves no file
// either. Here the disk has no directory.
func TestImportIntoNoDirectory(t *testing.T) {
	data := filepath.Join(t.TempDir(), "none", "parlor.db")
	status, _, errs := runIn(t, nil, "import", "--data="+data, writeLines(t, exported(t, "a")))
	if status != 1 || !strings.Contains(errs, data) {
		t.Errorf("status %d, stderr %q", status, errs)
	}
}

// Owners, authors and ids that the server would refuse are refused.
func TestImportRefusesWhatTheServerWould(t *testing.T) {
	long := strings.Repeat("x", 129)
	made := chat.MakeID("bob", [8]byte{1})
	for name, tt := range map[string]struct{ old, new, says string }{
		"owner that is too long":        {`"user_id":"alice"`, `"user_id":"` + long + `"`, "must not be longer than 128 bytes"},
		"owner with a control":          {`"user_id":"alice"`, `"user_id":"a\u0000"`, "must be printable"},
		"owner with a space":            {`"user_id":"alice"`, `"user_id":" alice"`, "must not start or end with a space"},
		"no owner":                      {`"user_id":"alice"`, `"user_id":""`, "has no owner"},
		"client id with a space":        {`"client_message_id":"c"`, `"client_message_id":"c d"`, "cannot be the name"},
		"message id that is too long":   {`"message_id":"m"`, `"message_id":"` + long + `"`, "cannot be the name"},
		"model with a control":          {`"model_id":"eliza"`, `"model_id":"e\u0007"`, "cannot be the name"},
		"model of the chat with a bell": {`"current_model_id":"eliza"`, `"current_model_id":"e\u0007"`, "cannot be the name"},
		"id made for somebody else":     {`"x"`, `"` + string(made) + `"`, "made for another owner"},
	} {
		lines := exported(t, "x")
		text := strings.ReplaceAll(strings.Join(lines, "\n"), tt.old, tt.new)
		if tt.old == `"x"` {
			text = strings.Join(exported(t, made), "\n")
		}
		if text == strings.Join(lines, "\n") {
			t.Fatalf("%s: the export has no %s:\n%s", name, tt.old, text)
		}
		status, out, errs := runIn(t, nil, "import", writeLines(t, []string{text}))
		if status != 1 || out != "" || !strings.Contains(errs, tt.says) || !strings.Contains(errs, "line ") {
			t.Errorf("%s: status %d, stdout %q, stderr %q, want %q in it", name, status, out, errs, tt.says)
		}
	}
}

// Every way in which rows can disagree with the log is told.
func TestCheckTellsWhatDisagrees(t *testing.T) {
	id := chat.ID("a")
	record := func(seq uint64, event chat.Event) []byte {
		data, err := chat.Record{Seq: seq, Event: event}.Encode()
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	info := chat.Info{ID: id, Room: id.Room(), Owner: "alice"}
	other := info
	other.ModelID = "other"
	row, otherRow, open := conversation.Row(info), conversation.Row(other), true
	created := record(1, chat.Created{Chat: info})
	said := record(2, chat.MessageAdded{MessageID: "m", Author: chat.User{ID: "alice"}, ClientID: "c"})
	for says, c := range map[string]persistence.Commit{
		"there is no chat row":                     {Entries: [][]byte{created}},
		"the chat row says something else":         {Entries: [][]byte{created}, Chat: &otherRow},
		"there is no log":                          {Chat: &row},
		"an open turn is noted: true":              {Entries: [][]byte{created}, Chat: &row, Turn: &open},
		"record 2: its idempotency key is missing": {Entries: [][]byte{created, said}, Chat: &row},
		"record 1: the idempotency key that leads": {Entries: [][]byte{created, said}, Chat: &row, Keys: []persistence.Key{{Name: "alice\x00c", Seq: 1}}},
		"record 2: its message id is missing":      {Entries: [][]byte{created, said}, Chat: &row},
		"record 1: the message id that leads":      {Entries: [][]byte{created, said}, Chat: &row, Messages: []persistence.Key{{Name: "m", Seq: 1}}},
		"record 2: the message id that leads":      {Entries: [][]byte{created, said}, Chat: &row, Messages: []persistence.Key{{Name: "m", Seq: 2}, {Name: "other", Seq: 2}}},
		"record 1: decode record 1":                {Entries: [][]byte{[]byte("x")}},
		"record 2: record 2: a chat is":            {Entries: [][]byte{created, created}},
	} {
		data := filepath.Join(t.TempDir(), "parlor.db")
		store, err := persistence.Open(data, persistence.Options{})
		if err != nil {
			t.Fatal(err)
		}
		c.Room = string(id.Room())
		done := make(chan error, 1)
		store.Append(c, func(err error) { done <- err })
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if err := store.Close(); err != nil {
			t.Fatal(err)
		}
		status, out, errs := runIn(t, nil, "check", "--in-process", "--data="+data)
		if status != 1 || !strings.Contains(out, "room "+c.Room+": "+says) || !strings.Contains(errs, "faults") {
			t.Errorf("status %d, stdout %q, stderr %q, want %q", status, out, errs, says)
		}
	}
}

// The check runs in a process of its own, and its errors are this one's.
func TestCheckNamesTheFile(t *testing.T) {
	data := filepath.Join(t.TempDir(), "parlor.db")
	status, out, errs := runIn(t, nil, "check", "--data="+data)
	if status != 1 || out != "" || !strings.Contains(errs, data) {
		t.Errorf("no file: status %d, stdout %q, stderr %q", status, out, errs)
	}
	if err := os.WriteFile(data, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	status, out, errs = runIn(t, nil, "check", "--data="+data)
	if status != 1 || out != "" || !strings.Contains(errs, data) {
		t.Errorf("status %d, stdout %q, stderr %q", status, out, errs)
	}
}

// Names are found wherever an event has them.
func TestNamesInEvents(t *testing.T) {
	const bad = " x"
	for _, e := range []chat.Event{
		chat.Created{Chat: chat.Info{ID: bad}},
		chat.Created{Chat: chat.Info{ID: "a", Members: []chat.Member{{ID: "bob"}, {ID: bad}}}},
		chat.MessageAdded{Author: chat.User{ID: bad}},
		chat.MessageAdded{Author: chat.User{ID: "bob", Name: strings.Repeat("x", 257)}},
		chat.Configured{By: bad},
		chat.MemberChanged{Member: chat.Member{ID: bad}},
		chat.MemberChanged{Member: chat.Member{ID: "bob", Name: strings.Repeat("x", 257)}},
		chat.MemberChanged{Member: chat.Member{Role: chat.RoleOwner}},
		chat.InviteMade{Invite: chat.Invite{ID: bad}},
		chat.InviteRevoked{ID: "i", By: bad},
		chat.TurnQueued{Prompt: bad},
		chat.TurnSteered{TurnID: "t", Messages: []chat.MessageID{"m", bad}},
		chat.TurnStarted{ModelID: "a\x00"},
		chat.TurnEnded{ClientID: bad},
	} {
		if fault := nameFault(reflect.ValueOf(e)); fault == "" {
			t.Errorf("taken: %#v", e)
		}
	}
	for _, e := range []chat.Event{
		chat.Created{Chat: chat.Info{ID: "a", Owner: "Zoë Smith", Created: time.Now()}},
		chat.MessageAdded{Author: chat.User{ID: "bob"}, Content: " any \x00 text "},
		chat.TurnEnded{Content: "\n", Reason: "\x00", Usage: &chat.Usage{}},
	} {
		if fault := nameFault(reflect.ValueOf(e)); fault != "" {
			t.Errorf("%#v: fault %q", e, fault)
		}
	}
}

// A lateContext ends after it has been asked a number of times.
type lateContext struct {
	context.Context
	left int
}

func (c *lateContext) Err() error {
	if c.left--; c.left < 0 {
		return context.Canceled
	}
	return nil
}

// An import that is stopped in the middle takes away the file that it made, with the
// chat that it has written already.
func TestImportStoppedInTheMiddle(t *testing.T) {
	lines := exported(t, "a", "b")
	export, dir := writeLines(t, lines), t.TempDir()
	for _, stop := range []int{0, len(lines) - 1, len(lines) + 6, 2*len(lines) - 1} {
		s := &Settings{Values: Values{Data: filepath.Join(dir, "parlor.db")}}
		err := (&importCmd{Files: []string{export}}).Run(&lateContext{t.Context(), stop}, s, &streams{io.Discard, io.Discard})
		left, readErr := os.ReadDir(dir)
		if !errors.Is(err, context.Canceled) || len(left) > 0 || readErr != nil {
			t.Errorf("stopped before line %d of the two passes: %v, left behind %v, %v", stop+1, err, left, readErr)
		}
	}
}
