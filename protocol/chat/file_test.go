package chat

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestFileCheck(t *testing.T) {
	for name, tt := range map[string]struct {
		content     string
		kind        string
		code        Code
		lines, page int
	}{
		"a.txt":           {"one\ntwo", "text/plain", "", 2, 0},
		"lines.MD":        {"# x\n", "text/markdown", "", 1, 0},
		"a.csv":           {"a,b\n1,2\n", "text/csv", "", 2, 0},
		"a.json":          {"{}", "application/json", "", 1, 0},
		"page.html":       {"<script>alert(1)</script>", "text/html", "", 1, 0},
		"run.sh":          {"#!/bin/sh\n", "text/plain", "", 1, 0},
		"empty":           {"", "text/plain", "", 0, 0},
		"umlauts.txt":     {strings.Repeat("äöü€😀", 3), "text/plain", "", 1, 0},
		"pages.txt":       {"one\ftwo\fthree", "text/plain", "", 1, 3},
		"image.svg":       {"<svg/>", "text/plain", "", 1, 0},
		"cat.txt":         {"\x89PNG\r\n\x1a\nxx\x00", "image/png", "", 0, 0},
		"cat.jpg":         {"\xff\xd8\xff\xe0", "image/jpeg", "", 0, 0},
		"cat.gif":         {"GIF89a\x00", "image/gif", "", 0, 0},
		"cat.webp":        {"RIFF\x01\x02\x03\x04WEBPVP8 ", "image/webp", "", 0, 0},
		"sound.wav":       {"RIFF\x01\x02\x03\x04WAVEfmt \x00", "", CodeUnsupportedType, 0, 0},
		"paper.pdf":       {"%PDF-1.7\n\xff\x00", "application/pdf", "", 0, 0},
		"program":         {"\x7fELF\x02", "", CodeUnsupportedType, 0, 0},
		"program.txt":     {"MZ\x00\x00", "", CodeUnsupportedType, 0, 0},
		"latin1.txt":      {"gr\xfc\xdfe", "", CodeUnsupportedType, 0, 0},
		"utf16.txt":       {"\xff\xfea\x00", "", CodeUnsupportedType, 0, 0},
		"half a char.txt": {"a\xe2\x82", "", CodeUnsupportedType, 0, 0},
	} {
		for piece := 1; piece <= len(tt.content)+1; piece++ { // wherever it is cut
			var c FileCheck
			for rest := tt.content; rest != ""; {
				n := min(piece, len(rest))
				c.Write([]byte(rest[:n]))
				rest = rest[n:]
			}
			f, refusal := c.File(name)
			var code Code
			if refusal != nil {
				code = refusal.Code
			}
			if f.Type != tt.kind || code != tt.code || f.Lines != tt.lines || f.Pages != tt.page || code == "" && f.Size != int64(len(tt.content)) {
				t.Errorf("%s in pieces of %d: %+v, %v", name, piece, f, refusal)
			}
		}
	}
}

func TestFileName(t *testing.T) {
	for name, want := range map[string]string{
		"a.txt": "a.txt", "../../etc/passwd": "passwd", `C:\Users\x\b.txt`: "b.txt", "": "file", "..": "file", "/": "file", "a\r\nb\x00.txt": "ab.txt", " x ": "x",
		"\u202etxt.exe": "txt.exe", "ü.txt": "ü.txt", "a/": "a",
	} {
		if got := FileName(name); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
	if long := FileName(strings.Repeat("ä", 300)); len(long) > MaxFileNameLen || !utf8.ValidString(long) {
		t.Errorf("%d bytes", len(long))
	}
}

func FuzzFileCheck(f *testing.F) {
	f.Add([]byte("text ü"), 3)
	f.Fuzz(func(t *testing.T, content []byte, cut int) {
		var whole, parts FileCheck
		whole.Write(content)
		cut = max(0, min(cut, len(content)))
		parts.Write(content[:cut])
		parts.Write(content[cut:])
		a, refusedA := whole.File("x")
		b, refusedB := parts.File("x")
		if a != b || (refusedA == nil) != (refusedB == nil) {
			t.Errorf("whole %+v %v, in two parts %+v %v", a, refusedA, b, refusedB)
		}
	})
}
