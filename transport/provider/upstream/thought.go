package upstream

import "strings"

// thoughtTags are what models write around their thought where their server
// leaves it in the text.
var thoughtTags = []struct{ begin, end string }{
	{"<think>", "</think>"},
	{"<thinking>", "</thinking>"},
	{"<thought>", "</thought>"},
	{"<reasoning>", "</reasoning>"},
	{"<seed:think>", "</seed:think>"},
	{"<|begin_of_thought|>", "<|end_of_thought|>"},
	{"[think]", "[/think]"},
	{"◁think▷", "◁/think▷"},
}

// space is what models write around those.
const space = " \t\r\n"

// A Splitter tells what a model thinks, between tags at the beginning of its
// answer, from the answer. The tags may be cut anywhere. Thought that never
// ends is thought to the last. Its zero value has split nothing yet.
type Splitter struct {
	answering bool   // what comes is answer
	thinking  string // the tag that ends the thought; empty outside of one
	thought   bool   // there was some
	trim      bool   // of the thought nothing but space has come
	held      string // may be a part of a tag, or the space before one
}

// Split returns what the next piece of the text adds to the thought and to the answer.
func (s *Splitter) Split(text string) (thought, answer string) {
	text, s.held = s.held+text, ""
	for text != "" && !s.answering {
		if s.thinking == "" {
			text = s.begin(text)
			continue
		}
		var more string
		more, text = s.think(text)
		thought += more
	}
	return thought, text
}

// Rest returns what was held back, now that the text has ended.
func (s *Splitter) Rest() (thought, answer string) {
	held := s.held
	s.held = ""
	switch {
	case s.thinking != "":
		return held, ""
	case s.thought && strings.Trim(held, space) == "":
		return "", ""
	}
	return "", held
}

// begin looks for a tag at the beginning of text. It returns what is behind it,
// or the text, if that is an answer.
func (s *Splitter) begin(text string) string {
	visible := strings.TrimLeft(text, space)
	for _, tag := range thoughtTags {
		n := min(len(visible), len(tag.begin))
		switch {
		case !strings.EqualFold(visible[:n], tag.begin[:n]):
		case n == len(tag.begin):
			s.thinking, s.thought, s.trim = tag.end, true, true
			return visible[n:]
		default:
			s.held = text
		}
	}
	if s.held != "" {
		return ""
	}
	s.answering = true
	if s.thought {
		return visible
	}
	return text
}

// think returns what text adds to the thought, and what is behind that.
func (s *Splitter) think(text string) (thought, rest string) {
	if s.trim {
		text = strings.TrimLeft(text, space)
		s.trim = text == ""
	}
	for at := range text {
		n := min(len(text)-at, len(s.thinking))
		switch {
		case !strings.EqualFold(text[at:at+n], s.thinking[:n]):
		case n == len(s.thinking):
			s.thinking = ""
			return text[:at], text[at+n:]
		default:
			s.held = text[at:]
			return text[:at], ""
		}
	}
	return text, ""
}
