package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"parlor/actors/conversation"
	"parlor/persistence"
	"parlor/protocol/chat"
	"parlor/protocol/exports"
)

// Limits of an import. One chat is held in memory and written in one
// transaction.
const (
	maxLineBytes = 64 << 20
	maxChatBytes = 1 << 30
)

// importCmd adds chats to the data file.
type importCmd struct {
	From         string            `enum:"parlor,mongo,openwebui,librechat,chatgpt" default:"parlor" help:"Who has written the files: parlor, mongo (the assistant web server), openwebui, librechat or chatgpt."`
	SkipExisting bool              `help:"Leave chats that exist as they are, instead of importing nothing."`
	Owner        string            `placeholder:"NAME" help:"With another server's files: the user whose chats all of them become."`
	Users        map[string]string `name:"user" placeholder:"OLD=NEW" mapsep:"none" help:"With another server's files: a user is called otherwise here. May be repeated."`
	Models       map[string]string `name:"model" placeholder:"OLD=NEW" mapsep:"none" help:"With another server's files: a model is called otherwise here. May be repeated."`
	DryRun       bool              `help:"With another server's files: say what would come, and write nothing."`
	Files        []string          `arg:"" name:"file" optional:"" help:"What parlor export, or the other server, has written; of another server also a directory or a zip with the bytes of attachments. Without one, or with -, it is read from the standard input."`

	Values
}

// Help implements [kong.HelpProvider].
func (*importCmd) Help() string {
	return `Adds the chats of an export to the data file, which is made if it is missing. No server may be running on it. All lines are checked before the first chat is written; a chat is written as a whole or not at all.

    parlor import chats.jsonl
    parlor export | parlor import --data other.db

With --from it reads what other servers export (docs/migrating-openwebui.md and docs/migrating-assistant.md). Chats that are there already are left alone, so the same command can be repeated, and goes on where it was cut:

    parlor import --from mongo chats.json messages.json users.json
    parlor import --from openwebui users.json chats.json uploads/
    parlor import --from librechat --owner alice conversation.json images/
    parlor import --from chatgpt --owner alice export.zip

A directory or a zip among the files has the bytes of attachments, and with ChatGPT the conversations too. They have the limits of uploads, and those that do not come are named.`
}

// Run checks all of the export, and then imports it.
func (c *importCmd) Run(ctx context.Context, s *Settings, out *streams) error {
	if c.From != "" && c.From != "parlor" {
		return c.runForeign(ctx, s, out)
	}
	if len(c.Files) > 1 || c.Owner != "" || len(c.Users)+len(c.Models) > 0 || c.DryRun {
		return usageError{errors.New("import: parlor's own export is one file, and has no use for --owner, --user, --model and --dry-run")}
	}
	file := ""
	if len(c.Files) > 0 {
		file = c.Files[0]
	}
	in, err := openTwice(file, s)
	if err != nil {
		return fmt.Errorf("import: %w", err)
	}
	defer in.Close()
	i := &importer{ctx: ctx, skip: c.SkipExisting}
	add := i.addTo
	if _, err := os.Lstat(s.Data); errors.Is(err, fs.ErrNotExist) {
		add = i.makeFile
	}
	if err := add(s, in); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out.stdout, "%d chats imported, %d skipped\n", i.imported, i.skipped)
	return err
}

// makeFile imports into a data file that does not exist. If that fails there is
// none afterwards: the file is made only if the whole export is sound, and taken
// away while nobody else can have it open.
func (i *importer) makeFile(s *Settings, in *os.File) error {
	if err := i.read(in, func(*importedChat) error { return nil }); err != nil {
		return fmt.Errorf("import: %w", err)
	}
	store, err := openForImport(s, persistence.Quota{})
	if errors.Is(err, persistence.ErrLocked) {
		return err // somebody else has made it meanwhile
	}
	if err != nil {
		os.Remove(s.Data)
		return err
	}
	i.store = store
	if err = i.read(in, i.write); err != nil {
		err = errors.Join(err, os.Remove(s.Data))
	}
	if err := errors.Join(err, store.Close()); err != nil {
		return fmt.Errorf("import: %w", err)
	}
	return nil
}

