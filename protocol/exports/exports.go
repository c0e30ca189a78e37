// Package exports reads the exports of other chat servers: the documents of MongoDB in which
// the assistant web server kept its chats, and what Open WebUI, LibreChat and ChatGPT write.
//
//	stream → Values → a decoder of one format → Chat → Records → the log of a room
//
// A [Chat] is a tree of messages, as most of these formats have it. [Chat.Records] says it in
// the records that a room would have written, with branches where the tree has some.
package exports

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"parlor/protocol/chat"
)

// A Chat is a conversation of another server.
type Chat struct {
	ID           string
	Owner        string // as the other server calls the user; empty if the export does not say
	OwnerName    string
	Title        string
	SystemPrompt string
	ModelID      string
	APISource    string
	Created      time.Time
	Messages     []Message
	Current      string // the message with which the conversation ends that was shown last; empty: the newest

	Pinned, Archived bool
	Folder           string
}

// A Message is a node of a conversation. One without a Role is left out, and what follows it
// belongs to its parent.
type Message struct {
	ID, Parent string
	Role       chat.Role // [chat.RoleUser] or [chat.RoleAssistant]
	Author     string    // of a person; empty: the chat's owner
	AuthorName string
	ModelID    string
	Content    string
	Thought    string
	Error      string // with which an answer ended
	Finish     chat.Finish
	Stopped    bool
	Modality   string
	At         time.Time // zero: the export does not say
	Order      int       // among the messages of one parent that have the same time
	Usage      *chat.Usage
	Calls      []Call // of tools, at the end of Content
	Files      []File

	// Unfinished means that the answer goes on in the message of the assistant that follows.
	Unfinished bool
}

// add adds a message that comes in steps, of which the last one has its id.
func (c *Chat) add(parent string, steps []Message) {
	for n, m := range steps {
		if m.Parent = parent; n < len(steps)-1 {
			m.ID, m.Unfinished, m.Files = fmt.Sprintf("%s/step %d", m.ID, n+1), true, nil
		}
		c.Messages, parent = append(c.Messages, m), m.ID
	}
}

// A Call is a call of a tool.
type Call struct {
	ID, Name, Arguments, Result string

	Ended bool // Result is what it returned
}

// A File is an attachment. Most exports have no bytes of it: these are in a folder or an
// archive beside them.
type File struct {
	ID, Name, Type string
	Size           int64
	At             time.Time

	Path string // where the other server keeps the bytes; empty if the export does not say
	Data string // a data URL of the bytes; empty in most exports

	// Kept is what was found out about the bytes by those who have them. Nil: there are none.
	Kept *chat.File
}

// Notes count what did not come over as it was, by what that is.
type Notes map[string]int

// Add counts one more.
func (n Notes) Add(what string) { n[what]++ }

// Limits of a conversation.
const (
	maxTextBytes = 8 << 20   // of one text
	maxChatBytes = 256 << 20 // of all texts, with those that several branches share counted for each
	maxForks     = 20_000
	partCost     = 64 // bytes that an empty text counts as
)

// The times that a message may have. No such server is older.
var (
	earliest = time.Date(1995, 1, 1, 0, 0, 0, 0, time.UTC)
	latest   = time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)
)

func checkTime(at time.Time) error {
	if !at.IsZero() && (at.Before(earliest) || !at.Before(latest)) {
		return fmt.Errorf("the time %s is not between the years %d and %d", at.Format(time.RFC3339), earliest.Year(), latest.Year())
	}
	return nil
}

// derived returns a name that follows from others, in the form of a UUID of version 8.
func derived(parts ...string) string {
	sum := sha256.Sum256([]byte("parlor import " + strings.Join(parts, "\x00")))
	sum[6], sum[8] = sum[6]&0x0f|0x80, sum[8]&0x3f|0x80
	h := hex.EncodeToString(sum[:16])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// ChatID returns the id that the chat gets: its own if that is possible.
func (c *Chat) ChatID() chat.ID {
	id := chat.ID(c.ID)
	if id.Valid() && !id.MadeForOther(chat.UserID(c.Owner)) {
		return id
	}
	return chat.MakeID(chat.UserID(c.Owner), [8]byte([]byte(derived("chat", c.ID))[:8]))
}

func (c *Chat) messageID(id string) chat.MessageID {
	if chat.ClientID(id).Valid() {
		return chat.MessageID(id)
	}
	return chat.MessageID(derived("message", c.ID, id))
}

// FileID returns the id that the n-th file of a message gets, counted from 0: its own if that is
// possible.
func (c *Chat) FileID(m Message, n int) chat.FileID {
	own := m.Files[n].ID
	if id := chat.FileID(own); id.Valid() {
		return id
	}
	return chat.FileID(derived("file", c.ID, cmp.Or(own, m.ID+"\x00"+fmt.Sprint(n))))
}

func (c *Chat) turnID(id string) chat.TurnID { return chat.TurnID(derived("turn", c.ID, id)) }

// modelID returns the name of a model. Names that no wire would take are cut, and none is
// called unknown: an answer is some model's.
func modelID(id string) chat.ModelID {
	const limit = 256
	id = chat.OneLine(id)
	if len(id) > limit {
		id = strings.ToValidUTF8(id[:limit], "")
	}
	if id == "" {
		id = "unknown"
	}
	return chat.ModelID(id)
}

// personName returns the name of a person as it can be kept.
func personName(name string) string {
	name = chat.OneLine(name)
	if !chat.Printable(name) {
		return ""
	}
	if len(name) > chat.MaxNameLen {
		name = strings.ToValidUTF8(name[:chat.MaxNameLen], "")
	}
	return name
}
