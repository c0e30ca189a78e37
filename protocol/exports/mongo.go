package exports

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"parlor/protocol/chat"
)

// mongoDoc is a document of the assistant web server, as mongoexport writes it: of a chat, a
// message, a user or a file.
type mongoDoc struct {
	ChatID    text            `json:"chat_id"`
	UserID    text            `json:"user_id"`
	MessageID text            `json:"message_id"`
	ModelID   text            `json:"model_id"`
	APISource text            `json:"model_api_source"`
	Created   moment          `json:"created_timestamp"`
	Role      text            `json:"role"`
	Type      text            `json:"type"`
	Modality  text            `json:"modality"`
	Content   text            `json:"content"`
	Files     json.RawMessage `json:"files"`
	Usage     *struct {
		Prompt     number `json:"prompt_tokens"`
		Completion number `json:"completion_tokens"`
		Total      number `json:"total_tokens"`
	} `json:"usage"`
	Contents map[string]struct {
		Name text `json:"filename"`
		Type text `json:"content_type"`
	} `json:"file_contents"`
	Stop text `json:"stop_reason"`

	Name      text            `json:"name"` // of a tool, or a user
	CallID    text            `json:"call_id"`
	Arguments json.RawMessage `json:"arguments"`
	Result    json.RawMessage `json:"result"`

	CurrentModel  text `json:"current_model_id"`
	CurrentSource text `json:"current_model_api_source"`

	Email *text `json:"email"`

	FileID   text   `json:"fileid"`
	FileName text   `json:"filename"`
	FileType text   `json:"content_type"`
	FileKey  text   `json:"object_key"`
	Size     number `json:"size"`
	Uploaded moment `json:"uploaded_at"`
}

// A Mongo reads the collections of the assistant web server. First it learns all documents.
// They come in any order, so it notes which message belongs to which chat, and the caller
// where the message is.
type Mongo struct {
	chats map[string]*Chat
	order []string
	users map[string]string
	files map[string]File
}

// Learn takes in a document. For a message it returns the id of its chat.
func (m *Mongo) Learn(b []byte) (chatID string, err error) {
	var d mongoDoc
	if err := json.Unmarshal(b, &d); err != nil {
		return "", err
	}
	if m.chats == nil {
		m.chats, m.users, m.files = make(map[string]*Chat), make(map[string]string), make(map[string]File)
	}
	switch {
	case d.MessageID != "" && d.ChatID != "":
		m.chat(string(d.ChatID))
		return string(d.ChatID), nil
	case d.MessageID != "":
		return "", fmt.Errorf("message %.100q has no chat_id", d.MessageID)
	case d.FileID != "":
		m.file(d)
	case d.ChatID != "":
		c := m.chat(string(d.ChatID))
		c.Owner, c.ModelID, c.APISource, c.Created = string(d.UserID), string(d.CurrentModel), string(d.CurrentSource), d.Created.Time
		return "", m.filesOf(d)
	case d.UserID != "" && (d.Email != nil || d.Name != ""):
		m.users[string(d.UserID)] = string(d.Name)
	default:
		return "", errors.New("it is none of a chat, a message, a user and a file")
	}
	return "", nil
}

func (m *Mongo) chat(id string) *Chat {
	c := m.chats[id]
	if c == nil {
		c = &Chat{ID: id}
		m.chats[id], m.order = c, append(m.order, id)
	}
	return c
}

func (m *Mongo) file(d mongoDoc) {
	m.files[string(d.FileID)] = File{
		ID: string(d.FileID), Name: string(d.FileName), Type: string(d.FileType), Size: int64(d.Size), At: d.Uploaded.Time, Path: string(d.FileKey),
	}
}

// filesOf takes in the files of a chat, which are in its document.
func (m *Mongo) filesOf(d mongoDoc) error {
	if len(d.Files) == 0 {
		return nil
	}
	var files []mongoDoc
	if err := json.Unmarshal(d.Files, &files); err != nil {
		return fmt.Errorf("files: %w", err)
	}
	for _, f := range files {
		m.file(f)
	}
	return nil
}

// Chats returns the ids of all chats, in the order in which they were named first.
func (m *Mongo) Chats() []string { return m.order }

