package exports

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"parlor/protocol/chat"
)

// Records returns what a room would have recorded of the chat. Owner and the authors of
// messages are the names of users here by now. The same chat has the same records.
func (c *Chat) Records(notes Notes) ([]chat.Record, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	if c.Created.IsZero() {
		for _, m := range c.Messages {
			if !m.At.IsZero() && (c.Created.IsZero() || m.At.Before(c.Created)) {
				c.Created = m.At
			}
		}
	}
	if err := checkTime(c.Created); err != nil {
		return nil, fmt.Errorf("the chat: %w", err)
	}
	if c.Created.IsZero() {
		return nil, errors.New("neither the chat nor a message has a time")
	}
	t, err := newTree(c, notes)
	if err != nil {
		return nil, err
	}
	w := &writer{chat: c, tree: t, notes: notes, said: make([]chat.Message, len(c.Messages)), first: make(map[int]chat.Message), last: c.Created}
	w.create()
	t.walk(func(i int) {
		if w.err == nil {
			w.message(i)
		}
	})
	w.choose()
	w.configure()
	if w.err != nil {
		return nil, w.err
	}
	w.name()
	return w.records, nil
}

// check refuses texts that are too long for a record.
func (c *Chat) check() error {
	for _, m := range c.Messages {
		for _, text := range []string{m.Content, m.Thought, m.Error} {
			if len(text) > maxTextBytes {
				return fmt.Errorf("message %.100q: a text of %d bytes, want at most %d", m.ID, len(text), maxTextBytes)
			}
		}
		for _, call := range m.Calls {
			if len(call.Arguments) > maxTextBytes || len(call.Result) > maxTextBytes {
				return fmt.Errorf("message %.100q: a call of %.100q with more than %d bytes", m.ID, call.Name, maxTextBytes)
			}
		}
	}
	return nil
}

// A writer writes the records of a chat. Messages come parents first, and of those with one
// parent the first with all that follows it before the next. So the current branch always
// leads through all that is before the message that comes next.
type writer struct {
	chat     *Chat
	tree     *tree
	notes    Notes
	records  []chat.Record
	branches chat.Branches
	said     []chat.Message       // what has become of a message; zero: nothing yet
	first    map[int]chat.Message // the first answer, or message, that follows a message, or a root (-1), by [writer.kind]
	last     time.Time
	bytes    int
	err      error
}

func (w *writer) seq() uint64 { return uint64(len(w.records)) }

// record adds an event.
func (w *writer) record(at time.Time, e chat.Event) chat.Record {
	r := chat.Record{Seq: w.seq() + 1, At: at.UTC(), Event: e}
	w.records, w.branches = append(w.records, r), w.branches.After(r)
	if at.After(w.last) {
		w.last = at
	}
	return r
}

func (w *writer) create() {
	id := w.chat.ChatID()
	w.record(w.chat.Created, chat.Created{Chat: chat.Info{
		ID: id, Room: id.Room(), Owner: chat.UserID(w.chat.Owner), OwnerName: personName(w.chat.OwnerName), Created: w.chat.Created.UTC(),
		ModelID: modelID(w.chat.ModelID), APISource: cmp.Or(w.chat.APISource, "aisuite"),
	}})
}

// message writes a message of a person, or an answer that is whole.
func (w *writer) message(i int) {
	m := w.chat.Messages[i]
	if m.Role == chat.RoleUser {
		w.say(i, m)
		return
	}
	if goesOn := m.Unfinished && w.only(i, chat.RoleAssistant); !goesOn {
		w.answer(i)
	}
}

// only reports whether something follows a message, all of one role.
func (w *writer) only(i int, role chat.Role) bool {
	for _, child := range w.tree.children[i] {
		if w.chat.Messages[child].Role != role {
			return false
		}
	}
	return len(w.tree.children[i]) > 0
}

// Messages of people and answers that follow the same message are versions of each other,
// each kind by itself.
const kinds = 2

func kind(before int, role chat.Role) int {
	if role == chat.RoleUser {
		return before * kinds
	}
	return before*kinds + 1
}

