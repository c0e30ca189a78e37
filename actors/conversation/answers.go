package conversation

import "slices"

// answers are those that were read, newest first, and whose messages were not.
// Their text is bounded: the newest ones are dropped first, as they may answer
// what follows the prompt.
type answers struct {
	list  []*remembered
	bytes int
	limit int
}

// answersSlack leaves room for answers that turn out not to be wanted.
const answersSlack = 4

// add adds an older answer. One that the same model gave again later does not
// count, nor one that said and called nothing.
func (a *answers) add(r *remembered) {
	again := func(newer *remembered) bool {
		samePrompt := newer.promptSeq == r.promptSeq
		if newer.promptSeq == 0 || r.promptSeq == 0 {
			samePrompt = newer.prompt == r.prompt
		}
		return samePrompt && newer.by.Value().model == r.by.Value().model
	}
	if r.content() == "" && r.steps == 0 || slices.ContainsFunc(a.list, again) {
		return
	}
	a.list = append(a.list, r)
	a.bytes += len(r.content())
	for a.bytes > a.limit && len(a.list) > 1 {
		a.bytes -= len(a.list[0].content())
		a.list = slices.Delete(a.list, 0, 1)
	}
}

// to takes the answers to a message and adds them to parts, newest first.
func (a *answers) to(m *remembered, parts []*remembered) []*remembered {
	rest := a.list[:0]
	for _, r := range a.list {
		if r.answers(m) {
			parts = append(parts, r)
			a.bytes -= len(r.content())
		} else {
			rest = append(rest, r)
		}
	}
	a.list = rest
	return parts
}

// drop drops the answers to a message that is not wanted.
func (a *answers) drop(m *remembered) { a.to(m, nil) }