// addTo imports into a data file that exists.
func (i *importer) addTo(s *Settings, in *os.File) error {
	store, err := openForImport(s, persistence.Quota{})
	if err != nil {
		return err
	}
	i.store = store
	if err := errors.Join(i.run(in), store.Close()); err != nil {
		return fmt.Errorf("import: %w", err)
	}
	return nil
}

func openForImport(s *Settings, quota persistence.Quota) (*persistence.Store, error) {
	store, err := withKeys(s, func(ring persistence.KeyRing) (*persistence.Store, error) {
		return persistence.Open(s.Data, persistence.Options{Quota: quota, Charges: conversation.Charges, MessageID: conversation.MessageID, MaxCommitBytes: maxChatBytes, QueueBytes: maxChatBytes, Keys: ring})
	})
	if errors.Is(err, persistence.ErrLocked) {
		return nil, fmt.Errorf("%w; stop the server first", err)
	}
	return store, err
}

// openTwice returns a file that can be read twice. Input from a pipe is copied to a
// temporary file beside the data file.
func openTwice(name string, s *Settings) (*os.File, error) {
	var in io.Reader = os.Stdin
	if name != "" && name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		switch info, err := f.Stat(); {
		case err == nil && info.Mode().IsRegular():
			return f, nil
		case err == nil && info.IsDir():
			return nil, errors.Join(fmt.Errorf("%s is a directory", name), f.Close())
		}
		defer f.Close()
		in = f
	}
	f, err := os.CreateTemp(filepath.Dir(s.Data), ".import.*")
	if err != nil {
		return nil, err
	}
	os.Remove(f.Name()) // it exists as long as it is open
	if _, err := io.Copy(f, in); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

type importer struct {
	ctx               context.Context
	store             *persistence.Store
	skip              bool
	imported, skipped int
}

// run reads the export twice: first to check it, then to import it.
func (i *importer) run(in io.ReadSeeker) error {
	var existing []string
	err := i.read(in, func(c *importedChat) error {
		_, err := i.store.Chat(string(c.info.Room))
		switch {
		case errors.Is(err, persistence.ErrNotFound):
			return nil
		case err == nil && !i.skip:
			existing = append(existing, string(c.info.ID))
		}
		return err
	})
	if err != nil {
		return err
	}
	if len(existing) > 0 {
		return fmt.Errorf("nothing was imported, since there are chats that exist already (with --skip-existing they are left as they are):\n    %s", strings.Join(existing, "\n    "))
	}
	return i.read(in, i.write)
}

// write commits one chat, unless it is there.
func (i *importer) write(c *importedChat) error {
	_, err := i.store.Chat(string(c.info.Room))
	if !errors.Is(err, persistence.ErrNotFound) {
		i.skipped++
		return err
	}
	done := make(chan error, 1)
	i.store.Append(c.commit(), func(err error) { done <- err })
	if err := <-done; err != nil {
		return err
	}
	i.imported++
	return nil
}

// writeMarked commits a chat, and what its owner has noted of it. Both are queued at once, so
// that they nearly always share a transaction.
func (i *importer) writeMarked(c *importedChat, from *exports.Chat) error {
	done := make(chan error, 2)
	i.store.Append(c.commit(), func(err error) { done <- err })
	if !from.Pinned && !from.Archived && from.Folder == "" {
		return <-done
	}
	owner, folder := string(c.info.Owner), chat.OneLine(from.Folder)
	i.store.Mark(string(c.info.Room), owner, owner, persistence.MarkChange{Pinned: &from.Pinned, Archived: &from.Archived, Folder: &folder},
		func(_ persistence.Mark, err error) { done <- err })
	return errors.Join(<-done, <-done)
}

// An importedChat is a chat, as far as it has been read.
type importedChat struct {
	info    chat.Info
	row     []byte
	want    uint64 // records
	fold    conversation.Fold
	entries [][]byte
	bytes   int
}

func (c *importedChat) commit() persistence.Commit {
	row, open := c.fold.Row(), c.fold.Open()
	return persistence.Commit{
		Room: row.Room, Entries: c.entries, Keys: c.fold.Keys(), Messages: c.fold.Messages(),
		Chat: &row, Turn: &open, Charges: c.fold.Charges(),
	}
}

