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

// Options are shared by all rooms of a server. None has a default.
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
	untitled     = "…" // is the title where nothing was written
)

// Made is the result of making a title: the record, and the error of the model if it
// was asked and failed.
type Made struct {
	Record chat.Configured
	Err    error
}

// Make begins to make a title for the chat, and calls done with it on another
// goroutine. The model is told what is on the path.
func Make(o *Options, info chat.Info, path chat.Path, done func(Made)) (cancel context.CancelFunc) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	m := maker{o, info, path}
	o.Goroutines.Go(func() {
		defer cancel()
		record, err := m.make(ctx)
		done(Made{record, err})
	})
	return cancel
}

// Record returns the events of the intent to record a title. If somebody has given
// the chat a title meanwhile, that one stays, and only the usage is recorded.
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
	chat chat.Info
	path chat.Path
}

// make asks the model for a title, or takes the first words of the chat. It returns a
// title even if it returns the model's error.
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
	made.Settings.Title = cmp.Or(chat.Title(plain(question)), chat.Title(question))
	model, able := m.model()
	if err != nil || !able {
		return made, err
	}
	if spent := m.Ledger.Check(ledger.Account{User: m.chat.Owner, Room: m.chat.Room, Model: model}); spent != nil {
		return made, spent
	}
	made.ModelID = model
	p := prompt(model, question, answer)
	p.User = m.chat.Owner
	said, err := m.ask(ctx, p)
	made.Usage = said.usage
	if said.usage == nil && said.estimate > 0 {
		made.Usage = chat.EstimateUsage(p.Tokens(), said.estimate.Tokens())
	}
	if err != nil || said.cut { // also since to clean a text takes the square of its length
		return made, err
	}
	made.Settings.Title = cmp.Or(chat.Title(clean(said.text)), made.Settings.Title)
	return made, nil
}

// model returns the model to ask. It reports false if that cannot be asked.
func (m maker) model() (chat.ModelID, bool) {
	id := cmp.Or(m.Model, m.chat.ModelID)
	model, ok := m.Models.Model(id)
	return id, ok && !model.Duplex() && (m.Able == nil || m.Able(model))
}

// beginning returns the first message of the chat, and the first answer.
func (m maker) beginning(ctx context.Context) (question, answer string, err error) {
	n := 0
	for record, err := range conversation.Records(ctx, conversation.Forward(m.path, 1, m.read)) {
		if n++; err != nil || n > maxRecords {
			return question, "", err
		}
		if m.path.Hides(record) {
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

func (m maker) read(after uint64) iter.Seq2[persistence.Entry, error] {
	return m.Log.Read(string(m.chat.Room), after)
}

func prompt(model chat.ModelID, question, answer string) chat.Prompt {
	excerpt := func(text string) string { return strings.ToValidUTF8(text[:min(len(text), maxExcerpt)], "") }
	return chat.Prompt{Model: model, MaxTokens: maxTokens, Messages: []chat.PromptMessage{
		{Role: chat.RoleSystem, Content: instructions},
		{Role: chat.RoleUser, Content: "Question:\n" + excerpt(question) + "\n\nAnswer:\n" + excerpt(answer)},
	}}
}

// An answer is what a model has said when it was asked for a title.
type answer struct {
	text     string
	cut      bool // it is longer than a title, or than the model may answer
	estimate chat.Estimate
	usage    *chat.Usage
}

// ask returns what the model says, up to a length that no title has. What it thinks
// costs tokens, and is no part of the title.
func (m maker) ask(ctx context.Context, p chat.Prompt) (a answer, err error) {
	for d, err := range m.Provider.Stream(ctx, p) {
		if err != nil {
			return a, err
		}
		a.text += d.Text
		a.estimate.Add(d.Text)
		a.estimate.Add(d.Thought)
		if d.Usage.Credible() {
			a.usage = d.Usage
		}
		a.cut = a.cut || d.Finish == chat.FinishLength
		if len(a.text) > maxBytes {
			a.cut = true
			break
		}
	}
	return a, nil
}
