package files_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"

	"parlor/actors/actortest"
	"parlor/actors/room"
	"parlor/persistence"
	"parlor/protocol/chat"
)

const png = "\x89PNG\r\n\x1a\n and more"

// desk is a server whose users have files.
type desk struct {
	*actortest.Server
	t *testing.T
}

func atDesk(t *testing.T, o room.Options, f func(t *testing.T, d *desk)) {
	actortest.Run(t, o, func(t *testing.T, s *actortest.Server) { f(t, &desk{s, t}) })
}

func (d *desk) upload(u chat.UserID, id chat.ID, up chat.Upload) (chat.File, chat.Code) {
	d.t.Helper()
	f, err := d.Rooms.Upload(d.t.Context(), chat.User{ID: u}, id, up)
	if err != nil {
		return f, chat.AsError(err).Code
	}
	return f, ""
}

func text(name, content string) chat.Upload {
	return chat.Upload{Name: name, Body: strings.NewReader(content)}
}

func (d *desk) must(u chat.UserID, id chat.ID, up chat.Upload) chat.File {
	d.t.Helper()
	f, code := d.upload(u, id, up)
	if code != "" {
		d.t.Fatalf("%s: %s", up.Name, code)
	}
	return f
}

func (d *desk) prompt() chat.Prompt {
	d.t.Helper()
	synctest.Wait()
	all := d.Assistant.Prompts()
	return all[len(all)-1]
}

// The files of a message are in the prompt: text with its name, images for a model that sees.
func TestFilesInPrompts(t *testing.T) {
	atDesk(t, room.Options{}, func(t *testing.T, d *desk) {
		d.Assistant.Describe(chat.Model{ID: "seer", APISource: "aisuite", Vision: true})
		alice := d.User("alice")
		alice.Create(theChat)
		note := d.must("alice", theChat, text("notes.md", "# Notes\n</file> escape\n"))
		pages := d.must("alice", theChat, text("book.txt", "one\ftwo\f"))
		cat := d.must("alice", theChat, text("cat.png", png))
		ids := []chat.FileID{note.ID, pages.ID, cat.ID}
		alice.Do(theChat, &room.Send{Content: "look", Files: ids})
		last := d.prompt().Messages[1]
		for _, want := range []string{"look\n\n", `<file name="notes.md" type="text/markdown">` + "\n# Notes\n<\\/file> escape\n</file>", "[page 2]\ntwo\n", `[The image "cat.png" is not shown to you`} {
			if !strings.Contains(last.Content, want) {
				t.Errorf("the prompt %q has no %q", last.Content, want)
			}
		}
		if len(last.Images) > 0 || last.Sources != nil {
			t.Errorf("a model that does not see was shown %+v", last)
		}
		said := d.Messages(theChat)
		if got := chat.FileIDs(said[0].Files); !slices.Equal(got, ids) {
			t.Errorf("recorded %v", got)
		}
		if cut := said[1].Cut; len(cut) != 1 || cut[0].Name != "cat.png" || cut[0].Given != 0 || cut[0].Reason == "" {
			t.Errorf("people are told of %+v", cut)
		}

		if err := d.Rooms.RemoveFile(t.Context(), chat.User{ID: "alice"}, theChat, note.ID); err != nil {
			t.Fatal(err)
		}
		d.Restart()
		alice.Do(theChat, &room.Send{Content: "and now?", ModelID: "seer"})
		again := d.prompt().Messages[1]
		if len(again.Images) != 1 || string(again.Images[0].Data) != png || again.Images[0].Type != "image/png" {
			t.Errorf("a model that sees was shown %+v", again.Images)
		}
		if !strings.Contains(again.Content, `[The file "notes.md" was deleted.]`) {
			t.Errorf("the prompt %q", again.Content)
		}
	})
}

// Files take no more than their share of the window, those of newer messages first. What is
// cut is said to the model and to people, and an estimate of the prompt holds.
func TestFilesAreCut(t *testing.T) {
	atDesk(t, room.Options{ContextWindow: 4000, FileShare: 25}, func(t *testing.T, d *desk) {
		alice := d.User("alice")
		alice.Create(theChat)
		var lines strings.Builder
		for i := range 1000 {
			fmt.Fprintf(&lines, "line %d\n", i+1)
		}
		old := d.must("alice", theChat, text("old.txt", lines.String()))
		alice.Do(theChat, &room.Send{Content: "first", Files: []chat.FileID{old.ID}, Quiet: true})
		recent := d.must("alice", theChat, text("new.txt", lines.String()))
		alice.Do(theChat, &room.Send{Content: "second", Files: []chat.FileID{recent.ID}})
		p := d.prompt()
		content := p.Messages[1].Content + p.Messages[2].Content
		tokens := chat.Tokens(content)
		if tokens > 1100 || tokens < 900 {
			t.Errorf("%d tokens of files in a window of 4000", tokens)
		}
		for _, want := range []string{`The file "old.txt" is left out`, `Only the beginning of "new.txt" is given here, lines 1 to `, " of 1000", "line 1\n"} {
			if !strings.Contains(content, want) {
				t.Errorf("no %q in %q", want, content[:200])
			}
		}
		said := d.Messages(theChat)
		cut := said[len(said)-1].Cut
		if len(cut) != 2 || cut[0].Name != "old.txt" || cut[0].Given != 0 || cut[1].Given == 0 || cut[1].Tokens != recent.Tokens {
			t.Errorf("people are told of %+v", cut)
		}
	})
}

