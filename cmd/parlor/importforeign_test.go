package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"parlor/persistence"
	"parlor/protocol/chat"
)

// foreignSamples is the directory with the samples of the decoders. Tests change the directory.
var foreignSamples, _ = filepath.Abs(filepath.Join("..", "..", "protocol", "exports", "testdata"))

func sample(name string) string { return filepath.Join(foreignSamples, name) }

// Each format comes over once: the file is sound, a second run adds nothing, and what cannot
// come is named, with an exit status that says so.
func TestImportForeign(t *testing.T) {
	for _, test := range []struct {
		from           string
		files          []string
		args           []string
		status         int
		says, reported string
	}{
		{"mongo", []string{"mongo.json"}, []string{"--user=7d3f2a10-0000-4000-8000-000000000001=ada", "--model=aisuite.openai:gpt-4o=best"}, 1,
			"1 chats imported, 0 were there already, 1 left out\n1 messages, 2 answers, 1 attachments\n", "--owner NAME is missing"},
		{"openwebui", []string{"openwebui-users.json", "openwebui.json"}, nil, 0, "2 chats imported, 0 were there already, 0 left out\n3 messages, 4 answers, 2 attachments\n", ""},
		{"librechat", []string{"librechat.json", "librechat-flat.json"}, []string{"--owner=ada"}, 0, "2 chats imported, 0 were there already, 0 left out\n6 messages, 4 answers, 1 attachments\n", ""},
		{"chatgpt", []string{"chatgpt.json"}, []string{"--owner=ada"}, 1, "1 chats imported, 0 were there already, 1 left out\n3 messages, 2 answers, 1 attachments\n",
			`value 2 ("No mapping"): it has no mapping`},
	} {
		args := append([]string{"import", "--from=" + test.from}, test.args...)
		for _, f := range test.files {
			args = append(args, sample(f))
		}
		data := "--data=" + filepath.Join(t.TempDir(), "parlor.db")
		if status, out, _ := runIn(t, nil, append(args, data, "--dry-run")...); status != test.status || !strings.Contains(out, "would be imported") {
			t.Errorf("%s, a dry run: status %d, %q", test.from, status, out)
		}
		status, out, errs := runIn(t, nil, append(args, data)...)
		if status != test.status || !strings.HasPrefix(out, test.says) || !strings.Contains(errs, test.reported) {
			t.Errorf("%s: status %d, stdout %q, stderr %q", test.from, status, out, errs)
		}
		_, first, _ := runIn(t, nil, "export", data)
		if _, out, _ := runIn(t, nil, append(args, data)...); !strings.HasPrefix(out, "0 chats imported") {
			t.Errorf("%s, again: %q", test.from, out)
		}
		if _, second, _ := runIn(t, nil, "export", data); second != first {
			t.Errorf("%s: a second run has changed something", test.from)
		}
		if status, out, errs := runIn(t, nil, "check", data); status != 0 {
			t.Errorf("%s: check: status %d, %q, %q", test.from, status, out, errs)
		}
	}
}

