package eliza

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// maxClause is how many words of a clause are heard: patterns are found in
	// a time that grows with its square.
	maxClause = 60

	// maxWord is how many bytes a word may have; longer ones are not heard.
	maxWord = 64

	// maxMemory is how many remarks wait to be taken up again.
	maxMemory = 8

	// maxLinks is how many keywords one answer may go through.
	maxLinks = 8
)

// A talk is one conversation, heard from its beginning. It belongs to one
// goroutine.
type talk struct {
	script *script
	seed   uint64
	turns  map[*rule]int // how often each rule has answered
	memory []string      // answers that take up an earlier remark, oldest first
}

func newTalk(s *script, seed uint64) *talk {
	return &talk{script: s, seed: seed, turns: make(map[*rule]int)}
}

// A word is heard in lower case and repeated as it was said.
type word struct{ said, heard string }

// reply answers the user's next remark. It is never empty.
func (t *talk) reply(remark string) string {
	words, keys := t.listen(remark)
	answer := t.speak(keys, words)
	if answer == "" {
		answer = t.recall()
	}
	if answer == "" {
		answer = t.speak([]*keyword{&t.script.none}, words)
	}
	t.remember(words)
	return answer
}

// listen returns the clause of the remark in which most is at stake, and its
// keywords, the most important first.
func (t *talk) listen(remark string) ([]word, []*keyword) {
	var words []word
	var keys []*keyword
	for _, clause := range t.script.clauses(remark) {
		clause = clause[:min(len(clause), maxClause)]
		found := t.script.keywords(clause)
		if len(found) > 0 && (len(keys) == 0 || found[0].rank > keys[0].rank) {
			words, keys = clause, found
		}
	}
	return words, keys
}

// speak returns what the first of keys says that has anything to say.
func (t *talk) speak(keys []*keyword, words []word) string {
	for _, k := range keys {
		for range maxLinks {
			a, parts, ok := t.choose(k, words)
			if !ok || a.link == next {
				break
			}
			if a.link == "" {
				return t.script.fill(a.text, parts)
			}
			k = t.script.keys[a.link]
		}
	}
	return ""
}

// choose returns the answer whose turn it is at the first rule of k that
// words fit, and the parts for it.
func (t *talk) choose(k *keyword, words []word) (answer, [][]word, bool) {
	for _, r := range k.rules {
		if parts, ok := match(r.pattern, words); ok {
			return t.turn(r), parts, true
		}
	}
	return answer{}, nil, false
}

func (t *talk) turn(r *rule) answer {
	first := rand.New(rand.NewPCG(t.seed, uint64(r.id))).IntN(len(r.answers))
	n := first + t.turns[r]
	t.turns[r]++
	return r.answers[n%len(r.answers)]
}

// remember keeps what may be said of words later.
func (t *talk) remember(words []word) {
	a, parts, ok := t.choose(&t.script.memory, words)
	if !ok {
		return
	}
	if len(t.memory) == maxMemory {
		t.memory = t.memory[1:]
	}
	t.memory = append(t.memory, t.script.fill(a.text, parts))
}

// recall takes up the oldest remark that waits, or returns "".
func (t *talk) recall() string {
	if len(t.memory) == 0 {
		return ""
	}
	oldest := t.memory[0]
	t.memory = t.memory[1:]
	return oldest
}

// clauses splits a remark at its punctuation and at "but".
func (s *script) clauses(remark string) [][]word {
	var clauses [][]word
	remark = strings.ReplaceAll(remark, "’", "'")
	for _, piece := range strings.FieldsFunc(remark, endsClause) {
		var clause []word
		for _, said := range strings.FieldsFunc(piece, endsWord) {
			if strings.EqualFold(said, "but") {
				clauses = append(clauses, clause)
				clause = nil
				continue
			}
			clause = append(clause, s.hear(said)...)
		}
		clauses = append(clauses, clause)
	}
	return clauses
}

func endsClause(r rune) bool { return strings.ContainsRune(".,;:!?()\n…–—。、，！？", r) }

func endsWord(r rune) bool {
	return !unicode.In(r, unicode.Letter, unicode.Mark, unicode.Digit) && r != '\'' && r != '-'
}

// hear returns the words that said stands for.
func (s *script) hear(said string) []word {
	if len(said) > maxWord {
		return nil
	}
	heard := strings.ToLower(said)
	if s.common[heard] {
		said = heard
	}
	long, ok := s.expand[heard]
	if !ok {
		return []word{{said, heard}}
	}
	var words []word
	for _, w := range long {
		words = append(words, word{w, w})
	}
	return words
}

// keywords returns those in clause, the highest rank first, each once.
func (s *script) keywords(clause []word) []*keyword {
	var keys []*keyword
	for _, w := range clause {
		if k := s.keys[w.heard]; k != nil && !slices.Contains(keys, k) {
			keys = append(keys, k)
		}
	}
	slices.SortStableFunc(keys, func(a, b *keyword) int { return b.rank - a.rank })
	return keys
}

// match takes words apart. It returns one part for every element that is not
// a literal; a wildcard takes as few words as it can.
func match(pattern []element, words []word) ([][]word, bool) {
	if len(pattern) == 0 {
		return nil, len(words) == 0
	}
	least, most := pattern[0].span(words)
	for n := least; n <= most; n++ {
		parts, ok := match(pattern[1:], words[n:])
		switch {
		case ok && pattern[0].kind == literal:
			return parts, true
		case ok:
			return slices.Insert(parts, 0, words[:n]), true
		}
	}
	return nil, false
}

// span returns how many of words, from the first on, the element can take.
// It can take none if most is less than least.
func (e element) span(words []word) (least, most int) {
	switch {
	case e.kind == any0:
		return 0, len(words)
	case e.kind == any1:
		return 1, len(words)
	case len(words) == 0,
		e.kind == literal && words[0].heard != e.word,
		e.kind == member && !slices.Contains(e.group, words[0].heard):
		return 1, 0
	}
	return 1, 1
}

// fill puts parts, turned around, into the text of an answer.
func (s *script) fill(text string, parts [][]word) string {
	for i, part := range parts {
		if hole := "{" + strconv.Itoa(i+1) + "}"; strings.Contains(text, hole) {
			text = strings.ReplaceAll(text, hole, s.turnAround(part))
		}
	}
	first, size := utf8.DecodeRuneInString(text)
	return string(unicode.ToUpper(first)) + text[size:]
}

// turnAround says part from the other side: "my dog and I" is "your dog and
// you" here.
func (s *script) turnAround(part []word) string {
	var out []string
	for len(part) > 0 {
		to, n := s.opposite(part)
		out = append(out, to...)
		part = part[n:]
	}
	return strings.Join(out, " ")
}

// opposite returns what stands for the first n words of part.
func (s *script) opposite(part []word) (to []string, n int) {
	if last, ok := s.last[part[0].heard]; ok && len(part) == 1 {
		return []string{last}, 1
	}
	for _, p := range s.reflect {
		if p.begins(part) {
			return p.to, len(p.from)
		}
	}
	return []string{part[0].said}, 1
}

func (p phrase) begins(part []word) bool {
	return len(p.from) <= len(part) &&
		slices.EqualFunc(p.from, part[:len(p.from)], func(from string, w word) bool { return from == w.heard })
}