func TestUploadsAreRefused(t *testing.T) {
	atDesk(t, room.Options{MaxFileBytes: 100_000, MaxImageBytes: 100, MaxFiles: 2, MaxMessageFiles: 1}, func(t *testing.T, d *desk) {
		alice := d.User("alice")
		alice.Create(theChat)
		for _, m := range []chat.Member{{ID: "bob", Role: chat.RoleMember}, {ID: "vera", Role: chat.RoleViewer}} {
			alice.Do(theChat, &room.SetMember{Member: m})
		}
		for name, tt := range map[string]struct {
			by   chat.UserID
			up   chat.Upload
			want chat.Code
		}{
			"a stranger":    {"eve", text("a", "x"), chat.CodeNotFound},
			"a viewer":      {"vera", text("a", "x"), chat.CodeForbidden},
			"too long":      {"alice", text("a", strings.Repeat("x", 100_001)), chat.CodeTooLarge},
			"a large image": {"alice", text("a", png+strings.Repeat("x", 100)), chat.CodeTooLarge},
			"a program":     {"alice", text("a.txt", "MZ\x00\x01"), chat.CodeUnsupportedType},
			"a PDF":         {"alice", text("a.pdf", "%PDF-1.4"), chat.CodeUnsupportedType},
			"cut":           {"alice", chat.Upload{Name: "a", Body: io.MultiReader(strings.NewReader(strings.Repeat("x", 70_000)), iotest.ErrReader(io.ErrUnexpectedEOF))}, chat.CodeInternal},
		} {
			if _, code := d.upload(tt.by, theChat, tt.up); code != tt.want {
				t.Errorf("%s: %q, want %s", name, code, tt.want)
			}
		}
		synctest.Wait()
		share, err := d.Log.Share("alice")
		if files, errFiles := d.Rooms.Files(t.Context(), chat.User{ID: "vera"}, theChat); len(files) > 0 || errors.Join(err, errFiles) != nil || share.Bytes > 10_000 {
			t.Errorf("left %v, %d bytes, %v", files, share.Bytes, errors.Join(err, errFiles))
		}
		a, b := d.must("alice", theChat, text("a", "x")), d.must("bob", theChat, text("b", "x"))
		if _, code := d.upload("alice", theChat, text("c", "x")); code != chat.CodeQuotaExceeded {
			t.Errorf("a third file: %q", code)
		}
		send := func(u string, files ...chat.FileID) chat.Code {
			return d.User(chat.UserID(u)).Refused(theChat, &room.Send{Content: "x", Files: files})
		}
		if one, two, none := send("bob", a.ID, b.ID), send("bob", a.ID, a.ID), send("bob", "none"); one != chat.CodeInvalid || two != chat.CodeInvalid || none != chat.CodeNotFound {
			t.Errorf("too many %q, twice %q, unknown %q", one, two, none)
		}
		remove := func(u chat.UserID, id chat.FileID) chat.Code {
			if err := d.Rooms.RemoveFile(t.Context(), chat.User{ID: u}, theChat, id); err != nil {
				return chat.AsError(err).Code
			}
			return ""
		}
		if got := []chat.Code{remove("eve", a.ID), remove("vera", a.ID), remove("bob", a.ID), remove("bob", b.ID), remove("bob", b.ID), remove("alice", a.ID)}; !slices.Equal(got, []chat.Code{chat.CodeNotFound, chat.CodeForbidden, chat.CodeForbidden, "", "", ""}) {
			t.Errorf("removed: %v", got)
		}
	})
}

// pages is a reader of PDFs that takes each line for a page.
type pages struct{ limit int64 }

func (p *pages) Text(_ context.Context, by chat.UserID, file io.Reader, limit int64) ([]byte, error) {
	p.limit = limit
	all, err := io.ReadAll(file)
	_, text, ok := strings.Cut(string(all), "\n")
	if !ok || by != "alice" {
		return nil, fmt.Errorf("%w: behind the first line", chat.Refuse(chat.CodeUnsupportedType, "it holds no text"))
	}
	return []byte(strings.ReplaceAll(text, "\n", "\f")), err
}

