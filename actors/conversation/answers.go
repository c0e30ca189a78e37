package conversation

import (
	"slices"

	"parlor/protocol/chat"
)

// answers are those that have been read, newest first, before the messages that
// they answer. What is read in between is bounded: the newest ones go first, as
// they may answer what follows the prompt.
type answers struct {
	list  []answered
	bytes int
	limit int
}

// answersSlack leaves room for answers that turn out not to be wanted.
const answersSlack = 4

// add adds an older answer. One that the same model gave again later does not
// count, nor one without text.
func (a *answers) add(e answered) {
	again := func(newer answered) bool { return newer.Prompt == e.Prompt && newer.ModelID == e.ModelID }
	if e.Content == "" || slices.ContainsFunc(a.list, again) {
		return
	}
	a.list = append(a.list, e)
	a.bytes += len(e.Content)
	for a.bytes > a.limit && len(a.list) > 1 {
		a.bytes -= len(a.list[0].Content)
		a.list = slices.Delete(a.list, 0, 1)
	}
}

// to takes the answers to a message, oldest first.
func (a *answers) to(prompt chat.MessageID) (found []answered) {
	a.list = slices.DeleteFunc(a.list, func(e answered) bool {
		if e.Prompt != prompt {
			return false
		}
		found = append(found, e)
		a.bytes -= len(e.Content)
		return true
	})
	slices.Reverse(found)
	return found
}
