package room

import (
	"cmp"
	"context"
	"runtime/debug"
	"strings"
	"time"

	"parlor/actors/ledger"
	"parlor/protocol/chat"
)

// Titles say how chats get titles that nobody gave them: once, when the first
// turn has completed. The zero value gives none.
type Titles struct {
	On    bool
	Model chat.ModelID // is asked for them; empty: the chat's own

	// Able reports whether a model can be asked for a title. For others, and
	// when it fails, the first words of the chat are its title. Nil means all.
	Able func(chat.Model) bool
}

// Limits of asking for a title.
const (
	titleTimeout    = 30 * time.Second
	titleMaxTokens  = 40
	titleMaxBytes   = 1 << 10 // of the answer; what follows is not read
	titleMaxExcerpt = 2 << 10 // bytes of what was said, from each side
	titleMaxRecords = 1000    // are read to find that
)

const (
	titleInstructions = "Write a title for the conversation below: at most six words, in its language. Answer with the title alone."
	titleQuotes       = "\"'“”„«»`*#. " // that models put around it
	untitled          = "…"             // is the title where nothing was written
)

// titling is the making of a title, outside of the turns' queue.
type titling struct {
	cancel   context.CancelFunc
	made     *chat.Configured // nil until it is
	proposed bool
	gen      int // of the room's head when it was proposed
}

// titled is what has come of it, and why the model did not make a title if it
// was asked and did not.
type titled struct {
	of   *titling
	made chat.Configured
	err  error
}

func (*titled) roomMessage() {}

// entitle sees to it that the chat gets a title when it is time for that. Like
// advance it decides from the state alone and may be called at any time.
func (r *Room) entitle() {
	t := r.titling
	switch {
	case !r.Titles.On || r.deleting || r.broken != nil || !r.loaded || r.retry != nil:
	case t != nil && t.made != nil && !(t.proposed && t.gen == r.gen):
		r.recordTitle(*t.made)
	case t != nil, !r.shown.Answered, r.head.Titled:
		// It is being made, or it is not time, or there was one.
	default:
		r.makeTitle()
	}
}

// makeTitle begins to make a title. Nobody waits for it.
func (r *Room) makeTitle() {
	ctx, cancel := context.WithTimeout(context.Background(), titleTimeout)
	r.titling = &titling{cancel: cancel}
	m := titleMaker{Options: r.Options, chat: r.shown.Chat, superseded: r.shown.Superseded}
	ref, of := r.self.Ref(), r.titling
	r.Turns.Go(func() {
		defer cancel()
		made, err := m.make(ctx)
		ref.Tell(&titled{of, made, err})
	})
}

// titled takes what has come of the making.
func (r *Room) titled(m *titled) {
	if r.titling != m.of {
		return
	}
	if m.err != nil {
		r.log.Warn("the model has made no title", "err", m.err)
	}
	r.titling.made = &m.made
	r.entitle()
}

// recordTitle proposes what was made. If somebody has given a title meanwhile
// that one stays, and only what was spent is recorded.
func (r *Room) recordTitle(made chat.Configured) {
	title := made.Settings.Title
	made.Settings = r.head.Chat.Settings
	if !r.head.Titled {
		made.Settings.Title = title
	}
	if made.Settings == r.head.Chat.Settings && made.Usage == nil {
		r.titling = nil
		return
	}
	r.titling.proposed, r.titling.gen = true, r.gen
	r.propose(Caller{}, "", nil, made)
}

// entitled lets the making go that was recorded.
func (r *Room) entitled(e chat.Configured) {
	if e.By == "" {
		r.stopTitling()
	}
}

// stopTitling ends the making of a title, if there is one.
func (r *Room) stopTitling() {
	if r.titling != nil {
		r.titling.cancel()
		r.titling = nil
	}
}

// A titleMaker makes one title, on a goroutine of its own.
type titleMaker struct {
	*Options
	chat       chat.Info
	superseded chat.Superseded // is not told to the model
}

// make asks the model, or takes the first words. The error is why the model
// gave none; the title is there nevertheless.
func (t titleMaker) make(ctx context.Context) (made chat.Configured, err error) {
	defer func() { // whatever happens, the chat gets a title
		if p := recover(); p != nil {
			t.Logger.Error("provider panicked", "model", made.ModelID, "panic", p, "stack", string(debug.Stack()))
			err = chat.Refuse(chat.CodeInternal, "the assistant failed")
		}
		if made.Settings.Title == "" {
			made.Settings.Title = untitled
		}
	}()
	question, answer, err := t.begun(ctx)
	made.Settings.Title = chat.Title(question)
	model, able := t.model()
	if err != nil || !able {
		return made, err
	}
	if spent := t.Ledger.Check(ledger.Account{User: t.chat.Owner, Room: t.chat.Room, Model: model}); spent != nil {
		return made, spent
	}
	made.ModelID = model
	prompt := titlePrompt(model, question, answer)
	text, usage, err := t.ask(ctx, prompt)
	if made.Usage = usage; usage == nil && text != "" {
		made.Usage = chat.EstimateUsage(prompt.Tokens(), text)
	}
	if title := chat.Title(strings.Trim(chat.OneLine(text), titleQuotes)); title != "" && err == nil {
		made.Settings.Title = title
	}
	return made, err
}

// model returns who can be asked, if anybody can.
func (t titleMaker) model() (chat.ModelID, bool) {
	id := cmp.Or(t.Titles.Model, t.chat.ModelID)
	m, ok := t.Models.Model(id)
	return id, ok && !m.Duplex() && (t.Titles.Able == nil || t.Titles.Able(m))
}

// begun returns what the conversation began with: what was asked first, and
// the first answer.
func (t titleMaker) begun(ctx context.Context) (question, answer string, err error) {
	n := 0
	for record, err := range Records(ctx, t.Log.Read(string(t.chat.Room), 0)) {
		if n++; err != nil || n > titleMaxRecords {
			return question, "", err
		}
		if t.superseded.Hides(record) {
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

func titlePrompt(model chat.ModelID, question, answer string) chat.Prompt {
	excerpt := func(text string) string { return strings.ToValidUTF8(text[:min(len(text), titleMaxExcerpt)], "") }
	return chat.Prompt{Model: model, MaxTokens: titleMaxTokens, Messages: []chat.PromptMessage{
		{Role: chat.RoleSystem, Content: titleInstructions},
		{Role: chat.RoleUser, Content: "Question:\n" + excerpt(question) + "\n\nAnswer:\n" + excerpt(answer)},
	}}
}

// ask returns what the model says, up to a length that no title has.
func (t titleMaker) ask(ctx context.Context, p chat.Prompt) (text string, usage *chat.Usage, err error) {
	var b strings.Builder
	for d, err := range t.Provider.Stream(ctx, p) {
		if err != nil {
			return b.String(), usage, err
		}
		b.WriteString(d.Text)
		if d.Usage.Credible() {
			usage = d.Usage
		}
		if b.Len() > titleMaxBytes {
			break
		}
	}
	return b.String(), usage, nil
}