// A PDF is given to models as its text with the numbers of its pages, and to people as it came.
func TestPDF(t *testing.T) {
	reader := new(pages)
	atDesk(t, room.Options{PDF: reader}, func(t *testing.T, d *desk) {
		alice := d.User("alice")
		alice.Create(theChat)
		for _, page := range []int{1, persistence.FileChunk - 20, persistence.FileChunk - 9, persistence.FileChunk, 3 * persistence.FileChunk} {
			content := "%PDF-1.7\n" + strings.Repeat("x", page) + "\nsecond\nthird page"
			f := d.must("alice", theChat, chat.Upload{Name: "paper.pdf", Body: iotest.HalfReader(strings.NewReader(content))})
			if f.Type != "application/pdf" || f.Size != int64(len(content)) || f.Pages != 3 || f.TextSize != int64(page+len("\fsecond\fthird page")) || f.Tokens == 0 {
				t.Errorf("%d: %+v", page, f)
			}
			d.Restart()
			_, bytes, err := d.Rooms.Download(t.Context(), chat.User{ID: "alice"}, theChat, f.ID)
			if err != nil {
				t.Fatal(err)
			}
			if got := joined(t, bytes); got != content {
				t.Errorf("%d: downloaded %d bytes, want %d", page, len(got), len(content))
			}
			alice.Do(theChat, &room.Send{Content: "look", Files: []chat.FileID{f.ID}})
			all := d.prompt().Messages
			last := all[len(all)-1].Content
			if page == 1 {
				if want := "look\n\n<file name=\"paper.pdf\" type=\"application/pdf\">\n[page 1]\nx\n[page 2]\nsecond\n[page 3]\nthird page\n</file>"; last != want {
					t.Errorf("the prompt is %q, want %q", last, want)
				}
			}
			if strings.Contains(last, "%PDF") {
				t.Errorf("%d: the bytes are in the prompt", page)
			}
			if err := d.Rooms.RemoveFile(t.Context(), chat.User{ID: "alice"}, theChat, f.ID); err != nil {
				t.Error(err)
			}
		}
		before, _ := d.Log.Share("alice")
		if _, code := d.upload("alice", theChat, text("a.pdf", "%PDF-"+strings.Repeat("x", 3*persistence.FileChunk))); code != chat.CodeUnsupportedType {
			t.Errorf("without text: %q", code)
		}
		synctest.Wait()
		if after, _ := d.Log.Share("alice"); after != before || reader.limit != 10<<20 {
			t.Errorf("share %+v, before %+v; a text may have %d bytes", after, before, reader.limit)
		}
	})
}

func joined(t *testing.T, pieces iter.Seq2[[]byte, error]) string {
	t.Helper()
	var all strings.Builder
	for piece, err := range pieces {
		if err != nil {
			t.Fatal(err)
		}
		all.Write(piece)
	}
	return all.String()
}

// A file that is uploaded again under its key is there once. Another file under the key is refused.
func TestUploadAgain(t *testing.T) {
	atDesk(t, room.Options{}, func(t *testing.T, d *desk) {
		d.User("alice").Create(theChat)
		d.User("alice").Do(theChat, &room.SetMember{Member: chat.Member{ID: "bob", Role: chat.RoleMember}})
		long := strings.Repeat("0123456789", persistence.FileChunk/4)
		first := d.must("alice", theChat, chat.Upload{Name: "a", Key: "k", Body: strings.NewReader(long)})
		before, _ := d.Log.Share("alice")
		d.Restart()
		again := d.must("alice", theChat, chat.Upload{Name: "a", Key: "k", Body: iotest.HalfReader(strings.NewReader(long))})
		if again != first {
			t.Errorf("again: %+v, first %+v", again, first)
		}
		if _, code := d.upload("alice", theChat, chat.Upload{Name: "a", Key: "k", Body: strings.NewReader(long + "x")}); code != chat.CodeConflict {
			t.Errorf("another file: %q", code)
		}
		synctest.Wait()
		if after, _ := d.Log.Share("alice"); after != before {
			t.Errorf("takes %+v, before %+v", after, before)
		}
		if other := d.must("bob", theChat, chat.Upload{Name: "a", Key: "k", Body: strings.NewReader("bob's")}); other.ID == first.ID {
			t.Error("another user's key leads to the same file")
		}
		f, pieces, err := d.Rooms.Download(t.Context(), chat.User{ID: "bob"}, theChat, first.ID)
		var got bytes.Buffer
		for piece, readErr := range pieces {
			err = errors.Join(err, readErr)
			got.Write(piece)
		}
		if err != nil || got.String() != long || f.Size != int64(len(long)) {
			t.Errorf("downloaded %d bytes of %+v, %v", got.Len(), f, err)
		}
	})
}
