package mcp

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"parlor/protocol/chat"
)

// Limits of prompts.
const (
	maxPrompts     = 200       // of a server
	maxPromptPages = 10        // of its list
	maxPlaces      = 50        // of a prompt
	maxPromptText  = 256 << 10 // bytes of one, as it is used
	maxReason      = 1000      // bytes of a description, or of what is wrong
	promptTimeout  = 10 * time.Second
)

// A Prompt is a text that a server has for people, who say what is to be in its places.
type Prompt struct {
	Server      string           `json:"server"`
	Name        string           `json:"name"`
	Title       string           `json:"title"`
	Description string           `json:"description"`
	Arguments   []PromptArgument `json:"arguments"`
}

// A PromptArgument is a place in a prompt.
type PromptArgument struct {
	Name        string `json:"name"`
	Description string `json:"description"`
	Required    bool   `json:"required"`
}

// A PromptMessage is a part of a prompt that is used.
type PromptMessage struct {
	Role    string `json:"role"` // user or assistant
	Content string `json:"content"`
}

// A Missing server is one whose prompts cannot be listed.
type Missing struct {
	Server string `json:"server"`
	Reason string `json:"reason"`
}

// Prompts lists the prompts of all servers for a user, sorted by server and name.
func (s *Servers) Prompts(ctx context.Context, user chat.UserID) (list []Prompt, missing []Missing) {
	ctx, cancel := context.WithTimeout(ctx, promptTimeout)
	defer cancel()
	var mu sync.Mutex
	var group sync.WaitGroup
	for name, within := range s.callers {
		group.Go(func() {
			var own []Prompt
			err := within(ctx, user, func(session *session) (err error) {
				own, err = session.prompts(ctx, name)
				return err
			})
			mu.Lock()
			defer mu.Unlock()
			list = append(list, own...)
			if err != nil {
				missing = append(missing, Missing{name, reasonOf(err)})
			}
		})
	}
	group.Wait()
	slices.SortFunc(list, func(a, b Prompt) int { return cmp.Or(cmp.Compare(a.Server, b.Server), cmp.Compare(a.Name, b.Name)) })
	slices.SortFunc(missing, func(a, b Missing) int { return cmp.Compare(a.Server, b.Server) })
	return list, missing
}

// Prompt returns the messages of a prompt with arguments in its places.
func (s *Servers) Prompt(ctx context.Context, user chat.UserID, server, name string, arguments map[string]string) (messages []PromptMessage, err error) {
	within, found := s.callers[server]
	if !found {
		return nil, chat.Refuse(chat.CodeNotFound, "there is no such server of tools")
	}
	ctx, cancel := context.WithTimeout(ctx, promptTimeout)
	defer cancel()
	err = within(ctx, user, func(session *session) (err error) {
		messages, err = session.prompt(ctx, name, arguments)
		return err
	})
	if err != nil {
		if refusal := chat.AsError(err); refusal.Code == chat.CodeForbidden || refusal.Code == chat.CodeBusy {
			return nil, refusal
		}
		return nil, chat.Refuse(chat.CodeProviderError, reasonOf(err))
	}
	return messages, nil
}

// reasonOf says for people why a server cannot be asked.
func reasonOf(err error) string {
	if err == context.DeadlineExceeded {
		return fmt.Sprintf("it has not answered within %s", promptTimeout)
	}
	return cut(chat.WithoutControls(chat.AsError(err).Message), maxReason)
}

// prompts lists those of the server, none if it says that it has none.
func (s *session) prompts(ctx context.Context, server string) (list []Prompt, err error) {
	if begun := s.client.InitializeResult(); begun == nil || begun.Capabilities == nil || begun.Capabilities.Prompts == nil {
		return nil, nil
	}
	params := new(sdk.ListPromptsParams)
	for range maxPromptPages {
		d := new(delivery)
		page, err := s.client.ListPrompts(d.with(ctx), params)
		switch {
		case isUnknownMethod(err):
			return list, nil
		case err != nil:
			return nil, s.failure(ctx, d, err)
		}
		for _, p := range page.Prompts {
			if p == nil || p.Name == "" || len(p.Name) > maxName || !readable(p.Name) || len(list) == maxPrompts {
				continue
			}
			list = append(list, promptOf(server, p))
		}
		if page.NextCursor == "" || page.NextCursor == params.Cursor {
			break
		}
		params = &sdk.ListPromptsParams{Cursor: page.NextCursor}
	}
	return list, nil
}

func promptOf(server string, p *sdk.Prompt) Prompt {
	one := Prompt{Server: server, Name: p.Name, Title: oneLine(cut(p.Title, maxAbout)), Description: cut(chat.WithoutControls(p.Description), maxReason), Arguments: []PromptArgument{}}
	for _, a := range p.Arguments[:min(len(p.Arguments), maxPlaces)] {
		if a != nil && len(a.Name) <= maxName {
			one.Arguments = append(one.Arguments, PromptArgument{a.Name, oneLine(cut(a.Description, maxAbout)), a.Required})
		}
	}
	return one
}

// prompt returns the messages of one.
func (s *session) prompt(ctx context.Context, name string, arguments map[string]string) (messages []PromptMessage, err error) {
	d := new(delivery)
	result, err := s.client.GetPrompt(d.with(ctx), &sdk.GetPromptParams{Name: name, Arguments: arguments})
	switch {
	case err != nil:
		return nil, s.failure(ctx, d, err)
	case result.NeedsInput():
		return nil, errNeedsInput
	}
	size := 0
	for _, m := range result.Messages {
		if m == nil || m.Content == nil {
			continue
		}
		role := "user"
		if m.Role == "assistant" {
			role = "assistant"
		}
		text := chat.WithoutControls(described(m.Content))
		if size += len(text); size > maxPromptText {
			return nil, chat.Refuse(chat.CodeTooLarge, fmt.Sprintf("the prompt has more than %d bytes", maxPromptText))
		}
		messages = append(messages, PromptMessage{role, text})
	}
	return messages, nil
}