func (w *writer) say(i int, m Message) {
	w.count(len(m.Content))
	before := w.tree.parents[i]
	e := chat.MessageAdded{
		MessageID: w.chat.messageID(m.ID), Content: m.Content, Modality: m.Modality, Files: w.files(m),
		Author:  chat.User{ID: chat.UserID(cmp.Or(m.Author, w.chat.Owner)), Name: personName(cmp.Or(m.AuthorName, w.chat.OwnerName))},
		ModelID: modelID(cmp.Or(m.ModelID, w.chat.ModelID)),
	}
	of := kind(before, chat.RoleUser)
	if version, again := w.first[of]; again {
		w.lead(version)
		e.Replaces, e.ReplacesSeq = version.ID, version.Seq
	} else if before >= 0 {
		w.goOn(w.said[before])
	}
	said, _ := w.record(m.At, e).Message()
	w.said[i] = said
	if _, again := w.first[of]; !again {
		w.first[of] = said
	}
}

// goOn selects the branch that ends with a message, unless it is the current one.
func (w *writer) goOn(from chat.Message) {
	if end, current, ok := w.branches.Behind(from); ok && !current {
		w.choosePath(from, end, w.branches.After(chat.Record{Seq: w.seq() + 1, Event: chat.BranchSelected{After: end}}).Current())
	}
}

// lead selects a branch that leads through a message, unless the current one does.
func (w *writer) lead(through chat.Message) {
	if w.branches.Shows(through.Seq) {
		return
	}
	if path, end, ok := w.branches.Through(through); ok && end > 0 {
		w.choosePath(through, end, path)
	}
}

func (w *writer) choosePath(through chat.Message, end uint64, path chat.Path) {
	w.record(w.last, chat.BranchSelected{
		MessageID: through.ID, After: end, From: w.branches.Current().Diverges(path), By: chat.UserID(w.chat.Owner),
	})
}

// answer writes the answer that ends with a message, with the unfinished ones before it.
func (w *writer) answer(i int) {
	parts, before := []int{i}, w.tree.parents[i]
	for before >= 0 && w.chat.Messages[before].Role == chat.RoleAssistant && w.chat.Messages[before].Unfinished {
		parts, before = append(parts, before), w.tree.parents[before]
		w.count(partCost)
	}
	prompt := before
	for prompt >= 0 && w.chat.Messages[prompt].Role == chat.RoleAssistant {
		prompt = w.tree.parents[prompt]
		w.count(partCost)
	}
	question := w.said[prompt]
	m := w.chat.Messages[i]
	queued := chat.TurnQueued{
		TurnID: w.chat.turnID(m.ID), Prompt: question.ID, PromptSeq: question.Seq, ModelID: w.modelOf(parts), By: question.Author.ID,
	}
	of := kind(before, chat.RoleAssistant)
	version, again := w.first[of]
	if again {
		queued.Again, queued.First, queued.FirstSeq = version.ID, version.ID, version.Seq
	}
	first := w.record(w.chat.Messages[parts[len(parts)-1]].At, queued)
	answer := w.run(parts, queued, first)
	w.said[i] = answer
	if !again {
		w.first[of] = answer
	}
}

func (w *writer) modelOf(parts []int) chat.ModelID {
	for _, i := range parts {
		if id := w.chat.Messages[i].ModelID; id != "" {
			return modelID(id)
		}
	}
	return modelID(w.chat.ModelID)
}

// run writes a turn with its steps. parts are its messages, the last one first.
func (w *writer) run(parts []int, queued chat.TurnQueued, first chat.Record) chat.Message {
	m := w.chat.Messages[parts[0]]
	id := w.chat.messageID(m.ID)
	w.record(first.At, chat.TurnStarted{TurnID: queued.TurnID, MessageID: id, ModelID: queued.ModelID, Attempt: 1})
	var s steps
	for n := len(parts) - 1; n >= 0; n-- {
		part := w.chat.Messages[parts[n]]
		w.count(len(part.Content) + len(part.Thought))
		s.say(part)
		if len(part.Calls) > 0 {
			w.callTools(&s, part, queued, id)
		}
	}
	end := chat.TurnEnded{
		TurnID: queued.TurnID, MessageID: id, Prompt: queued.Prompt, PromptSeq: queued.PromptSeq, First: queued.First, ModelID: queued.ModelID,
		State: chat.StateCompleted, Finish: m.Finish, Content: s.text.String(), Thought: s.thought.String(), Steps: s.steps, Calls: s.called,
		Usage: cmp.Or(s.usage, new(chat.Usage)), Modality: m.Modality,
	}
	if queued.FirstSeq > 0 {
		end.Version = first.Seq
	}
	switch {
	case m.Error != "":
		end.State, end.Error = chat.StateFailed, &chat.Error{Code: chat.CodeProviderError, Message: m.Error}
	case m.Stopped:
		end.State, end.By = chat.StateStopped, queued.By
	}
	if len(end.Content)+len(end.Thought) > maxTextBytes {
		w.err = fmt.Errorf("message %.100q: an answer of more than %d bytes", m.ID, maxTextBytes)
	}
	answer, _ := w.record(m.At, end).Message()
	return answer
}