// complete returns what is wrong with the chat, once all its records have been
// read.
func (c *importedChat) complete() error {
	if got := uint64(len(c.entries)); got != c.want || got == 0 {
		return fmt.Errorf("chat %q has %d records, and says %d", c.info.ID, got, c.want)
	}
	if row := c.fold.Row(); row.Room != string(c.info.Room) || !bytes.Equal(row.Info, c.row) {
		return fmt.Errorf("the line of chat %q says something else than its records", c.info.ID)
	}
	return nil
}

// read reads the export from its beginning and calls fn for each chat that is
// complete. Errors name the line.
func (i *importer) read(in io.ReadSeeker, fn func(*importedChat) error) error {
	if _, err := in.Seek(0, io.SeekStart); err != nil {
		return err
	}
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxLineBytes)
	r := &importReader{fn: fn, rooms: make(map[chat.RoomID]bool)}
	for n := 1; lines.Scan(); n++ {
		err := i.ctx.Err()
		if err == nil {
			err = r.line(lines.Bytes())
		}
		if err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	if !r.begun {
		return errors.New("it is empty, and no export")
	}
	if !r.ended {
		return errors.New("it is cut short: its last line, with the end, is missing")
	}
	return nil
}

// An importReader puts the lines of an export together to chats.
type importReader struct {
	fn    func(*importedChat) error
	begun bool
	ended bool
	chat  *importedChat // nil before the first
	rooms map[chat.RoomID]bool
	sum   end
}

func (r *importReader) line(text []byte) error {
	var l line
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&l); err != nil {
		return fmt.Errorf("not a line of an export: %w", err)
	}
	if d.More() {
		return errors.New("not a line of an export: it goes on after its end")
	}
	switch {
	case r.ended:
		return errors.New("there is something after the end")
	case !r.begun:
		r.begun = true
		return checkVersion(l)
	case l.Chat != nil && l.Records != nil:
		return r.begin(l)
	case l.Record != nil && r.chat != nil:
		return r.record(l)
	case l.End != nil:
		return r.end(*l.End)
	}
	return errors.New("neither a chat nor a record of one nor the end")
}

func checkVersion(l line) error {
	switch {
	case l.Export == nil:
		return errors.New("not an export: it should say which version it is")
	case *l.Export != exportVersion:
		return fmt.Errorf("an export of version %d, this program knows %d", *l.Export, exportVersion)
	}
	return nil
}

func (r *importReader) begin(l line) error {
	if err := r.finish(); err != nil {
		return err
	}
	c := &importedChat{row: bytes.Clone(l.Chat), want: *l.Records}
	if err := json.Unmarshal(l.Chat, &c.info); err != nil {
		return fmt.Errorf("the chat: %w", err)
	}
	switch {
	case !c.info.ID.Valid() || c.info.ID.Room() != c.info.Room:
		return fmt.Errorf("chat %q does not belong to room %q", c.info.ID, c.info.Room)
	case r.rooms[c.info.Room]:
		return fmt.Errorf("chat %q comes twice", c.info.ID)
	}
	r.rooms[c.info.Room] = true
	r.chat = c
	return nil
}

func (r *importReader) record(l line) error {
	c, data := r.chat, bytes.Clone(l.Record)
	if c.bytes += len(data); c.bytes > maxChatBytes/2 { // the rest is for keys
		return fmt.Errorf("chat %q is longer than %d bytes", c.info.ID, maxChatBytes/2)
	}
	if err := checkRecord(l.Seq, data); err != nil {
		return err
	}
	if err := c.fold.Add(persistence.Entry{Seq: l.Seq, Data: data}); err != nil {
		return err
	}
	c.entries = append(c.entries, data)
	r.sum.Records++
	return nil
}

// finish passes on the chat whose records have all been read.
func (r *importReader) finish() error {
	if r.chat == nil {
		return nil
	}
	if err := r.chat.complete(); err != nil {
		return err
	}
	r.sum.Chats++
	return r.fn(r.chat)
}

func (r *importReader) end(e end) error {
	if err := r.finish(); err != nil {
		return err
	}
	if e.Chats != r.sum.Chats || e.Records != r.sum.Records {
		return fmt.Errorf("%d chats with %d records, the end says %d with %d", r.sum.Chats, r.sum.Records, e.Chats, e.Records)
	}
	r.chat, r.ended = nil, true
	return nil
}
