package exports

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"maps"
	"regexp"
	"slices"
	"strings"

	"parlor/protocol/chat"
)

// An OpenWebUI reads what Open WebUI exports, and rows of its database: users and folders
// first, then the chats.
type OpenWebUI struct {
	users   map[string]string // their names by their ids
	folders map[string]string
}

// webuiRow is a chat as Open WebUI exports it, or a row of one of its tables.
type webuiRow struct {
	ID       text            `json:"id"`
	User     text            `json:"user_id"`
	Title    text            `json:"title"`
	Chat     json.RawMessage `json:"chat"` // of a row of chat
	History  json.RawMessage `json:"history"`
	Created  moment          `json:"created_at"`
	Archived truth           `json:"archived"`
	Pinned   truth           `json:"pinned"`
	Folder   text            `json:"folder_id"`

	Email    *text `json:"email"`       // of a row of user
	Name     text  `json:"name"`        // and of folder
	Expanded *any  `json:"is_expanded"` // of a row of folder
}

type webuiChat struct {
	Title  text   `json:"title"`
	Models []text `json:"models"`
	System text   `json:"system"`
	Params struct {
		System text `json:"system"`
	} `json:"params"`
	Timestamp moment `json:"timestamp"`
	History   struct {
		Current  text                     `json:"currentId"`
		Messages map[string]*webuiMessage `json:"messages"`
	} `json:"history"`
}

type webuiMessage struct {
	Parent   text            `json:"parentId"`
	Children []text          `json:"childrenIds"`
	Role     text            `json:"role"`
	Content  text            `json:"content"`
	Model    text            `json:"model"`
	At       moment          `json:"timestamp"`
	Done     *bool           `json:"done"`
	Error    json.RawMessage `json:"error"`
	Files    []webuiFile     `json:"files"`
	Usage    struct {
		Prompt     number `json:"prompt_tokens"`
		Completion number `json:"completion_tokens"`
		Eval       number `json:"prompt_eval_count"` // as Ollama says it
		EvalCount  number `json:"eval_count"`
	} `json:"usage"`
}

type webuiFile struct {
	Type text   `json:"type"`
	ID   text   `json:"id"`
	Name text   `json:"name"`
	URL  text   `json:"url"`
	Size number `json:"size"`
	File struct {
		ID      text   `json:"id"`
		Name    text   `json:"filename"`
		Created moment `json:"created_at"`
		Meta    struct {
			Name text   `json:"name"`
			Type text   `json:"content_type"`
			Size number `json:"size"`
		} `json:"meta"`
	} `json:"file"`
}

// Learn takes in a row of a user or a folder. It reports false for another one.
func (o *OpenWebUI) Learn(b []byte) (bool, error) {
	var row webuiRow
	if err := json.Unmarshal(b, &row); err != nil {
		return false, err
	}
	to := &o.users
	switch {
	case len(row.Chat) > 0 || len(row.History) > 0 || row.ID == "":
		return false, nil
	case row.Email != nil:
	case row.Expanded != nil:
		to = &o.folders
	default:
		return false, nil
	}
	if *to == nil {
		*to = make(map[string]string)
	}
	(*to)[string(row.ID)] = string(row.Name)
	return true, nil
}

// Chat reads a chat. It returns nil for a row that is none.
func (o *OpenWebUI) Chat(b []byte, notes Notes) (*Chat, error) {
	var row webuiRow
	if err := json.Unmarshal(b, &row); err != nil {
		return nil, err
	}
	body := row.Chat
	switch {
	case len(row.Chat) > 0:
	case len(row.History) > 0: // a chat without its row
		body = b
	case row.Email != nil || row.Expanded != nil:
		return nil, nil
	default:
		notes.Add("rows that are neither a chat nor a user nor a folder: they are left out")
		return nil, nil
	}
	c := &Chat{
		ID: string(row.ID), Owner: string(row.User), OwnerName: o.users[string(row.User)], Title: string(row.Title), Created: row.Created.Time,
		Pinned: bool(row.Pinned), Archived: bool(row.Archived), Folder: o.folders[string(row.Folder)],
	}
	if row.Folder != "" && c.Folder == "" {
		notes.Add("chats whose folder is not in the export")
	}
	var w webuiChat
	if err := embedded(body, &w); err != nil {
		return c, fmt.Errorf("chat: %w", err)
	}
	c.Title, c.SystemPrompt, c.Current = cmp.Or(c.Title, string(w.Title)), string(cmp.Or(w.System, w.Params.System)), string(w.History.Current)
	if len(w.Models) > 0 {
		c.ModelID = string(w.Models[0])
	}
	if c.Created.IsZero() {
		c.Created = w.Timestamp.Time
	}
	switch {
	case c.ID == "":
		return c, errors.New("it has no id")
	case len(w.History.Messages) == 0:
		return c, errors.New("it has no messages")
	}
	return c, c.addWebUI(w.History.Messages, notes)
}

func (c *Chat) addWebUI(messages map[string]*webuiMessage, notes Notes) error {
	orders := make(map[text]int)
	for _, m := range messages {
		if m == nil {
			continue
		}
		for i, child := range m.Children {
			orders[child] = i
		}
	}
	for _, id := range slices.Sorted(maps.Keys(messages)) {
		w := messages[id]
		if w == nil {
			return fmt.Errorf("message %.100q is null", id)
		}
		m := Message{ID: id, Order: orders[text(id)], At: w.At.Time, ModelID: string(w.Model)}
		switch w.Role {
		case "user":
			m.Role, m.Content, m.Files = chat.RoleUser, string(w.Content), w.files(notes)
			c.add(string(w.Parent), []Message{m})
		case "assistant":
			m.Role, m.Files = chat.RoleAssistant, w.files(notes)
			w.answer(&m)
			c.add(string(w.Parent), inSteps(m, string(w.Content)))
		case "system":
			if c.SystemPrompt == "" {
				c.SystemPrompt = string(w.Content)
			}
			c.add(string(w.Parent), []Message{m})
		default:
			return fmt.Errorf("message %.100q: the role %.100q is none of user, assistant and system", id, w.Role)
		}
	}
	return nil
}

