package main

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"parlor/actors/conversation"
	"parlor/persistence"
	"parlor/protocol/chat"
)

// Bytes of files that begin as such files do.
const (
	webp = "RIFF\x10\x00\x00\x00WEBPVP8 a red kite"
	jpeg = "\xff\xd8\xff\xe0 dough"
)

// folderOf writes files into a new folder, by their paths.
func folderOf(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// zipOf writes files into a new zip, under any names. One that begins with "link:" is a
// symbolic link to what is in it.
func zipOf(t *testing.T, files map[string]string) string {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "export.zip"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z := zip.NewWriter(f)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		content, isLink := strings.CutPrefix(files[name], "link:")
		header := &zip.FileHeader{Name: name, Method: zip.Deflate}
		header.SetMode(0o600)
		if isLink {
			header.SetMode(0o777 | fs.ModeSymlink)
		}
		w, err := z.CreateHeader(header)
		if err == nil {
			_, err = io.WriteString(w, content)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return f.Name()
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// filesIn are the files of all chats as they are downloaded, and as the messages name them, sorted.
func filesIn(t *testing.T, data string) (kept, named []string) {
	t.Helper()
	store, err := persistence.Open(data, persistence.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	rooms, err := store.ChatsAfter("", 1000)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range rooms {
		files, err := store.Files(id)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			info, err := conversation.ReadFile(f)
			var content []byte
			for piece, readErr := range store.Chunks(id, f, 0) {
				content, err = append(content, piece...), readErr
			}
			if err != nil {
				t.Fatal(err)
			}
			kept = append(kept, fmt.Sprintf("%s %s %d tokens: %q", info.Name, info.Type, info.Tokens, content))
		}
		for e, err := range store.Read(id, 0) {
			r, decodeErr := chat.DecodeRecord(e.Seq, e.Data)
			if err != nil || decodeErr != nil {
				t.Fatal(err, decodeErr)
			}
			if said, ok := r.Event.(chat.MessageAdded); ok {
				for _, f := range said.Files {
					named = append(named, fmt.Sprintf("%s %s %d bytes %d tokens", f.Name, f.Type, f.Size, f.Tokens))
				}
			}
		}
	}
	slices.Sort(kept)
	slices.Sort(named)
	return kept, named
}

// The bytes of attachments come from a folder or a zip as each server lays it out, once, also when
// the chats are there already; what they are follows from the bytes.
func TestImportAttachments(t *testing.T) {
	conversations := read(t, sample("chatgpt.json"))
	pointer := strings.Replace(conversations, `"attachments":[{"id":"file-AbC","name":"kite.webp","size":900,"mimeType":"image/webp"}]`, "", 1)
	const picture = "3c8b7a60-0000-4000-8000-0000000000f3"
	const webuiRow, soil, png = "openwebui.json", "9c8b7a60-0000-4000-8000-0000000000f2", "image image/png 1600 tokens: \"\\x89PNG\\r\\n\\x1a\\n\""
	const loaf, plan = "f00df00d-0000-4000-8000-000000000001", "0f1e2d3c-0000-4000-8000-0000000000f1"
	kite, dough := fmt.Sprintf("kite.webp image/webp 1600 tokens: %q", webp), fmt.Sprintf("dough.jpg image/jpeg 1600 tokens: %q", jpeg)
	withPath := strings.Replace(read(t, sample("librechat.json")), `"filename":"dough.jpg"`, `"filename":"dough.jpg","filepath":"/images/u1/a%20b.jpg?manual=true"`, 1)
	withKey := strings.Replace(read(t, sample("mongo.json")), `"object_key":"k"`, `"object_key":"chats/5b9c/harbour plan.txt"`, 1)
	for name, tt := range map[string]struct {
		from   string
		export map[string]string // files of the export; empty: the archive has it
		in     func(*testing.T, map[string]string) string
		files  map[string]string
		want   []string
		rare   bool
	}{
		"ChatGPT, a zip":              {"chatgpt", nil, zipOf, map[string]string{"conversations.json": conversations, "file-AbC-kite.webp": webp, "file-AbCd.webp": "no"}, []string{kite}, false},
		"ChatGPT, numbered below top": {"chatgpt", nil, zipOf, map[string]string{"x/conversations-000.json": conversations, "x/user-1/file-AbC-kite.webp": webp, "x/y/conversations-1.json": "{"}, []string{kite}, true},
		"ChatGPT, .dat, unpacked": {"chatgpt", nil, folderOf, map[string]string{"conversations.json": pointer, "file-AbC.dat": webp,
			"conversation_asset_file_names.json": `{"file-AbC.dat":"dalle/kite.webp"}`}, []string{kite}, true},
		"Open WebUI, uploads": {"openwebui", map[string]string{"a.json": read(t, sample(webuiRow))}, folderOf, map[string]string{soil + "_soil.csv": "a,b\n"}, []string{png, `soil.csv text/csv 1 tokens: "a,b\n"`}, false},
		"Open WebUI, an image by its path": {"openwebui", map[string]string{"a.json": strings.Replace(read(t, sample(webuiRow)), "data:image/png;base64,iVBORw0KGgo=", "/api/v1/files/"+picture+"/content", 1)}, folderOf,
			map[string]string{picture + "_x.png": "\x89PNG\r\n\x1a\n", soil + "_soil.csv": "a,b\n"}, []string{png, `soil.csv text/csv 1 tokens: "a,b\n"`}, true},
		"Open WebUI, the bytes within": {"openwebui", map[string]string{"a.json": read(t, sample(webuiRow))}, nil, nil, []string{png}, true},
		"LibreChat, images by id":      {"librechat", map[string]string{"a.json": read(t, sample("librechat.json"))}, folderOf, map[string]string{"images/u1/" + loaf + "__dough.jpg": jpeg}, []string{dough}, true},
		"LibreChat, by path":           {"librechat", map[string]string{"a.json": withPath}, zipOf, map[string]string{"u1/a%20b.jpg": jpeg, "u2/a%20b.jpg": "no"}, []string{dough}, false},
		"MongoDB, an object store": {"mongo", map[string]string{"a.json": withKey}, folderOf, map[string]string{"bucket/chats/5b9c/harbour plan.txt": "out\n", "bucket/chats/other/harbour plan.txt": "no"},
			[]string{`harbour plan.txt text/plain 1 tokens: "out\n"`}, false},
		"MongoDB, a folder for each": {"mongo", map[string]string{"a.json": read(t, sample("mongo.json"))}, zipOf, map[string]string{"u/" + plan + "/content": "out\n"}, []string{`harbour plan.txt text/plain 1 tokens: "out\n"`}, true},
	} {
		t.Run(name, func(t *testing.T) {
			if testing.Short() && tt.rare {
				t.Skip("one of each kind is enough")
			}
			data := filepath.Join(t.TempDir(), "parlor.db")
			args := []string{"import", "--from=" + tt.from, "--owner=ada", "--data=" + data}
			exports := folderOf(t, tt.export)
			for file := range tt.export {
				args = append(args, filepath.Join(exports, file))
			}
			if len(tt.export) > 0 && tt.in != nil { // the archive comes later
				runIn(t, nil, args...)
			}
			if tt.in != nil {
				args = append(args, tt.in(t, tt.files))
			}
			for range 2 {
				_, out, errs := runIn(t, nil, args...)
				if kept, _ := filesIn(t, data); !slices.Equal(kept, tt.want) || strings.Contains(errs, "without its bytes") {
					t.Errorf("kept %q, want %q\n%s%s", kept, tt.want, out, errs)
				}
			}
			if status, out, errs := runIn(t, nil, "check", "--data="+data); status != 0 {
				t.Errorf("check: status %d, %q, %q", status, out, errs)
			}
		})
	}
}

// A message says of its files what their bytes are. Those that are missing, and those that nobody
// could send, are named one by one, and their chat comes nevertheless.
func TestImportAttachmentsRefused(t *testing.T) {
	files := []map[string]any{}
	for id, name := range []string{"text.md", "program.exe", "large.txt", "missing.txt", "picture.png", "text.md", "over.txt"} {
		files = append(files, map[string]any{"type": "file", "id": fmt.Sprintf("file-000%d", id%5), "name": name})
	}
	files[6]["id"] = "file-0006"
	said := map[string]any{"role": "user", "content": "look", "timestamp": 1740900000, "files": files}
	row, err := json.Marshal(map[string]any{"id": "chat-0001", "user_id": "ada", "title": "Files", "chat": map[string]any{"history": map[string]any{"messages": map[string]any{"q": said}}}})
	if err != nil {
		t.Fatal(err)
	}
	export := filepath.Join(folderOf(t, map[string]string{"chats.json": string(row)}), "chats.json")
	uploads := folderOf(t, map[string]string{
		"file-0000_x": "# text\n", "file-0001_x": "MZ\x00\x00", "file-0002_x": strings.Repeat("x", 5000), "file-0004_x": "\x89PNG\r\n\x1a\n" + strings.Repeat("x", 1000),
		"file-0006_x": strings.Repeat("y", 900),
	})
	data := filepath.Join(t.TempDir(), "parlor.db")
	limits := []string{"--max-file-bytes=4000", "--max-image-bytes=999", "--max-files-per-chat=1"}
	args := append([]string{"import", "--from=openwebui", "--data=" + data, export, uploads}, limits...)
	if status, out, errs := runIn(t, nil, append(args, "--dry-run")...); status != 0 || !strings.Contains(out, "the bytes of 2 attachments would be imported, those of 4 not") {
		t.Errorf("a dry run: status %d, %q, %q", status, out, errs)
	}
	status, out, errs := runIn(t, nil, args...)
	if status != 0 || !strings.Contains(out, "1 messages, 0 answers, 7 attachments\nthe bytes of 1 attachments imported, those of 5 not\n") || strings.Count(errs, "\n") != 5 {
		t.Errorf("status %d, %q, %q", status, out, errs)
	}
	for _, says := range []string{
		`chats.json: value 1 ("Files"): attachment "program.exe": unsupported_type: only text`, `attachment "large.txt": it has more than the 4000 bytes`, `attachment "missing.txt": its bytes are not there`,
		`attachment "picture.png": it has 1008 bytes, an image may have 999`, `attachment "over.txt": the chat has 1 files, as many as it may`,
	} {
		if !strings.Contains(errs, says) {
			t.Errorf("%q is not in %q", says, errs)
		}
	}
	kept, named := filesIn(t, data)
	if want := []string{`text.md text/markdown 2 tokens: "# text\n"`}; !slices.Equal(kept, want) {
		t.Errorf("kept %q", kept)
	}
	if want := []string{"large.txt application/octet-stream 0 bytes 0 tokens", "text.md text/markdown 7 bytes 2 tokens"}; !slices.Contains(named, want[0]) || !slices.Contains(named, want[1]) {
		t.Errorf("named %q", named)
	}

	// A file that was over a limit comes with the next run, if the limit is higher then, unless the owner has too much.
	full := append(args[:len(args):len(args)], "--max-files-per-chat=9", "--max-bytes-per-user=1500")
	if _, out, errs := runIn(t, nil, full...); !strings.Contains(errs, `attachment "over.txt": the chats of "ada" take as much space as they may`) {
		t.Errorf("%q, %q", out, errs)
	}
	if _, out, errs := runIn(t, nil, append(args, "--max-files-per-chat=9")...); !strings.Contains(out, "0 chats imported, 1 were there already") || !strings.Contains(out, "the bytes of 1 attachments") {
		t.Errorf("%q, %q", out, errs)
	}
	if status, out, errs := runIn(t, nil, "check", "--data="+data); status != 0 {
		t.Errorf("check: status %d, %q, %q", status, out, errs)
	}
}

// Names that lead out of an archive, links and bombs reach nothing.
func TestImportAttachmentsHostile(t *testing.T) {
	conversations := strings.ReplaceAll(read(t, sample("chatgpt.json")), "900", "7")
	secret := folderOf(t, map[string]string{"file-AbC-secret.txt": "secret"})
	linked := folderOf(t, map[string]string{"conversations.json": conversations})
	for name, to := range map[string]string{"file-AbC-kite.webp": filepath.Join(secret, "file-AbC-secret.txt"), "folder": secret} {
		if err := os.Symlink(to, filepath.Join(linked, name)); err != nil {
			t.Fatal(err)
		}
	}
	bomb := "RIFF\x10\x00\x00\x00WEBP" + strings.Repeat("\x00", 5<<20)
	for name, tt := range map[string]struct{ archive, says, out string }{
		"links of a folder":  {linked, "its bytes are not there", "note: 2 files of an archive that are links"},
		"a link of a zip":    {zipOf(t, map[string]string{"conversations.json": conversations, "file-AbC-kite.webp": "link:" + secret + "/file-AbC-secret.txt"}), "its bytes are not there", "note: 1 files of an archive that are links"},
		"paths out of a zip": {zipOf(t, map[string]string{"conversations.json": conversations, "../../file-AbC-kite.webp": webp, "/file-AbC.webp": webp, "a//file-AbC.webp": webp}), "its bytes are not there", "note: 3 files of an archive"},
		"a bomb":             {zipOf(t, map[string]string{"conversations.json": conversations, "file-AbC-kite.webp": bomb}), "an image may have", "of 0 attachments"},
		"another file":       {zipOf(t, map[string]string{"conversations.json": conversations, "file-AbCd-kite.webp": webp}), "its bytes are not there", "of 0 attachments"},
	} {
		t.Run(name, func(t *testing.T) {
			data := filepath.Join(t.TempDir(), "parlor.db")
			_, out, errs := runIn(t, nil, "import", "--from=chatgpt", "--owner=ada", "--data="+data, tt.archive)
			if !strings.Contains(errs, tt.says) || !strings.Contains(out, tt.out) || !strings.Contains(out, "1 chats imported") {
				t.Errorf("%q, %q", out, errs)
			}
			if kept, _ := filesIn(t, data); len(kept) > 0 {
				t.Errorf("kept %.200q", kept)
			}
		})
	}
	for name, tt := range map[string]struct{ archive, says string }{
		"a cut zip":      {filepath.Join(folderOf(t, map[string]string{"x.zip": read(t, zipOf(t, map[string]string{"conversations.json": conversations}))[:300]}), "x.zip"), "not a valid zip file"},
		"an empty zip":   {zipOf(t, map[string]string{"x": ""}), "no export beside or in it"},
		"an odd mapping": {zipOf(t, map[string]string{"conversations.json": conversations, titlesFile: "[1]"}), titlesFile},
	} {
		data := filepath.Join(t.TempDir(), "parlor.db")
		if status, _, errs := runIn(t, nil, "import", "--from=chatgpt", "--owner=ada", "--data="+data, tt.archive); status == 0 || !strings.Contains(errs, tt.says) {
			t.Errorf("%s: status %d, %q", name, status, errs)
		}
		if _, err := os.Stat(data); err == nil {
			t.Errorf("%s: there is a data file", name)
		}
	}
}

// fakePDF finds the same text in each PDF file.
type fakePDF struct{}

func (fakePDF) Text(_ context.Context, _ chat.UserID, file io.Reader, _ int64) ([]byte, error) {
	b, err := io.ReadAll(file)
	return bytes.ToUpper(b[len(b)-4:]), err
}

// The text of a PDF lies behind its bytes, whose last piece is no whole one.
func TestImportPDF(t *testing.T) {
	s := &Settings{Values: Values{MaxFileBytes: 1 << 20, MaxFilesPerChat: 10}}
	a := attachments{ctx: t.Context(), s: s, pdf: fakePDF{}}
	content := "%PDF-1.7\n\xff" + strings.Repeat("x", persistence.FileChunk) + "text"
	var whole bytes.Buffer
	kept, err := a.examine(func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(content)), nil }, "a.pdf", "ada", &whole)
	if err != nil || kept.Type != "application/pdf" || kept.Size != int64(len(content)) || kept.TextSize != 4 || whole.String() != content+"TEXT" {
		t.Errorf("%+v, %v", kept, err)
	}
	a.pdf = nil
	if _, err := a.examine(func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(content)), nil }, "a.pdf", "ada", io.Discard); !errors.Is(err, chat.ErrPDF) {
		t.Error(err)
	}
}

