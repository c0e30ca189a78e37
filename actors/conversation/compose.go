package conversation

import (
	"context"
	"iter"
	"slices"
	"strings"
	"time"

	"parlor/persistence"
	"parlor/protocol/chat"
)

// Limits of a prompt, in tokens, for a model that does not state its own.
const (
	DefaultContextWindow = 32 << 10
	defaultAnswerTokens  = 4 << 10 // are kept free for the answer
	DefaultFileShare     = 50      // of the window, in percent, that files may take
)

// bytesPerToken is how many bytes [chat.Estimate] counts as a token at most.
const bytesPerToken = 4

var errLongPrompt = chat.Refuse(chat.CodeTooLarge, "the message, with what the assistant is told before it, is longer than this model can read")

// A Question is what the prompt of a turn depends on, besides the records.
type Question struct {
	Turn      chat.Turn
	Models    Models
	Window    int       // tokens that a model can read which does not say so
	System    string    // what it is told before the conversation
	Path      chat.Path // of which the prompt is made
	FileShare int       // of the window that files may take, in percent; zero means DefaultFileShare
}

// Composed is a prompt.
type Composed struct {
	chat.Prompt
	Tokens int
	Names  Names          // of the people in it
	Cut    []chat.CutFile // what the model is not given whole
	Left   int            // tokens that are left for files

	OnlyTools []string           // of the message to answer, see [chat.MessageAdded]
	Brought   []chat.OfferedTool // by the program that has asked

	bytes  int          // of the records that were looked at
	before uint64       // the last record that the tail could not give
	older  []remembered // those that were read, newest first
	gaps   []chat.Span  // between them, oldest first
	kept   bool         // older has all that were read
	rest   uint64       // the last record that was not read
}

// Compose makes the prompt of a turn from the tail of the log. If the model can read
// more than the tail holds, Compose calls older for the entries before it, newest
// first, and for each part of the path again. In the prompt an answer follows its message. Messages that were said
// after the one to answer are left out: people may have talked on while the turn
// waited. If ctx ends while entries are read, Compose returns its error.
func Compose(ctx context.Context, q Question, tail Tail, older func(before uint64) iter.Seq2[persistence.Entry, error]) (Composed, error) {
	d := newDialogue(q)
	d.parts = make([]*remembered, 0, len(tail.records)+1)
	if q.Turn.Unheard {
		m, _ := remember(chat.Record{Event: chat.MessageAdded{MessageID: q.Turn.Prompt, Author: chat.User{ID: q.Turn.By}}})
		d.addMessage(&m)
	}
	start := tail.start(q.Path)
	c := Composed{before: start - 1}
	more := true
	for i := len(tail.records) - 1; i >= 0 && more && tail.records[i].seq >= start; i-- {
		r := &tail.records[i]
		c.bytes += r.bytes()
		more = r.hiddenBy(q.Path) || d.add(r)
	}
	if more && c.before > 0 {
		if err := c.lookBack(ctx, d, Back(q.Path, start, older)); err != nil {
			return Composed{}, err
		}
	}
	if !d.fits() {
		return Composed{}, errLongPrompt
	}
	c.Names = d.names()
	c.Prompt = chat.Prompt{Model: q.Turn.ModelID, User: q.Turn.By, MaxTokens: d.model.MaxTokens}
	c.Messages, c.Tokens = d.messages(c.Names)
	c.Cut, c.Left, c.OnlyTools = d.cut, d.fileLeft, d.tools
	if q.Turn.First == "" { // it gives no answer anew
		c.Brought, c.Choice = d.brought, d.choice
	}
	return c, nil
}

// lookBack gives d older entries until it wants no more. It keeps them for the next
// prompt, unless the prompt uses only a small part of them. That happens when the
// message to answer is old, or many messages came after it.
func (c *Composed) lookBack(ctx context.Context, d *dialogue, older iter.Seq2[persistence.Entry, error]) error {
	c.kept = true
	last := c.before + 1
	defer func() { slices.Reverse(c.gaps) }()
	for entry, err := range older {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		if entry.Seq+1 < last {
			c.gaps = append(c.gaps, chat.Span{From: entry.Seq + 1, To: last})
		}
		last, c.rest = entry.Seq, entry.Seq-1
		if !c.kept && d.passes(entry) {
			continue
		}
		record, err := chat.DecodeRecord(entry.Seq, entry.Data)
		if err != nil {
			return err
		}
		r, ok := remember(record)
		if !ok {
			continue
		}
		if c.kept {
			c.older = append(c.older, r)
			c.bytes += r.bytes()
		}
		if !r.hiddenBy(d.Path) && !d.add(&r) {
			return nil
		}
		if c.kept && c.bytes > limit(d.bytes+d.answers.bytes) {
			c.kept, c.older = false, nil
		}
	}
	if c.rest = 0; last > 1 {
		c.gaps = append(c.gaps, chat.Span{From: 1, To: last})
	}
	return nil
}

// passes reports whether the entry is a message that was said after the one to answer.
// There may be many, so it does not decode them.
func (d *dialogue) passes(e persistence.Entry) bool {
	if d.begun() || !chat.Says(e.Data) || chat.Steers(e.Data) || chat.AddsMessage(e.Data, d.Turn.Prompt) {
		return false
	}
	d.answers.drop(&remembered{seq: e.Seq})
	return true
}

// SystemPrompt joins the parts, which are the server's, the model's and the chat's, and
// says what day it is. It goes before the conversation.
func SystemPrompt(now time.Time, parts ...string) string {
	parts = slices.DeleteFunc(parts, func(p string) bool { return strings.TrimSpace(p) == "" })
	parts = append(parts, "Today is "+now.UTC().Format("Monday, 2 January 2006")+" (UTC).")
	return strings.Join(parts, "\n\n")
}
