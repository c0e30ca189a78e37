package realtime

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"

	"parlor/protocol/chat"
)

// An item is a message that the provider has.
type item struct {
	key    string // of our message
	id     string // the provider's; empty for speech of which it has not been told
	event  string // that created it; empty if the provider did
	text   string // that it was created with
	call   string // the id of the call that it is
	spoken bool   // and no part of a conversation that was asked about yet
}

// items are the conversation as the provider has it.
type items []item

func (s items) find(key string) int {
	return slices.IndexFunc(s, func(i item) bool { return i.key == key })
}

// A message is one of a conversation, with its key, or a call in one.
type message struct {
	key string
	chat.PromptMessage
	call *chat.ToolCall
	of   string // the key of the call whose result it is
}

// conversation splits what has to be known into the instructions and the rest.
// Messages without an id are known by their contents.
func conversation(prompt []chat.PromptMessage) (instructions string, messages []message) {
	seen := make(map[string]int)
	numbered := func(key string) string {
		if seen[key]++; seen[key] > 1 {
			key += "#" + strconv.Itoa(seen[key])
		}
		return key
	}
	var told []string
	for _, m := range prompt {
		if m.Role == chat.RoleSystem && len(messages) == 0 {
			told = append(told, m.Content)
			continue
		}
		switch {
		case len(m.Calls) > 0:
			messages = append(messages, callMessages(m, numbered)...)
		case m.ResultOf != nil:
			key := numbered("result of " + callKey(*m.ResultOf))
			messages = append(messages, message{key: key, PromptMessage: m, of: strings.TrimPrefix(key, "result of ")})
		case m.ID != "":
			messages = append(messages, message{key: string(m.ID), PromptMessage: m})
		default:
			messages = append(messages, message{key: numbered(digest(string(m.Role), m.Content)), PromptMessage: m})
		}
	}
	return strings.Join(told, "\n\n"), messages
}

func digest(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:])
}

// change makes the items those of messages by client events, of which send
// returns the names. What was said meanwhile and not asked about stays; what
// reads otherwise now, as when it has to be told who said it, is created anew.
func (s *items) change(messages []message, send func(clientEvent) string) {
	wanted := make(map[string]string, len(messages))
	for _, m := range messages {
		wanted[m.key] = m.Content
	}
	renamed := make(map[string]bool)
	*s = slices.DeleteFunc(*s, func(i item) bool {
		text, stays := wanted[i.key]
		stays = stays && (i.event == "" || i.text == text)
		gone := !stays && !i.spoken && i.id != ""
		if gone {
			renamed[i.key] = true
			send(clientEvent{Type: "conversation.item.delete", ItemID: i.id})
		}
		return gone
	})
	at := 0 // where the next message belongs
	for _, m := range messages {
		if i := s.find(m.key); i >= 0 {
			(*s)[i].spoken = false
			at = i + 1
			continue
		}
		if m.Content == "" && m.call == nil && m.ResultOf == nil {
			continue // the provider refuses these
		}
		id := itemID(m.key)
		if renamed[m.key] { // an id is not used twice
			id = itemID(m.key + "\x00" + m.Content)
		}
		made := s.newItem(id, m)
		event := send(clientEvent{Type: "conversation.item.create", Previous: s.before(at), Item: made})
		*s = slices.Insert(*s, at, item{key: m.key, id: id, event: event, text: m.Content, call: made.CallID})
		at++
	}
}

// before names the item that place at follows; at the end nothing has to.
func (s items) before(at int) string {
	switch {
	case at == len(s):
		return ""
	case at == 0:
		return "root"
	}
	return s[at-1].id
}