// An import that is killed among its files goes on with the same command.
func TestImportAttachmentsKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	const chats = 40
	var rows strings.Builder
	uploads := make(map[string]string)
	for i := range chats {
		id := fmt.Sprintf("file-%04d", i)
		said := map[string]any{"role": "user", "content": "look", "timestamp": 1740900000, "files": []any{map[string]any{"type": "file", "id": id, "name": "a.txt"}}}
		_ = json.NewEncoder(&rows).Encode(map[string]any{"id": fmt.Sprintf("chat-%04d", i), "user_id": "ada", "title": "T", "chat": map[string]any{"history": map[string]any{"messages": map[string]any{"q": said}}}})
		uploads[id+"_a.txt"] = strings.Repeat(fmt.Sprintf("line %d\n", i), 60_000)
	}
	export, folder := filepath.Join(folderOf(t, map[string]string{"chats.json": rows.String()}), "chats.json"), folderOf(t, uploads)
	whole, cut := filepath.Join(t.TempDir(), "whole.db"), filepath.Join(t.TempDir(), "cut.db")
	kills := killedIn(t, func(data string) *exec.Cmd {
		return parlorCmd(t.Context(), "import", "--from=openwebui", "--data="+data, export, folder)
	}, whole, cut, 8, func(int) {})
	if status, out, errs := runIn(t, nil, "import", "--from=openwebui", "--data="+cut, export, folder); status != 0 || kills == 0 {
		t.Fatalf("status %d after %d kills, %q, %q", status, kills, out, errs)
	}
	want, _ := filesIn(t, whole)
	if got, _ := filesIn(t, cut); len(want) != chats || !slices.Equal(got, want) {
		t.Errorf("%d files, want %d of %d chats", len(got), len(want), chats)
	}
	if status, out, errs := runIn(t, nil, "check", "--data="+cut); status != 0 {
		t.Errorf("check: status %d, %q, %q", status, out, errs)
	}
}
