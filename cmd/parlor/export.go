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

	"parlor/persistence"
	"parlor/protocol/chat"
)

// exportVersion is the version of the format, see docs/export.md.
const exportVersion = 1

// A line is one line of an export: the version, a chat, a record or the end.
type line struct {
	Export *int            `json:"parlor_export,omitempty"` // the version
	Chat   json.RawMessage `json:"chat,omitempty"`          // a [chat.Info]
	// Records is the number of records that follow the chat.
	Records *uint64         `json:"records,omitempty"`
	Seq     uint64          `json:"seq,omitempty"`
	Record  json.RawMessage `json:"record,omitempty"` // as the log has it
	End     *end            `json:"end,omitempty"`
}

// end is the last line. An export without it is incomplete.
type end struct {
	Chats   int    `json:"chats"`
	Records uint64 `json:"records"`
	// LeftOut are rooms that cannot be read, and why.
	LeftOut []string `json:"left_out,omitempty"`
}

// exportCmd writes chats as text.
type exportCmd struct {
	Chat chat.ID `placeholder:"ID" help:"Export this chat only."`
	To   string  `arg:"" name:"file" optional:"" help:"The file to make; it must not exist. Without one, or with -, the text goes to the standard output."`

	Values
}

// Help implements [kong.HelpProvider].
func (*exportCmd) Help() string {
	return `Writes all that is recorded of one chat or all of them as JSON Lines (docs/export.md), also while the server runs: then each chat is as it was at the moment it was read.

    parlor export chats.jsonl
    parlor export --chat my-first-chat | less`
}

// Run asks the running server, or reads the file if no server runs.
func (c *exportCmd) Run(ctx context.Context, s *Settings, out *streams) error {
	source, err := openSource(ctx, s)
	if err != nil {
		return err
	}
	defer source.close()
	var last lastLine
	write := func(w io.Writer) error { return source.export(ctx, io.MultiWriter(w, &last), string(c.Chat)) }
	if c.To == "" || c.To == "-" {
		err = write(out.stdout)
	} else {
		err = persistence.WriteNew(c.To, write)
	}
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("export: %w; choose another name or remove it", err)
	}
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	return last.leftOut()
}

// A lastLine is a writer that keeps the last line.
type lastLine struct{ text []byte }

func (l *lastLine) Write(p []byte) (int, error) {
	if i := bytes.LastIndexByte(bytes.TrimSuffix(p, []byte("\n")), '\n'); i >= 0 {
		l.text = append(l.text[:0], p[i+1:]...)
		return len(p), nil
	}
	if bytes.HasSuffix(l.text, []byte("\n")) {
		l.text = l.text[:0]
	}
	l.text = append(l.text, p...)
	return len(p), nil
}

// leftOut returns an error for each room that the end of an export lists as left
// out.
func (l *lastLine) leftOut() error {
	var last line
	if err := json.Unmarshal(l.text, &last); err != nil || last.End == nil {
		return fmt.Errorf("export: no end: %w", err)
	}
	var faults []error
	for _, what := range last.End.LeftOut {
		faults = append(faults, fmt.Errorf("export: left out: %s", what))
	}
	return errors.Join(faults...)
}

// exportChats is how many chats are listed at a time.
const exportChats = 100

// export writes the chat of that id, or all chats in the order of their rooms if id
// is empty. It reads in short transactions, so that a slow w delays nobody. A chat
// that cannot be read is left out, and listed in the end.
func export(ctx context.Context, r *persistence.Reader, w io.Writer, id string) error {
	e := &exporter{ctx: ctx, reader: r, w: bufio.NewWriter(w)}
	version := exportVersion
	e.line(line{Export: &version})
	if id != "" {
		e.chat(string(chat.ID(id).Room()))
		if errors.Is(e.err, persistence.ErrNotFound) {
			return fmt.Errorf("there is no chat %q", id)
		}
	} else {
		e.all()
	}
	e.line(line{End: &e.sum})
	return errors.Join(e.err, e.w.Flush())
}

// An exporter does nothing more after an error.
type exporter struct {
	ctx    context.Context
	reader *persistence.Reader
	w      *bufio.Writer
	sum    end
	err    error
}

func (e *exporter) all() {
	for after := ""; e.err == nil; {
		var rooms []string
		rooms, e.err = e.reader.ChatsAfter(after, exportChats)
		if len(rooms) == 0 {
			return
		}
		for _, room := range rooms {
			e.chat(room)
			if errors.Is(e.err, persistence.ErrNotFound) {
				e.err = nil // deleted meanwhile
			}
		}
		after = rooms[len(rooms)-1]
	}
}

// chat writes a chat as it is at the moment its row is read. If the chat is deleted
// while its records are read, the export fails: a part of the chat has been
// written and cannot be undone.
func (e *exporter) chat(room string) {
	if e.err != nil {
		return
	}
	row, last, err := e.reader.Head(room)
	if err == nil {
		err = e.readable(room)
	}
	switch {
	case errors.Is(err, persistence.ErrCorrupt):
		e.sum.LeftOut = append(e.sum.LeftOut, err.Error())
		return
	case err != nil:
		e.err = err
		return
	}
	e.line(line{Chat: row.Info, Records: &last})
	n := uint64(0)
	for entry, err := range e.reader.Read(room, 0) {
		if err == nil {
			err = e.ctx.Err()
		}
		if err != nil {
			e.err = errors.Join(e.err, err)
			return
		}
		if e.err != nil || n == last {
			break
		}
		n++
		e.line(line{Seq: entry.Seq, Record: entry.Data})
	}
	if n < last && e.err == nil {
		e.err = fmt.Errorf("the chat of room %s was deleted while it was read; try again", room)
	}
	e.sum.Chats++
	e.sum.Records += n
}

// readable reads all records of a room before the first is written, since no part
// of a chat must be written if the rest cannot be read.
func (e *exporter) readable(room string) error {
	for entry, err := range e.reader.Read(room, 0) {
		switch {
		case err != nil:
			return err
		case e.ctx.Err() != nil:
			return e.ctx.Err()
		case !json.Valid(entry.Data):
			return fmt.Errorf("%w: record %d of room %s is no JSON", persistence.ErrCorrupt, entry.Seq, room)
		}
	}
	return nil
}

func (e *exporter) line(l line) {
	if e.err != nil {
		return
	}
	enc := json.NewEncoder(e.w) // ends the line
	enc.SetEscapeHTML(false)    // records stay as they are
	e.err = enc.Encode(l)
}