func (w *webuiMessage) answer(m *Message) {
	m.Stopped = w.Done != nil && !*w.Done
	if prompt, answer := int(w.Usage.Prompt+w.Usage.Eval), int(w.Usage.Completion+w.Usage.EvalCount); prompt+answer > 0 {
		m.Usage = &chat.Usage{PromptTokens: prompt, CompletionTokens: answer, TotalTokens: prompt + answer}
	}
	var says struct {
		Content text `json:"content"`
	}
	switch {
	case len(w.Error) == 0 || string(w.Error) == "null" || string(w.Error) == "false":
	case json.Unmarshal(w.Error, &says) == nil && says.Content != "":
		m.Error = string(says.Content)
	case string(w.Error) == "true": // older versions have the error in the content
		m.Error = cmp.Or(string(w.Content), "it failed")
	default:
		m.Error = said(w.Error)
	}
}

func (w *webuiMessage) files(notes Notes) (files []File) {
	for _, f := range w.Files {
		switch f.Type {
		case "file", "image", "":
		default: // a collection, a web page, a note
			notes.Add(fmt.Sprintf("attachments of the type %.50q: they are left out", f.Type))
			continue
		}
		file := File{
			ID: string(cmp.Or(f.ID, f.File.ID)), Name: string(cmp.Or(f.Name, f.File.Meta.Name, f.File.Name)), Type: string(f.File.Meta.Type),
			Size: int64(cmp.Or(f.Size, f.File.Meta.Size)), At: f.File.Created.Time,
		}
		if head, data, ok := strings.Cut(string(f.URL), ";base64,"); ok && strings.HasPrefix(head, "data:") {
			file.Type, file.Size, file.Data = strings.TrimPrefix(head, "data:"), int64(len(data)/4*3), string(f.URL)
		} else if file.ID == "" {
			file.ID = fileIn(string(f.URL))
		}
		if file.Type == "" && f.Type == "image" {
			file.Type = "image/*"
		}
		file.Name = cmp.Or(file.Name, string(f.Type))
		files = append(files, file)
	}
	return files
}

// fileIn returns the id of the file that a URL of Open WebUI leads to. Images have it as it is, or
// a path of its API: /api/v1/files/ID/content.
func fileIn(url string) string {
	if _, behind, ok := strings.Cut(url, "/files/"); ok {
		url, _, _ = strings.Cut(behind, "/")
	}
	return url
}

// details are the blocks in which Open WebUI writes thoughts and calls into an answer.
var (
	details   = regexp.MustCompile(`(?s)<details type="(reasoning|tool_calls)"([^>]*)>(.*?)</details>\n*`)
	attribute = regexp.MustCompile(`([a-z_]+)="([^"]*)"`)
	summary   = regexp.MustCompile(`(?s)^\s*<summary>.*?</summary>`)
)

// inSteps returns an answer with its thoughts and calls apart, and a step for all that ends in
// calls.
func inSteps(m Message, content string) []Message {
	steps := []Message{m}
	last := func() *Message { return &steps[len(steps)-1] }
	add := func(to func(*Message)) {
		if len(last().Calls) > 0 {
			steps = append(steps, m)
		}
		to(last())
	}
	say := func(text string) {
		if text != "" {
			add(func(m *Message) { m.Content += text })
		}
	}
	at := 0
	for _, found := range details.FindAllStringSubmatchIndex(content, -1) {
		say(strings.TrimSpace(content[at:found[0]]))
		at = found[1]
		attributes, body := content[found[4]:found[5]], content[found[6]:found[7]]
		if content[found[2]:found[3]] == "reasoning" {
			add(func(m *Message) { m.Thought += chat.Between(m.Thought) + thoughtIn(body) })
			continue
		}
		last().Calls = append(last().Calls, callIn(attributes, summary.ReplaceAllString(body, "")))
	}
	if at > 0 {
		content = strings.TrimSpace(content[at:])
	}
	say(content)
	return steps
}

// thoughtIn returns a thought, which is written as a quotation.
func thoughtIn(body string) string {
	body = html.UnescapeString(summary.ReplaceAllString(body, ""))
	var lines []string
	for line := range strings.Lines(strings.TrimSpace(body)) {
		lines = append(lines, strings.TrimPrefix(strings.TrimPrefix(strings.TrimSuffix(line, "\n"), ">"), " "))
	}
	return strings.Join(lines, "\n")
}

func callIn(attributes, body string) Call {
	c := Call{Name: "unknown", Ended: true, Result: html.UnescapeString(strings.TrimSpace(body))}
	for _, a := range attribute.FindAllStringSubmatch(attributes, -1) {
		value := html.UnescapeString(a[2])
		switch a[1] {
		case "id":
			c.ID = value
		case "name":
			c.Name = value
		case "arguments":
			c.Arguments = unquoted(value)
		case "result":
			c.Result = unquoted(value)
		case "done":
			c.Ended = value == "true"
		}
	}
	return c
}

// unquoted returns the text of a string in JSON, or what else it is as it is.
func unquoted(s string) string {
	var inner string
	if json.Unmarshal([]byte(s), &inner) == nil {
		return inner
	}
	return s
}
