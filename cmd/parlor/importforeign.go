package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"

	"parlor/persistence"
	"parlor/protocol/chat"
	"parlor/protocol/exports"
)

// runForeign imports what another server has exported. It looks at all files before it writes
// the first chat. A chat that cannot be imported is left out, and the rest goes on.
func (c *importCmd) runForeign(ctx context.Context, s *Settings, out *streams) (err error) {
	if c.Owner == "" && (c.From == "chatgpt" || c.From == "librechat") {
		return usageError{fmt.Errorf("import: an export of %s does not say whose it is: --owner NAME is missing", c.From)}
	}
	f := &foreign{importCmd: c, ctx: ctx, out: out, notes: make(exports.Notes)}
	f.attachments = attachments{ctx: ctx, s: s, pdf: s.pdfReader(), told: f.withoutBytes}
	defer f.close()
	names := c.Files
	if len(names) == 0 {
		names = []string{"-"}
	}
	for _, name := range names {
		if err := f.open(name, s); err != nil {
			return fmt.Errorf("import: %w", err)
		}
	}
	if len(f.files) == 0 {
		return usageError{errors.New("import: there is an archive of attachments, and no export beside or in it")}
	}
	if err := f.learn(); err != nil {
		return fmt.Errorf("import: nothing was imported: %w", err)
	}
	if !c.DryRun {
		store, err := openForImport(s, persistence.Quota{Bytes: int64(s.MaxBytesPerUser)})
		if err != nil {
			return err
		}
		f.writer, f.attachments.store = &importer{ctx: ctx, store: store, skip: true}, store
		defer func() { err = errors.Join(err, store.Close()) }()
	}
	err = f.run()
	f.report()
	switch {
	case err != nil:
		return fmt.Errorf("import: %w; the same command goes on where this one has ended", err)
	case f.leftOut > 0:
		return errTold
	}
	return nil
}

// open takes in a file of the export, or an archive beside it. That of ChatGPT has its
// conversations in it.
func (f *foreign) open(name string, s *Settings) error {
	if info, err := os.Stat(name); err == nil && info.IsDir() {
		a, err := openFolder(name)
		if err != nil {
			return err
		}
		f.addArchive(a)
		return nil
	}
	in, err := openTwice(name, s)
	if err != nil {
		return err
	}
	f.opened = append(f.opened, in)
	switch a, err := openZip(in, name); {
	case err != nil:
		return err
	case a != nil:
		f.addArchive(a)
		return nil
	}
	again := func() (io.ReadCloser, error) {
		_, err := in.Seek(0, io.SeekStart)
		return io.NopCloser(in), err
	}
	f.files = append(f.files, foreignFile{name, again, in})
	return nil
}

func (f *foreign) addArchive(a *archive) {
	f.attachments.archives = append(f.attachments.archives, a)
	if a.strange > 0 {
		f.notes["files of an archive that are links, or have no proper path: they are left out"] += a.strange
	}
	if f.From != "chatgpt" {
		return
	}
	for _, in := range a.conversations() {
		f.files = append(f.files, foreignFile{name: a.name + ": " + in.path, open: in.open})
	}
}

// close closes what was read.
func (f *foreign) close() {
	for _, a := range f.attachments.archives {
		_ = a.close()
	}
	for _, file := range f.opened {
		_ = file.Close()
	}
}

type foreignFile struct {
	name string
	open func() (io.ReadCloser, error) // from the beginning, at one place at a time
	at   io.ReaderAt                   // nil in an archive
}

// values yields the values of the file from its beginning. Errors name the file.
func (f foreignFile) values(ctx context.Context) iter.Seq2[exports.Value, error] {
	return func(yield func(exports.Value, error) bool) {
		in, err := f.open()
		if err != nil {
			yield(exports.Value{}, fmt.Errorf("%s: %w", f.name, err))
			return
		}
		defer in.Close()
		for v, err := range exports.Values(in) {
			if err == nil {
				err = ctx.Err()
			}
			if err != nil {
				err = fmt.Errorf("%s: %w", f.name, err)
			}
			if !yield(v, err) || err != nil {
				return
			}
		}
	}
}

// foreign is an import of another server's files.
type foreign struct {
	*importCmd
	ctx    context.Context
	out    *streams
	files  []foreignFile
	opened []io.Closer
	writer *importer // nil: nothing is written
	notes  exports.Notes

	attachments attachments

	webui exports.OpenWebUI
	mongo exports.Mongo
	refs  map[string][]ref // the messages of each chat of the mongo

	imported, there, leftOut    int
	messages, answers, attached int
}

// A ref is where a message is: messages of a chat are anywhere in the file.
type ref struct {
	offset int64
	size   int32
	file   int32
}

// learn reads all files: it finds out that they are JSON, and notes what the chats need that
// come before or after.
func (f *foreign) learn() error {
	f.refs = make(map[string][]ref)
	for n, file := range f.files {
		for v, err := range file.values(f.ctx) {
			if err != nil {
				return err
			}
			switch f.From {
			case "openwebui":
				_, _ = f.webui.Learn(v.JSON) // what cannot be read is left out later
			case "mongo":
				var id string
				if id, err = f.mongo.Learn(v.JSON); id != "" {
					f.refs[id] = append(f.refs[id], ref{v.Offset - int64(len(v.JSON)), int32(len(v.JSON)), int32(n)})
				}
			}
			if err != nil {
				f.leaveOut(fmt.Sprintf("%s: value %d", file.name, v.N), "", err)
			}
		}
	}
	return nil
}

