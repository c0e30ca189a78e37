package eliza

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A script is what an Eliza knows. It does not change once parsed.
type script struct {
	expand  map[string][]string
	reflect []phrase // longer ones first
	last    map[string]string
	groups  map[string][]string
	common  map[string]bool     // words of groups: a capital only begins a sentence
	keys    map[string]*keyword // by each of their words
	memory  keyword
	none    keyword
}

// A phrase is turned around into other words.
type phrase struct{ from, to []string }

// A keyword is what words of the user's sentence lead to.
type keyword struct {
	rank  int
	rules []*rule
}

// A rule takes a sentence apart and answers with the parts.
type rule struct {
	id      int // of all rules of the script
	pattern []element
	answers []answer
}

// An element of a pattern catches words: a given one, one of a group, or any.
type element struct {
	kind  kind
	word  string
	group []string
}

type kind int

const (
	literal kind = iota // word
	member              // one of group
	any0                // any number of words
	any1                // at least one word
)

// An answer is a text with the parts {1}, {2} … of the sentence, or else the
// keyword to go on with.
type answer struct{ text, link string }

// next is the link to the sentence's next keyword.
const next = "next"

// mustParse parses the script that is part of the program.
func mustParse(text string) *script {
	s, err := parse(text)
	if err != nil {
		panic(err)
	}
	return s
}

// parse reads a script in the format that doctor.txt explains. A script that
// it returns has an answer to everything: links lead to keywords, parts are
// never empty, and the rules for no keyword catch every sentence.
func parse(text string) (*script, error) {
	p := parser{script: &script{
		expand: make(map[string][]string),
		last:   make(map[string]string),
		groups: make(map[string][]string),
		common: make(map[string]bool),
		keys:   make(map[string]*keyword),
	}}
	for n, line := range strings.Split(text, "\n") {
		if err := p.line(line); err != nil {
			return nil, fmt.Errorf("eliza: script line %d: %w", n+1, err)
		}
	}
	if err := p.finish(); err != nil {
		return nil, fmt.Errorf("eliza: script: %w", err)
	}
	return p.script, nil
}

// A parser holds what the next line belongs to.
type parser struct {
	script *script
	key    *keyword
	rule   *rule
	rules  []*rule // all of them
}

func (p *parser) line(line string) error {
	body := strings.TrimSpace(line)
	switch indent := len(line) - len(strings.TrimLeft(line, " ")); {
	case body == "" || body[0] == '#':
		return nil
	case indent == 0:
		return p.section(body)
	case indent == 2 && p.key != nil:
		return p.pattern(body)
	case indent == 4 && p.rule != nil:
		return p.answer(body)
	}
	return errors.New("indented under nothing")
}

func (p *parser) section(line string) error {
	p.key, p.rule = nil, nil
	word, rest, _ := strings.Cut(line, " ")
	left, right, _ := strings.Cut(rest, "=")
	from, to := strings.Fields(left), strings.Fields(right)
	switch word {
	case "expand":
		p.script.expand[strings.Join(from, " ")] = to
	case "reflect":
		p.script.reflect = append(p.script.reflect, phrase{from, to})
	case "reflect-last":
		p.script.last[strings.Join(from, " ")] = strings.Join(to, " ")
	case "group":
		p.script.groups[strings.Join(from, " ")] = to
		for _, w := range to {
			p.script.common[w] = true
		}
	case "key":
		return p.keyword(rest)
	case "memory":
		p.key = &p.script.memory
	case "none":
		p.key = &p.script.none
	default:
		return fmt.Errorf("unknown section %q", word)
	}
	return nil
}

func (p *parser) keyword(rest string) error {
	words, number, _ := strings.Cut(rest, ":")
	rank, err := strconv.Atoi(strings.TrimSpace(number))
	if err != nil {
		return fmt.Errorf("rank: %w", err)
	}
	p.key = &keyword{rank: rank}
	for _, word := range strings.Fields(words) {
		if p.script.keys[word] != nil || word == next {
			return fmt.Errorf("keyword %q is taken", word)
		}
		p.script.keys[word] = p.key
	}
	return nil
}

func (p *parser) pattern(body string) error {
	p.rule = &rule{id: len(p.rules)}
	for _, word := range strings.Fields(body) {
		p.rule.pattern = append(p.rule.pattern, newElement(word))
	}
	p.rules = append(p.rules, p.rule)
	p.key.rules = append(p.key.rules, p.rule)
	return nil
}

func newElement(word string) element {
	switch {
	case word == "*":
		return element{kind: any0}
	case word == "+":
		return element{kind: any1}
	case word[0] == '@':
		return element{kind: member, word: word[1:]}
	}
	return element{kind: literal, word: word}
}

func (p *parser) answer(body string) error {
	if link, ok := strings.CutPrefix(body, "-> "); ok {
		p.rule.answers = append(p.rule.answers, answer{link: link})
		return nil
	}
	p.rule.answers = append(p.rule.answers, answer{text: body})
	return nil
}

// finish joins what may stand in any order, and checks what [parse] promises.
func (p *parser) finish() error {
	s := p.script
	slices.SortStableFunc(s.reflect, func(a, b phrase) int { return len(b.from) - len(a.from) })
	for _, r := range p.rules {
		if err := p.check(r); err != nil {
			return fmt.Errorf("rule %d: %w", r.id+1, err)
		}
	}
	if !s.none.catchesAll() {
		return errors.New(`"none" must end with the pattern * and answers of text`)
	}
	return nil
}

func (p *parser) check(r *rule) error {
	for i, e := range r.pattern {
		if e.kind != member {
			continue
		}
		r.pattern[i].group = p.script.groups[e.word]
		if len(r.pattern[i].group) == 0 {
			return fmt.Errorf("no group %q", e.word)
		}
	}
	if len(r.answers) == 0 {
		return errors.New("no answers")
	}
	for _, a := range r.answers {
		if a.link != "" && a.link != next && p.script.keys[a.link] == nil {
			return fmt.Errorf("no keyword %q to go on with", a.link)
		}
		for _, n := range a.parts() {
			if !r.fills(n) {
				return fmt.Errorf("part %d of %q may be empty or missing", n, a.text)
			}
		}
	}
	return nil
}

// parts returns the numbers of the parts in the text.
func (a answer) parts() []int {
	var numbers []int
	for _, after := range strings.Split(a.text, "{")[1:] {
		digits, _, _ := strings.Cut(after, "}")
		n, _ := strconv.Atoi(digits)
		numbers = append(numbers, n)
	}
	return numbers
}

// fills reports whether part n, counted from 1, always holds a word.
func (r *rule) fills(n int) bool {
	for _, e := range r.pattern {
		if e.kind == literal {
			continue
		}
		if n--; n == 0 {
			return e.kind != any0
		}
	}
	return false
}

// catchesAll reports whether every sentence gets a text from the keyword.
func (k *keyword) catchesAll() bool {
	if len(k.rules) == 0 {
		return false
	}
	r := k.rules[len(k.rules)-1]
	linked := slices.ContainsFunc(r.answers, func(a answer) bool { return a.link != "" })
	return len(r.pattern) == 1 && r.pattern[0].kind == any0 && !linked
}
