package actortest

import (
	"context"
	"iter"
	"slices"
	"strings"
	"sync"
	"time"

	"parlor/protocol/chat"
)

// The models that an [Assistant] has.
const (
	Model      chat.ModelID = "model"
	OtherModel chat.ModelID = "other-model"
)

// RunTool begins a piece of an answer that is no text, but the name of a tool
// which the provider has begun to run.
const RunTool = "\x00tool "

// A Script answers a prompt. say passes on a piece of the answer and reports
// whether more is wanted.
type Script func(ctx context.Context, say func(text string) bool) error

// An Assistant answers as it is told. It is the models and the provider of a
// [Server].
type Assistant struct {
	mu       sync.Mutex
	scripts  map[string]Script
	prompts  []chat.Prompt
	sessions []*Session
	news     map[string][]chat.Delta
	models   map[chat.ModelID]chat.Model
	runs     map[string]*Background
}

// Tell says what comes before the answer to a question.
func (a *Assistant) Tell(question string, news ...chat.Delta) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.news == nil {
		a.news = make(map[string][]chat.Delta)
	}
	a.news[question] = news
}

// On says what answers a question. Others get "You said: " and the question,
// in two pieces and at once.
func (a *Assistant) On(question string, s Script) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.scripts == nil {
		a.scripts = make(map[string]Script)
	}
	a.scripts[question] = s
}

// Describe says more of a model, or adds one.
func (a *Assistant) Describe(m chat.Model) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.models == nil {
		a.models = make(map[chat.ModelID]chat.Model)
	}
	a.models[m.ID] = m
}

// Prompts returns what was asked so far.
func (a *Assistant) Prompts() []chat.Prompt {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.prompts)
}

// Their names.
const (
	Name      = "ada"
	OtherName = "bert"
)

// Named implements room.Models.
func (a *Assistant) Named(name string) (chat.ModelID, bool) {
	switch strings.ToLower(name) {
	case Name:
		return Model, true
	case OtherName:
		return OtherModel, true
	}
	return "", false
}

// Model implements room.Models.
func (a *Assistant) Model(id chat.ModelID) (chat.Model, bool) {
	a.mu.Lock()
	described, ok := a.models[id]
	a.mu.Unlock()
	if ok {
		return described, true
	}
	if id == ListeningModel || id == OtherListeningModel {
		return chat.Model{ID: id, APISource: chat.SourceRealtime}, true
	}
	name := Name
	if id == OtherModel {
		name = OtherName
	}
	return chat.Model{ID: id, APISource: "aisuite", Name: name}, id == Model || id == OtherModel
}

// Refusal implements room.Models.
func (a *Assistant) Refusal(id chat.ModelID) *chat.Error {
	if _, ok := a.Model(id); ok {
		return nil
	}
	return chat.Refuse(chat.CodeNotFound, "the assistant has no such model")
}

// Stream implements room.Provider.
func (a *Assistant) Stream(ctx context.Context, p chat.Prompt) iter.Seq2[chat.Delta, error] {
	switch {
	case p.Input != nil:
		return a.hold(ctx, p)
	case p.Run != nil:
		return a.readOn(ctx, *p.Run)
	}
	question := p.Messages[len(p.Messages)-1].Content
	a.mu.Lock()
	asked := p
	asked.Steer = nil // functions cannot be compared
	a.prompts = append(a.prompts, asked)
	if _, words, named := strings.Cut(question, ": "); named && a.scripts[question] == nil {
		question = words // without the name that it is said under where several speak
	}
	run := a.runs[question]
	script, ok := a.scripts[question]
	news := a.news[question]
	a.mu.Unlock()
	if run != nil {
		return run.begin(ctx)
	}
	if !ok {
		script = Say("You said: ", question)
	}
	ctx = context.WithValue(ctx, steerKey{}, p.Steer)
	return func(yield func(chat.Delta, error) bool) {
		more := true
		for _, d := range news {
			more = more && yield(d, nil)
		}
		err := script(ctx, func(text string) bool {
			more = more && yield(deltaOf(text), nil)
			return more
		})
		switch {
		case !more:
		case err != nil:
			yield(chat.Delta{}, err)
		default:
			yield(chat.Delta{Usage: &chat.Usage{PromptTokens: 2, CompletionTokens: 3, TotalTokens: 5}}, nil)
		}
	}
}

// deltaOf returns what a script says as a provider would.
func deltaOf(text string) chat.Delta {
	if tool, ok := strings.CutPrefix(text, RunTool); ok {
		return chat.Delta{Tool: &chat.ToolCall{ID: "call-" + tool, Name: tool}}
	}
	if calls, ok := strings.CutPrefix(text, CallTools); ok {
		return chat.Delta{Calls: callsOf(calls)}
	}
	return chat.Delta{Text: text}
}

// steerKey is where a Script's context has the prompt's Steer.
type steerKey struct{}

// InSteps says a piece each time that d has passed, and takes in what people
// have said to the turn since: it says that too, in brackets.
func InSteps(d time.Duration, pieces ...string) Script {
	return func(ctx context.Context, say func(string) bool) error {
		steer := ctx.Value(steerKey{}).(func() []chat.PromptMessage)
		for _, p := range pieces {
			if err := Slowly(d, p)(ctx, say); err != nil {
				return err
			}
			for _, m := range steer() {
				if !say("[" + m.Content + "]") {
					return nil
				}
			}
		}
		return nil
	}
}

// Say answers at once, in these pieces.
func Say(pieces ...string) Script {
	return func(_ context.Context, say func(string) bool) error {
		for _, p := range pieces {
			if !say(p) {
				break
			}
		}
		return nil
	}
}

// Hang says the pieces and then nothing, until it is stopped.
func Hang(pieces ...string) Script {
	return Fail(func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	}, pieces...)
}

// Slowly says a piece each time that d has passed.
func Slowly(d time.Duration, pieces ...string) Script {
	return func(ctx context.Context, say func(string) bool) error {
		for _, p := range pieces {
			select {
			case <-time.After(d):
			case <-ctx.Done():
				return ctx.Err()
			}
			if !say(p) {
				break
			}
		}
		return nil
	}
}

// Fail says the pieces and then fails as f does, which may panic.
func Fail(f func(ctx context.Context) error, pieces ...string) Script {
	return func(ctx context.Context, say func(string) bool) error {
		if err := Say(pieces...)(ctx, say); err != nil {
			return err
		}
		return f(ctx)
	}
}