// The names of users and models, and the owner's marks, are those that were asked for.
func TestImportForeignNames(t *testing.T) {
	data := filepath.Join(t.TempDir(), "parlor.db")
	runIn(t, nil, "import", "--from=openwebui", "--data="+data, "--user=u-ada=ada", "--model=gpt-4o=best", sample("openwebui-users.json"), sample("openwebui.json"))
	store, err := persistence.Open(data, persistence.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	id := chat.ID("0aa1c2d3-0000-4000-8000-000000000001")
	row, err := store.Chat(string(id.Room()))
	if err != nil || row.Owner != "ada" {
		t.Fatalf("the owner is %q, %v", row.Owner, err)
	}
	models := 0
	for e, err := range store.Read(string(id.Room()), 0) {
		if err != nil {
			t.Fatal(err)
		}
		if r, _ := chat.DecodeRecord(e.Seq, e.Data); strings.Contains(fmt.Sprintf("%+v", r), "gpt-4o") {
			t.Errorf("record %d names the model of old", e.Seq)
		} else if end, ok := r.Event.(chat.TurnEnded); ok && end.ModelID == "best" {
			models++
		}
	}
	if models != 1 {
		t.Errorf("%d answers of best", models)
	}
	mark, err := store.MarkOf(string(id.Room()), "ada")
	if err != nil || !mark.Pinned || mark.Folder != "Garden" {
		t.Errorf("the mark is %+v, %v", mark, err)
	}
}

// Input that is broken is an error with the place, and nothing is imported; a chat that is
// broken is left out, and named.
func TestImportForeignHostile(t *testing.T) {
	const sound = `{"id":"c","title":"T","create_time":1,"mapping":{"a":{"parent":null,"message":{"author":{"role":"user"},"create_time":1740900000,"content":{"content_type":"text","parts":["hi"]}}}}}`
	change := func(old, new string) string {
		if !strings.Contains(sound, old) {
			t.Fatalf("%s is not in it", old)
		}
		return strings.Replace(strings.Replace(sound, `"create_time":1,`, `"create_time":1740900000,`, 1), old, new, 1)
	}
	for says, text := range map[string]string{
		"nothing was imported: FILE: value 2, behind byte ":        "[" + change("hi", "ho") + ",{]",
		"the file ends in the middle":                              "[" + change("hi", "ho"),
		"value 1 (\"T\"): the chat: the time 1970-01-01T00:00:01Z": sound,
		"value 1: json: cannot unmarshal":                          change(`"mapping":{`, `"mapping":7,"x":{`),
		"value 1: \"9e+99\" is no time":                            change(`"create_time":1740900000,"content"`, `"create_time":9e+99,"content"`),
		`value 1: ["x"] is no text`:                                change(`"title":"T"`, `"title":["x"]`),
		`value 1 ("T"): message "a" follows itself`:                change(`"parent":null`, `"parent":"a"`),
		`the role "god" is none`:                                   change(`"role":"user"`, `"role":"god"`),
	} {
		dir := t.TempDir()
		file, data := filepath.Join(dir, "FILE"), filepath.Join(dir, "parlor.db")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		status, _, errs := runIn(t, nil, "import", "--from=chatgpt", "--owner=ada", "--data="+data, file)
		if says = strings.ReplaceAll(says, "FILE", file); status != 1 || !strings.Contains(errs, says) {
			t.Errorf("status %d, stderr %q, want %q in it", status, errs, says)
		}
		if _, err := os.Stat(data); strings.HasPrefix(says, "nothing") && err == nil {
			t.Errorf("%s: there is a data file", says)
		}
	}
}

// A chat that another user has under the same id is not touched.
func TestImportForeignOfOthers(t *testing.T) {
	data := "--data=" + filepath.Join(t.TempDir(), "parlor.db")
	runIn(t, nil, "import", "--from=chatgpt", "--owner=ada", data, sample("chatgpt.json"))
	status, out, errs := runIn(t, nil, "import", "--from=chatgpt", "--owner=bo", data, sample("chatgpt.json"))
	if status != 1 || !strings.Contains(errs, `already, which is of "ada"`) || !strings.HasPrefix(out, "0 chats imported, 0 were there already, 2 left out") {
		t.Errorf("status %d, %q, %q", status, out, errs)
	}
}

// manyChats writes an export of Open WebUI with so many chats.
func manyChats(t *testing.T, chats int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "many.json")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	text := strings.Repeat("word ", 200)
	for i := range chats {
		_ = json.NewEncoder(f).Encode(map[string]any{
			"id": fmt.Sprint("many-", i), "user_id": "u", "title": fmt.Sprint(i), "created_at": 1740900000 + i,
			"chat": map[string]any{"history": map[string]any{"messages": map[string]any{
				"q": map[string]any{"role": "user", "content": text, "timestamp": 1740900000},
				"a": map[string]any{"role": "assistant", "content": text, "parentId": "q", "timestamp": 1740900001},
			}}},
		})
	}
	return path
}

// An import that was killed goes on with the same command, and what comes of both is what an
// import at one go gives.
func TestImportForeignKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	const chats = 600
	file := manyChats(t, chats)
	whole, cut := filepath.Join(t.TempDir(), "whole.db"), filepath.Join(t.TempDir(), "cut.db")
	importInto := func(data string) *exec.Cmd {
		return parlorCmd(t.Context(), "import", "--from=openwebui", "--data="+data, file)
	}
	kills := killedIn(t, importInto, whole, cut, 8, func(int) {})
	status, out, errs := runIn(t, nil, "import", "--from=openwebui", "--data="+cut, file)
	if status != 0 || kills == 0 {
		t.Fatalf("status %d after %d kills, %q, %q", status, kills, out, errs)
	}
	var imported, there int
	if _, err := fmt.Sscanf(out, "%d chats imported, %d were there", &imported, &there); err != nil || imported+there != chats || there == 0 {
		t.Errorf("%q: %d imported and %d there, of %d", out, imported, there, chats)
	}
	_, want, _ := runIn(t, nil, "export", "--data="+whole)
	if _, got, _ := runIn(t, nil, "export", "--data="+cut); got != want {
		t.Errorf("the exports differ: %d and %d bytes", len(got), len(want))
	}
}

// The rows of a database of SQLite are read as its own command writes them.
func TestImportFromSQLite(t *testing.T) {
	sqlite, err := exec.LookPath("sqlite3")
	if err != nil {
		t.Skip("sqlite3 is not there")
	}
	dir := t.TempDir()
	db, file := filepath.Join(dir, "webui.db"), filepath.Join(dir, "chat.json")
	schema := `create table chat (id varchar, user_id varchar, title text, chat json, created_at bigint, updated_at bigint, share_id text, archived boolean, pinned boolean, meta json, folder_id text);
insert into chat values ('0aa1c2d3-0000-4000-8000-00000000000c','u','Rows','{"history":{"currentId":"a","messages":{"q":{"role":"user","content":"a \"quoted\" \\ word","timestamp":1740900000},"a":{"parentId":"q","role":"assistant","content":"yes","model":"m","timestamp":1740900001}}}}',1740900000,1740900001,null,0,0,'{}',null);`
	if out, err := exec.CommandContext(t.Context(), sqlite, db, schema).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	rows, err := exec.CommandContext(t.Context(), sqlite, "-json", db, "select * from chat").Output()
	if err == nil {
		err = os.WriteFile(file, rows, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	data := "--data=" + filepath.Join(dir, "parlor.db")
	if status, out, errs := runIn(t, nil, "import", "--from=openwebui", data, file); status != 0 || !strings.HasPrefix(out, "1 chats imported") {
		t.Fatalf("status %d, %q, %q", status, out, errs)
	}
	if _, out, _ := runIn(t, nil, "export", data); !strings.Contains(out, `a \"quoted\" \\ word`) {
		t.Error("the text did not come over")
	}
}
