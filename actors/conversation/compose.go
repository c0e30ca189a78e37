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
	Turn       chat.Turn
	Models     Models
	Window     int             // tokens that a model can read which does not say so
	System     string          // what it is told before the conversation
	Superseded chat.Superseded // is no part of the prompt
	FileShare  int             // of the window that files may take, in percent; zero means DefaultFileShare
}

// Composed is a prompt.
type Composed struct {
	chat.Prompt
	Tokens int
	Names  Names          // of the people in it
	Cut    []chat.CutFile // what the model is not given whole
	Left   int            // tokens that are left for files

	bytes  int          // of the records that were looked at
	before uint64       // the last record that was not in the tail
	older  []remembered // those that were read, newest first
	kept   bool         // older has all of them
	rest   uint64       // the last record that was not read
}

// Compose makes the prompt of a turn from the tail of the log. If the model can read
// more than the tail holds, Compose calls older, once, for the entries before it,
// newest first. In the prompt an answer follows its message. Messages that were said
// after the one to answer are left out: people may have talked on while the turn
// waited. If ctx ends while entries are read, Compose returns its error.
func Compose(ctx context.Context, q Question, tail Tail, older func(before uint64) iter.Seq2[persistence.Entry, error]) (Composed, error) {
	d := newDialogue(q)
	d.parts = make([]*remembered, 0, len(tail.records)+1)
	if q.Turn.Unheard {
		m, _ := remember(chat.Record{Event: chat.MessageAdded{MessageID: q.Turn.Prompt, Author: chat.User{ID: q.Turn.By}}})
		d.addMessage(&m)
	}
	c := Composed{before: tail.before}
	more := true
	for i := len(tail.records) - 1; i >= 0 && more; i-- {
		r := &tail.records[i]
		c.bytes += r.bytes()
		more = r.hiddenBy(q.Superseded) || d.add(r)
	}
	if more && tail.before > 0 {
		if err := c.lookBack(ctx, d, older(tail.before+1)); err != nil {
			return Composed{}, err
		}
	}
	if !d.fits() {
		return Composed{}, errLongPrompt
	}
	c.Names = d.names()
	c.Prompt = chat.Prompt{Model: q.Turn.ModelID, User: q.Turn.By, MaxTokens: d.model.MaxTokens}
	c.Messages, c.Tokens = d.messages(c.Names)
	c.Cut, c.Left = d.cut, d.fileLeft
	return c, nil
}

// lookBack gives d older entries until it wants no more. It keeps them for the next
// prompt, unless the prompt uses only a small part of them. That happens when the
// message to answer is old, or many messages came after it.
func (c *Composed) lookBack(ctx context.Context, d *dialogue, older iter.Seq2[persistence.Entry, error]) error {
	c.kept = true
	for entry, err := range older {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		c.rest = entry.Seq - 1
		if !c.kept && d.passes(entry) {
			continue
		}
		record, err := chat.DecodeRecord(entry.Seq, entry.Data)
		if err != nil {
			return err
		}
		r, ok := remember(record)
		if !ok || r.hiddenBy(d.Superseded) {
			continue
		}
		if c.kept {
			c.older = append(c.older, r)
			c.bytes += r.bytes()
		}
		if !d.add(&r) {
			break
		}
		if c.kept && c.bytes > limit(d.bytes+d.answers.bytes) {
			c.kept, c.older = false, nil
		}
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
