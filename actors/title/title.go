// Package title gives chats titles that nobody gave them: once, when the first
// turn has completed, and outside of the queue of turns.
//
//	Make → goroutine: the beginning of the log → the model → Made → the room's mailbox
package title

import (
	"cmp"
	"context"
	"iter"
	"log/slog"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"parlor/actors/conversation"
	"parlor/actors/ledger"
	"parlor/actors/turn"
	"parlor/persistence"
	"parlor/protocol/chat"
)

// A Policy says which chats get a title, and from whom. The zero value gives none.
type Policy struct {
	On    bool
	Model chat.ModelID // is asked for titles; empty: the chat's own

	// Able reports whether a model can be asked for a title. For others, and
	// when it fails, the first words of the chat are its title. Nil means all.
	Able func(chat.Model) bool
}

// Options are what all rooms of a server have in common. None has a default.
type Options struct {
	Policy
	Provider   turn.Provider
	Models     conversation.Models
	Log        Log
	Ledger     *ledger.Ledger // nil knows no limits
	Logger     *slog.Logger
	Goroutines *sync.WaitGroup // is counted up while a title is being made
}

// A Log is what is read of the event log. See [persistence.Store].
type Log interface {
	Read(room string, after uint64) iter.Seq2[persistence.Entry, error]
}

// Limits of asking for a title.
const (
	timeout    = 30 * time.Second
	maxTokens  = 40
	maxBytes   = 1 << 10 // of the answer; what follows is not read
	maxExcerpt = 2 << 10 // bytes of what was said, from each side
	maxRecords = 1000    // are read to find that
)

const (
	instructions = "Write a title for the conversation below: at most six words, in its language. Answer with the title alone."
	quotes       = "\"'“”„«»`*#. " // that models put around it
	untitled     = "…"             // is the title where nothing was written
)

// A Made is what has come of the making: what is to be recorded, and why the
// model did not make the title if it was asked and did not.
type Made struct {
	Record chat.Configured
	Err    error
}

// Make begins to make a title for the chat, and calls done with it on another
// goroutine. Nobody waits for it. What is superseded is not told to the model.
func Make(o *Options, info chat.Info, superseded chat.Superseded, done func(Made)) (cancel context.CancelFunc) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	m := maker{o, info, superseded}
	o.Goroutines.Go(func() {
		defer cancel()
		record, err := m.make(ctx)
		done(Made{record, err})
	})
	return cancel
}

// Record returns what is intended with a title that was made. If somebody has
// given a title meanwhile that one stays, and only what was spent is recorded,
// if anything was.
func Record(m Made) func(head *conversation.State) []chat.Event {
	return func(head *conversation.State) []chat.Event {
		e := m.Record
		e.Settings = head.Chat.Settings
		if !head.Titled {
			e.Settings.Title = m.Record.Settings.Title
		}
		if e.Settings == head.Chat.Settings && e.Usage == nil {
			return nil
		}
		return []chat.Event{e}
	}
}

// A maker makes one title.
type maker struct {
	*Options
	chat       chat.Info
	superseded chat.Superseded
}

// make asks the model, or takes the first words. The error is why the model
// gave none; the title is there nevertheless.
func (m maker) make(ctx context.Context) (made chat.Configured, err error) {
	defer func() { // whatever happens, the chat gets a title
		if p := recover(); p != nil {
			m.Logger.Error("provider panicked", "model", made.ModelID, "panic", p, "stack", string(debug.Stack()))
			err = chat.Refuse(chat.CodeInternal, "the assistant failed")
		}
		if made.Settings.Title == "" {
			made.Settings.Title = untitled
		}
	}()
	question, answer, err := m.beginning(ctx)
	made.Settings.Title = chat.Title(question)
	model, able := m.model()
	if err != nil || !able {
		return made, err
	}
	if spent := m.Ledger.Check(ledger.Account{User: m.chat.Owner, Room: m.chat.Room, Model: model}); spent != nil {
		return made, spent
	}
	made.ModelID = model
	p := prompt(model, question, answer)
	text, usage, err := m.ask(ctx, p)
	if made.Usage = usage; usage == nil && text != "" {
		made.Usage = chat.EstimateUsage(p.Tokens(), text)
	}
	if title := chat.Title(strings.Trim(chat.OneLine(text), quotes)); title != "" && err == nil {
		made.Settings.Title = title
	}
	return made, err
}

// model returns who can be asked, if anybody can.
func (m maker) model() (chat.ModelID, bool) {
	id := cmp.Or(m.Model, m.chat.ModelID)
	model, ok := m.Models.Model(id)
	return id, ok && !model.Duplex() && (m.Able == nil || m.Able(model))
}

// beginning returns what was asked first, and the first answer.
func (m maker) beginning(ctx context.Context) (question, answer string, err error) {
	n := 0
	for record, err := range conversation.Records(ctx, m.Log.Read(string(m.chat.Room), 0)) {
		if n++; err != nil || n > maxRecords {
			return question, "", err
		}
		if m.superseded.Hides(record) {
			continue
		}
		switch e := record.Event.(type) {
		case chat.MessageAdded:
			question = cmp.Or(question, e.Content)
		case chat.TurnEnded:
			if e.State == chat.StateCompleted {
				return question, e.Content, nil
			}
		}
	}
	return question, "", nil
}

func prompt(model chat.ModelID, question, answer string) chat.Prompt {
	excerpt := func(text string) string { return strings.ToValidUTF8(text[:min(len(text), maxExcerpt)], "") }
	return chat.Prompt{Model: model, MaxTokens: maxTokens, Messages: []chat.PromptMessage{
		{Role: chat.RoleSystem, Content: instructions},
		{Role: chat.RoleUser, Content: "Question:\n" + excerpt(question) + "\n\nAnswer:\n" + excerpt(answer)},
	}}
}

// ask returns what the model says, up to a length that no title has.
func (m maker) ask(ctx context.Context, p chat.Prompt) (text string, usage *chat.Usage, err error) {
	var b strings.Builder
	for d, err := range m.Provider.Stream(ctx, p) {
		if err != nil {
			return b.String(), usage, err
		}
		b.WriteString(d.Text)
		if d.Usage.Credible() {
			usage = d.Usage
		}
		if b.Len() > maxBytes {
			break
		}
	}
	return b.String(), usage, nil
}
