package turn

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"parlor/persistence"
	"parlor/protocol/chat"
)

// load puts the files of the messages where models find them: texts into the content, each
// with its name and which part of it is given, images behind it.
func (r *reader) load(messages []chat.PromptMessage) error {
	for i := range messages {
		if err := r.loadOne(&messages[i]); err != nil {
			return err
		}
	}
	return nil
}

func (r *reader) loadOne(m *chat.PromptMessage) error {
	parts := []string{}
	if m.Content != "" {
		parts = append(parts, m.Content)
	}
	for _, s := range m.Sources {
		text, err := r.source(m, s)
		if err != nil {
			return fmt.Errorf("read file %s: %w", s.ID, err)
		}
		parts = append(parts, text)
	}
	m.Content, m.Sources = strings.Join(parts, "\n\n"), nil
	return nil
}

// source returns what the model reads of a file.
func (r *reader) source(m *chat.PromptMessage, s chat.Source) (string, error) {
	from, size := s.Text()
	f, err := r.o.Log.File(string(r.q.Room), string(s.ID))
	switch {
	case errors.Is(err, persistence.ErrNotFound):
		return fmt.Sprintf("[The file %q was deleted.]", s.Name), nil
	case err != nil:
		return "", err
	case s.Image() && s.Tokens == 0:
		return fmt.Sprintf("[The image %q is not shown to you: %s.]", s.Name, chat.CutOf([]chat.Source{s}, r.sees)[0].Reason), nil
	case s.Tokens == 0 && size > 0:
		return fmt.Sprintf("[The file %q is left out: the files of this conversation are more than you can read at once.]", s.Name), nil
	}
	// A token is at most 4 bytes, and at least one: see [chat.Estimate].
	const bytesPerToken = 4
	limit := size
	if !s.Image() {
		limit = min(limit, int64(s.Tokens)*bytesPerToken)
	}
	var data []byte
	for piece, err := range r.o.Log.Chunks(string(r.q.Room), f, from) {
		if err != nil {
			return "", err
		}
		if data = append(data, piece...); int64(len(data)) >= limit {
			break
		}
	}
	if s.Image() {
		m.Images = append(m.Images, chat.Image{Name: s.Name, Type: s.Type, Data: data})
		return fmt.Sprintf("[The image %q is attached.]", s.Name), nil
	}
	return quote(s, beginning(string(data), s.Tokens)), nil
}

// beginning returns as much of the text as is so many tokens, whole lines if it can be.
func beginning(text string, tokens int) string {
	whole := text
	for len(text) > 0 && chat.Tokens(text) > tokens {
		n := min(len(text)-1, len(text)*tokens/chat.Tokens(text))
		for n > 0 && !utf8.RuneStart(text[n]) {
			n--
		}
		text = text[:n]
	}
	if line := strings.LastIndexByte(text, '\n'); len(text) < len(whole) && line > len(text)/2 {
		text = text[:line+1]
	}
	return strings.ToValidUTF8(text, "")
}

// quote returns the text of a file with what it is. The text cannot end the quotation by
// itself.
func quote(s chat.Source, text string) string {
	part, cut := "", ""
	if _, size := s.Text(); int64(len(text)) < size {
		given := partOf(s.File, text)
		part = fmt.Sprintf(" part=%q", given)
		cut = fmt.Sprintf("\n[Only the beginning of %q is given here, %s. The rest was left out: it is more than you can read at once.]", s.Name, given)
	}
	text = strings.ReplaceAll(text, "</file", "<\\/file")
	if s.Pages > 0 {
		text = numberPages(text)
	}
	end := "\n"
	if strings.HasSuffix(text, "\n") || text == "" {
		end = ""
	}
	return fmt.Sprintf("<file name=%q type=%q%s>\n%s%s</file>%s", s.Name, s.Type, part, text, end, cut)
}

// partOf says which part of a file the text is.
func partOf(f chat.File, text string) string {
	if f.Pages > 0 {
		return fmt.Sprintf("pages 1 to %d of %d", strings.Count(text, "\f")+1, f.Pages)
	}
	return fmt.Sprintf("lines 1 to %d of %d", strings.Count(strings.TrimSuffix(text, "\n"), "\n")+1, f.Lines)
}

// numberPages says where each page begins.
func numberPages(text string) string {
	var out strings.Builder
	for i, page := range strings.Split(text, "\f") {
		fmt.Fprintf(&out, "[page %d]\n%s", i+1, strings.TrimPrefix(page, "\n"))
		if !strings.HasSuffix(page, "\n") {
			out.WriteByte('\n')
		}
	}
	return out.String()
}