// Chat puts a chat together from its messages.
func (m *Mongo) Chat(id string, messages [][]byte, notes Notes) (*Chat, error) {
	c := *m.chats[id]
	c.OwnerName = m.users[c.Owner]
	docs, err := decodeDocs(messages, notes)
	if err != nil {
		return &c, err
	}
	results := make(map[text]mongoDoc)
	for _, d := range docs {
		if d.Type == "function_result" {
			results[d.CallID] = d
		}
	}
	parent := ""
	for _, d := range docs {
		said, err := m.message(d, results, notes)
		if err != nil {
			return &c, fmt.Errorf("message %.100q: %w", d.MessageID, err)
		}
		if d.Role == "system" && d.Type != "function_result" && c.SystemPrompt == "" {
			c.SystemPrompt = string(d.Content)
		}
		said.Parent = parent
		c.Messages, parent = append(c.Messages, said), said.ID
		c.ModelID = cmp.Or(c.ModelID, said.ModelID)
	}
	if c.Owner == "" {
		notes.Add("chats of whom only messages are in the export")
	}
	return &c, nil
}

// decodeDocs returns messages in the order of their times. One that comes twice counts once.
func decodeDocs(messages [][]byte, notes Notes) ([]mongoDoc, error) {
	var docs []mongoDoc
	seen := make(map[text]bool)
	for _, b := range messages {
		var d mongoDoc
		if err := json.Unmarshal(b, &d); err != nil {
			return nil, err
		}
		if seen[d.MessageID] {
			notes.Add("messages that come twice")
			continue
		}
		seen[d.MessageID] = true
		if n := len(docs); d.Created.IsZero() && n > 0 {
			d.Created = docs[n-1].Created
		}
		docs = append(docs, d)
	}
	slices.SortStableFunc(docs, func(a, b mongoDoc) int { return a.Created.Compare(b.Created.Time) })
	return docs, nil
}

func (m *Mongo) message(d mongoDoc, results map[text]mongoDoc, notes Notes) (Message, error) {
	said := Message{ID: string(d.MessageID), ModelID: string(d.ModelID), At: d.Created.Time, Modality: string(d.Modality)}
	if said.Modality != chat.ModalityAudio {
		said.Modality = ""
	}
	switch {
	case d.Type == "function_result": // belongs to its call
	case d.Type == "function_call":
		call := Call{ID: string(d.CallID), Name: string(d.Name), Arguments: argsIn(d.Arguments)}
		if result, ok := results[d.CallID]; ok {
			call.Result, call.Ended = argsIn(result.Result), true
		}
		said.Role, said.Calls, said.Unfinished = chat.RoleAssistant, []Call{call}, true
	case d.Type != "message" && d.Type != "":
		return said, fmt.Errorf("the type %.100q is none of message, function_call and function_result", d.Type)
	case d.Role == "user":
		said.Role, said.Content, said.Author, said.AuthorName = chat.RoleUser, string(d.Content), string(d.UserID), m.users[string(d.UserID)]
		return said, m.attach(&said, d)
	case d.Role == "assistant":
		said.Role, said.Content = chat.RoleAssistant, string(d.Content)
		if d.Usage != nil {
			said.Usage = &chat.Usage{PromptTokens: int(d.Usage.Prompt), CompletionTokens: int(d.Usage.Completion), TotalTokens: int(d.Usage.Total)}
		}
	case d.Role == "system":
		notes.Add("messages of the system: the first one of a chat is its system prompt")
	default:
		return said, fmt.Errorf("the role %.100q is none of user, assistant and system", d.Role)
	}
	return said, nil
}

// attach adds the files that a message names.
func (m *Mongo) attach(said *Message, d mongoDoc) error {
	var ids []text
	if err := embedded(d.Files, &ids); err != nil {
		return fmt.Errorf("files: %w", err)
	}
	for _, id := range ids {
		f, known := m.files[string(id)]
		if !known {
			f = File{ID: string(id), Name: string(d.Contents[string(id)].Name), Type: string(d.Contents[string(id)].Type)}
		}
		said.Files = append(said.Files, f)
	}
	return nil
}