func (w *writer) callTools(s *steps, part Message, queued chat.TurnQueued, id chat.MessageID) {
	called := chat.ToolsCalled{TurnID: queued.TurnID, MessageID: id, ModelID: queued.ModelID, Content: s.step.String(), Thought: s.stepThought.String()}
	for n, c := range part.Calls {
		called.Calls = append(called.Calls, chat.ToolCall{ID: cmp.Or(c.ID, derived("call", part.ID, fmt.Sprint(n))), Name: c.Name, Arguments: c.Arguments})
	}
	w.record(part.At, called)
	for n, c := range part.Calls {
		w.count(len(c.Arguments) + len(c.Result))
		ended := chat.ToolEnded{TurnID: queued.TurnID, CallID: called.Calls[n].ID, Name: c.Name, State: chat.ToolUnknown, Result: c.Result}
		if c.Ended {
			ended.State = chat.ToolCompleted
		}
		w.record(part.At, ended)
		s.call(called.Calls[n], ended)
	}
	s.next()
}

// files returns the attachments of a message.
func (w *writer) files(m Message) (files []chat.File) {
	for n, f := range m.Files {
		kept := chat.File{Type: cmp.Or(f.Type, "application/octet-stream"), Size: max(0, f.Size)}
		if f.Kept != nil {
			kept = *f.Kept
		} else {
			w.notes.Add("attachments: their names, types and times came, their bytes did not")
		}
		at := cmp.Or(f.At, m.At)
		if checkTime(at) != nil {
			at = m.At
		}
		kept.ID, kept.Name, kept.By, kept.Created = w.chat.FileID(m, n), chat.FileName(f.Name), chat.UserID(cmp.Or(m.Author, w.chat.Owner)), at.UTC()
		files = append(files, kept)
	}
	return files
}

// count limits the size of what is written.
func (w *writer) count(bytes int) {
	if w.bytes += bytes + partCost; w.bytes > maxChatBytes {
		w.err = fmt.Errorf("with all its branches it has more than %d bytes", maxChatBytes)
	}
}

// choose selects the branch that was shown last, or else the one with the newest message.
func (w *writer) choose() {
	at := -1
	if w.chat.Current != "" {
		at = w.tree.find(w.chat.Current)
	}
	for at >= 0 && w.chat.Messages[at].Role == "" {
		at = w.tree.parents[at]
	}
	for at >= 0 && w.said[at].ID == "" && len(w.tree.children[at]) > 0 { // it is a part of the answer that follows
		at = w.tree.children[at][len(w.tree.children[at])-1]
	}
	for at >= 0 && w.said[at].ID == "" {
		at = w.tree.parents[at]
	}
	if at < 0 {
		for i, m := range w.said {
			if m.ID != "" && (at < 0 || !m.Created.Before(w.said[at].Created)) {
				at = i
			}
		}
	}
	if at < 0 || w.err != nil {
		return
	}
	if path, end, ok := w.branches.Through(w.said[at]); ok && end > 0 {
		w.choosePath(w.said[at], end, path)
	}
}

// configure writes the settings. It is the last record, and as old as the newest message, so
// that the chat does not look as if nobody had used it since.
func (w *writer) configure() {
	s := chat.Settings{Title: chat.Title(w.chat.Title), SystemPrompt: w.chat.SystemPrompt}
	if len(s.SystemPrompt) > chat.MaxSystemPromptBytes {
		s.SystemPrompt = strings.ToValidUTF8(s.SystemPrompt[:chat.MaxSystemPromptBytes], "")
		w.notes.Add("system prompts that were cut to 16 KiB")
	}
	w.record(w.last, chat.Configured{Settings: s})
}

// name gives the chat its epoch, which follows from its records.
func (w *writer) name() {
	sum := sha256.New()
	for _, r := range w.records {
		data, err := r.Encode()
		if err != nil {
			w.err = err
		}
		sum.Write(data)
	}
	created := w.records[0].Event.(chat.Created)
	created.Chat.Epoch = hex.EncodeToString(sum.Sum(nil)[:16])
	w.records[0].Event = created
}
