package main

import (
	"fmt"
	"maps"
	"slices"

	"parlor/protocol/chat"
)

func (f *foreign) count(there bool, records []chat.Record) {
	if there {
		f.there++
		return
	}
	f.imported++
	for _, r := range records {
		switch e := r.Event.(type) {
		case chat.MessageAdded:
			f.messages++
			f.attached += len(e.Files)
		case chat.TurnEnded:
			f.answers++
		}
	}
}

func (f *foreign) leaveOut(where, title string, why error) {
	f.leftOut++
	if title != "" {
		where = fmt.Sprintf("%s (%.80q)", where, title)
	}
	fmt.Fprintf(f.out.stderr, "left out: %s: %v\n", where, why)
}

// withoutBytes says why the bytes of an attachment do not come.
func (f *foreign) withoutBytes(where, title, file string, why error) {
	fmt.Fprintf(f.out.stderr, "without its bytes: %s (%.80q): attachment %.80q: %v\n", where, title, file, why)
}

// report says what has come, and what has not.
func (f *foreign) report() {
	verb := "imported"
	if f.DryRun {
		verb = "would be imported"
	}
	fmt.Fprintf(f.out.stdout, "%d chats %s, %d were there already, %d left out\n", f.imported, verb, f.there, f.leftOut)
	fmt.Fprintf(f.out.stdout, "%d messages, %d answers, %d attachments\n", f.messages, f.answers, f.attached)
	if f.attachments.kept+f.attachments.missing > 0 {
		fmt.Fprintf(f.out.stdout, "the bytes of %d attachments %s, those of %d not\n", f.attachments.kept, verb, f.attachments.missing)
	}
	for _, note := range slices.Sorted(maps.Keys(f.notes)) {
		fmt.Fprintf(f.out.stdout, "note: %d %s\n", f.notes[note], note)
	}
}
