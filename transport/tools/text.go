package tools

import (
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// unseen are the elements of a page that nobody reads.
var unseen = map[atom.Atom]bool{
	atom.Script: true, atom.Style: true, atom.Noscript: true, atom.Template: true, atom.Svg: true, atom.Iframe: true, atom.Object: true, atom.Textarea: true, atom.Select: true,
}

// inline are the elements that stand within a line.
var inline = map[atom.Atom]bool{
	atom.A: true, atom.Abbr: true, atom.B: true, atom.Cite: true, atom.Code: true, atom.Del: true, atom.Em: true, atom.I: true, atom.Img: true, atom.Ins: true, atom.Kbd: true,
	atom.Mark: true, atom.Q: true, atom.S: true, atom.Small: true, atom.Span: true, atom.Strong: true, atom.Sub: true, atom.Sup: true, atom.Time: true, atom.U: true, atom.Var: true,
}

// textOf returns the text of a page of HTML, a line for each block.
func textOf(page string) string {
	z := html.NewTokenizer(strings.NewReader(page))
	var lines []string
	var line strings.Builder
	end := func() {
		if words := strings.Join(strings.Fields(line.String()), " "); words != "" {
			lines = append(lines, words)
		}
		line.Reset()
	}
	within := 0 // elements that nobody reads
	for {
		switch z.Next() {
		case html.ErrorToken:
			end()
			return strings.Join(lines, "\n")
		case html.TextToken:
			if within == 0 {
				line.Write(z.Text())
			}
		case html.StartTagToken, html.EndTagToken, html.SelfClosingTagToken:
			t := z.Token()
			switch {
			case unseen[t.DataAtom] && t.Type == html.StartTagToken:
				within++
			case unseen[t.DataAtom] && t.Type == html.EndTagToken:
				within = max(within-1, 0)
			case t.DataAtom == atom.Td || t.DataAtom == atom.Th:
				line.WriteByte(' ')
			case !inline[t.DataAtom]:
				end()
			}
		}
	}
}
