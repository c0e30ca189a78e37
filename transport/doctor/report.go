package doctor

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
)

// A Level says how bad a finding is.
type Level int

// The levels.
const (
	OK    Level = iota
	Note        // works, and could be better
	Fault       // something does not work for people
)

func (l Level) String() string { return [...]string{"ok", "note", "FAULT"}[l] }

// A Finding is what one check has found.
type Finding struct {
	Check string
	Level Level
	Text  string
	Cure  Cure // what to change; empty if no lines can be given
}

// A Report is what was found, in the order in which a request meets it.
type Report struct {
	URL      string
	Findings []Finding

	mu    sync.Mutex
	proxy string // whose lines to show; empty: not known
}

func (r *Report) add(all ...Finding) { r.Findings = append(r.Findings, all...) }

// Faults counts them.
func (r *Report) Faults() (n int) {
	for _, f := range r.Findings {
		if f.Level == Fault {
			n++
		}
	}
	return n
}

// noticeProxy remembers the proxy that an answer names.
func (r *Report) noticeProxy(h http.Header) {
	names := strings.ToLower(h.Get("Server") + " " + h.Get("Via"))
	for _, proxy := range Proxies {
		if strings.Contains(names, proxy) {
			r.mu.Lock()
			r.proxy = proxy
			r.mu.Unlock()
		}
	}
}

// Write prints the report, with the lines of the proxy that is named, or else of the one
// that the answers name, or else of all.
func (r *Report) Write(w io.Writer, proxy string) error {
	if proxy == "" {
		proxy = r.proxy
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n", r.URL)
	shown := make(map[Cure]bool)
	for _, f := range r.Findings {
		fmt.Fprintf(&b, "%-5s  %-13s  %s\n", f.Level, f.Check, f.Text)
		if f.Cure != "" && !shown[f.Cure] {
			shown[f.Cure] = true
			writeLines(&b, f.Cure, proxy)
		}
	}
	switch n := r.Faults(); n {
	case 0:
		b.WriteString("\nno faults\n")
	case 1:
		b.WriteString("\n1 fault\n")
	default:
		fmt.Fprintf(&b, "\n%d faults\n", n)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func writeLines(b *strings.Builder, cure Cure, proxy string) {
	const indent = "                      "
	for _, name := range append([]string{"parlor"}, Proxies...) {
		text := cures[cure][name]
		if text == "" || proxy != "" && name != proxy && name != "parlor" {
			continue
		}
		where := name
		if name == "parlor" {
			where = "parlor.yaml"
		}
		fmt.Fprintf(b, "%s%s:\n", indent, where)
		for _, line := range strings.Split(text, "\n") {
			fmt.Fprintf(b, "%s    %s\n", indent, line)
		}
	}
}
