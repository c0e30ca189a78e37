package exports

import (
	"cmp"
	"fmt"
	"slices"

	"parlor/protocol/chat"
)

// opening is the id of the message that stands before an answer that nobody has asked for.
const opening = "parlor-opening"

// A tree is the messages of a chat by their places in it. Those that are left out are gone.
type tree struct {
	chat     *Chat
	children [][]int // of each message
	roots    []int
	parents  []int // -1 for none
}

// newTree puts the messages together. It refuses those that are no tree.
func newTree(c *Chat, notes Notes) (*tree, error) {
	t := &tree{chat: c}
	if err := t.link(notes); err != nil {
		return nil, err
	}
	if err := t.checkCycles(); err != nil {
		return nil, err
	}
	t.skip()
	if err := t.open(notes); err != nil {
		return nil, err
	}
	t.order()
	return t, t.branch()
}

// link finds the parent of each message.
func (t *tree) link(notes Notes) error {
	at := make(map[string]int, len(t.chat.Messages))
	for i, m := range t.chat.Messages {
		switch _, twice := at[m.ID]; {
		case m.ID == "":
			return fmt.Errorf("message %d has no id", i+1)
		case twice:
			return fmt.Errorf("message %.100q comes twice", m.ID)
		}
		if err := checkTime(m.At); err != nil {
			return fmt.Errorf("message %.100q: %w", m.ID, err)
		}
		at[m.ID] = i
	}
	t.parents = make([]int, len(t.chat.Messages))
	for i, m := range t.chat.Messages {
		parent, known := at[m.Parent]
		if !known {
			parent = -1
			if m.Parent != "" {
				notes.Add("messages whose parent is missing: they begin the conversation anew")
			}
		}
		t.parents[i] = parent
	}
	return nil
}

// checkCycles looks at each message once.
func (t *tree) checkCycles() error {
	const unseen, open, sound = 0, 1, 2
	state := make([]int8, len(t.parents))
	for i := range t.parents {
		var path []int
		at := i
		for at >= 0 && state[at] == unseen {
			state[at] = open
			path, at = append(path, at), t.parents[at]
		}
		if at >= 0 && state[at] == open {
			return fmt.Errorf("message %.100q follows itself", t.chat.Messages[at].ID)
		}
		for _, p := range path {
			state[p] = sound
		}
	}
	return nil
}

// skip has what follows a message that is left out follow the one before that. Each is
// looked at once more than it has such parents, of which chains are shortened on the way.
func (t *tree) skip() {
	for i := range t.parents {
		var path []int
		at := t.parents[i]
		for at >= 0 && t.chat.Messages[at].Role == "" {
			path, at = append(path, at), t.parents[at]
		}
		t.parents[i] = at
		for _, p := range path {
			t.parents[p] = at
		}
	}
}

// open puts a message before answers that nobody has asked for: an answer is one to a message.
func (t *tree) open(notes Notes) error {
	added := -1
	for i, parent := range t.parents {
		m := t.chat.Messages[i]
		if parent >= 0 || m.Role != chat.RoleAssistant {
			continue
		}
		if added < 0 {
			if t.find(opening) >= 0 {
				return fmt.Errorf("message %q has an id that is not free", opening)
			}
			t.chat.Messages = append(t.chat.Messages, Message{ID: opening, Role: chat.RoleUser, Content: "…", At: cmp.Or(m.At, t.chat.Created)})
			added = len(t.chat.Messages) - 1
			notes.Add(`answers without a question, which is "…" now`)
		}
		t.parents[i] = added
	}
	if added >= 0 {
		t.parents = append(t.parents, -1)
	}
	return nil
}

func (t *tree) find(id string) int {
	return slices.IndexFunc(t.chat.Messages, func(m Message) bool { return m.ID == id })
}

// order sorts what follows each message. A message without a time has that of its parent.
func (t *tree) order() {
	t.children = make([][]int, len(t.parents))
	for i, parent := range t.parents {
		switch {
		case t.chat.Messages[i].Role == "":
		case parent < 0:
			t.roots = append(t.roots, i)
		default:
			t.children[parent] = append(t.children[parent], i)
		}
	}
	t.walk(func(i int) {
		m := &t.chat.Messages[i]
		if m.At.IsZero() {
			if m.At = t.chat.Created; t.parents[i] >= 0 {
				m.At = t.chat.Messages[t.parents[i]].At
			}
		}
	})
	earlier := func(a, b int) int {
		x, y := t.chat.Messages[a], t.chat.Messages[b]
		return cmp.Or(x.At.Compare(y.At), cmp.Compare(x.Order, y.Order))
	}
	slices.SortStableFunc(t.roots, earlier)
	for _, list := range t.children {
		slices.SortStableFunc(list, earlier)
	}
}

// branch counts the branches. If there are some, answers that follow each other become one: of
// several answers to one message nobody could tell which of them is a version of which.
func (t *tree) branch() error {
	forks := max(0, len(t.roots)-1)
	for _, list := range t.children {
		forks += max(0, len(list)-1)
	}
	if forks > maxForks {
		return fmt.Errorf("it has %d branches, want at most %d", forks, maxForks)
	}
	for i, list := range t.children {
		m := &t.chat.Messages[i]
		follows := slices.ContainsFunc(list, func(child int) bool { return t.chat.Messages[child].Role == chat.RoleAssistant })
		if forks > 0 && m.Role == chat.RoleAssistant && follows {
			m.Unfinished = true
		}
	}
	return nil
}

// walk calls fn for each message, parents first, and of those with one parent the first with
// all that follows it before the next.
func (t *tree) walk(fn func(int)) {
	stack := slices.Clone(t.roots)
	slices.Reverse(stack)
	for len(stack) > 0 {
		i := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		fn(i)
		for _, child := range slices.Backward(t.children[i]) {
			stack = append(stack, child)
		}
	}
}