// run imports chat by chat. It returns an error that concerns all that would follow.
func (f *foreign) run() error {
	if f.From == "mongo" {
		return f.runMongo()
	}
	for _, file := range f.files {
		for v, err := range file.values(f.ctx) {
			if err != nil {
				return err
			}
			c, fault := f.decode(v.JSON)
			if c == nil && fault == nil {
				continue
			}
			if err := f.take(fmt.Sprintf("%s: value %d", file.name, v.N), c, fault); err != nil {
				return err
			}
		}
	}
	return nil
}

func (f *foreign) decode(b []byte) (*exports.Chat, error) {
	switch f.From {
	case "openwebui":
		return f.webui.Chat(b, f.notes)
	case "librechat":
		return exports.LibreChat(b, f.notes)
	}
	return exports.ChatGPT(b, f.notes)
}

// runMongo reads the messages of each chat from where they are.
func (f *foreign) runMongo() error {
	for _, id := range f.mongo.Chats() {
		if err := f.ctx.Err(); err != nil {
			return err
		}
		messages, fault := f.read(f.refs[id])
		var c *exports.Chat
		if fault == nil {
			c, fault = f.mongo.Chat(id, messages, f.notes)
		}
		if err := f.take(fmt.Sprintf("chat %q", id), c, fault); err != nil {
			return err
		}
	}
	return nil
}

func (f *foreign) read(refs []ref) (messages [][]byte, err error) {
	total := 0
	for _, r := range refs {
		if total += int(r.size); total > maxChatBytes/2 {
			return nil, fmt.Errorf("its messages have more than %d MiB", maxChatBytes/2>>20)
		}
		b := make([]byte, r.size)
		if _, err := f.files[r.file].at.ReadAt(b, r.offset); err != nil {
			return nil, err
		}
		messages = append(messages, b)
	}
	return messages, nil
}

// take imports a chat, or says why it cannot be.
func (f *foreign) take(where string, c *exports.Chat, fault error) error {
	if fault == nil {
		fault = f.rename(c)
	}
	there := false
	if fault == nil {
		there, fault = f.exists(c)
	}
	var files map[chat.FileID]opened
	if fault == nil {
		files, fault = f.attachments.find(where, c)
	}
	var records []chat.Record
	if fault == nil {
		records, fault = c.Records(f.notes)
	}
	var ready *importedChat
	if fault == nil {
		ready, fault = fold(records)
	}
	if end, is := errors.AsType[endOfImport](fault); is {
		return end.error
	}
	if fault != nil {
		title := ""
		if c != nil {
			title = cmp.Or(c.Title, c.ID)
		}
		f.leaveOut(where, title, fault)
		return nil
	}
	if f.writer != nil && !there {
		if err := f.writer.writeMarked(ready, c); err != nil {
			return err
		}
	}
	f.count(there, records)
	if f.writer == nil {
		f.attachments.kept += len(files)
		return nil
	}
	return f.attachments.keep(where, c, records, files)
}

// endOfImport is an error that concerns all that would follow.
type endOfImport struct{ error }

// rename gives users and models in a chat the names that they have here.
func (f *foreign) rename(c *exports.Chat) error {
	user := func(name *string) {
		*name = cmp.Or(f.Users[*name], *name)
		if f.Owner != "" {
			*name = f.Owner
		}
	}
	user(&c.Owner)
	if c.Owner == "" {
		return errors.New("the export does not say whose it is: --owner NAME is missing")
	}
	c.ModelID = cmp.Or(f.Models[c.ModelID], c.ModelID)
	for i := range c.Messages {
		m := &c.Messages[i]
		m.ModelID = cmp.Or(f.Models[m.ModelID], m.ModelID)
		if m.Author != "" {
			user(&m.Author)
		}
	}
	return nil
}

// fold returns a chat that is ready to be written, or why a server would refuse it.
func fold(records []chat.Record) (*importedChat, error) {
	c := &importedChat{info: records[0].Event.(chat.Created).Chat}
	for _, r := range records {
		data, err := r.Encode()
		if err != nil {
			return nil, err
		}
		if c.bytes += len(data); c.bytes > maxChatBytes/2 {
			return nil, fmt.Errorf("it is longer than %d MiB", maxChatBytes/2>>20)
		}
		if err := checkRecord(r.Seq, data); err != nil {
			return nil, err
		}
		if err := c.fold.Add(persistence.Entry{Seq: r.Seq, Data: data}); err != nil {
			return nil, err
		}
		c.entries = append(c.entries, data)
	}
	return c, nil
}

// exists reports whether the chat is there already.
func (f *foreign) exists(c *exports.Chat) (bool, error) {
	if f.writer == nil {
		return false, nil
	}
	row, err := f.writer.store.Chat(string(c.ChatID().Room()))
	switch {
	case errors.Is(err, persistence.ErrNotFound):
		return false, nil
	case err != nil:
		return false, endOfImport{err}
	case row.Owner != c.Owner:
		return false, fmt.Errorf("there is a chat with the id %q already, which is of %q", c.ChatID(), row.Owner)
	}
	return true, nil
}
