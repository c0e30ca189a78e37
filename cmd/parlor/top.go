package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"parlor/protocol/admin"
	adminapi "parlor/transport/admin"
)

// topCmd shows what happens in the running server.
type topCmd struct {
	Kind  string        `enum:"room,session,turn,line,stream,supervisor" default:"room" help:"What is listed: room, session, turn, line, stream or supervisor."`
	Sort  string        `enum:"queue,restarts,failure,since,turn" default:"queue" help:"Which come first: with the longest queue, most restarts, the last failure, the newest, or the longest turn."`
	Find  string        `placeholder:"TEXT" help:"List those only whose id, owner, user or address contains this."`
	Lines int           `default:"20" help:"How many are listed."`
	Every time.Duration `default:"2s" help:"Time between two looks."`
	Once  bool          `help:"Look once."`
	JSON  bool          `name:"json" help:"Print JSON, a line for each look."`

	Values
}

// Help implements [kong.HelpProvider].
func (*topCmd) Help() string {
	return `Asks the server that runs with this data file, through the socket beside it. Ctrl-C ends it. On a terminal that can, the screen is drawn anew; else each look is printed behind the last one.

    parlor top --kind session --find alice
    parlor top --once --json | jq .overview.counts`
}

// minEvery is the shortest time between two looks: the server keeps a look for a second.
const minEvery = 500 * time.Millisecond

// Run looks again and again.
func (c *topCmd) Run(ctx context.Context, s *Settings, out *streams) error {
	switch {
	case c.Every < minEvery:
		return usageError{fmt.Errorf("--every: %v is too short, at least %v", c.Every, minEvery)}
	case c.Lines < 1 || c.Lines > admin.MaxPage:
		return usageError{fmt.Errorf("--lines: it must be a number from 1 to %d", admin.MaxPage)}
	}
	client, err := dialServer(ctx, s)
	if err != nil {
		return err
	}
	defer client.Close()
	query, err := json.Marshal(admin.Query{Kind: c.Kind, Text: c.Find, Sort: admin.Sort(c.Sort), Limit: c.Lines})
	if err != nil {
		return err
	}
	screen := screenOn(out.stdout, os.Getenv("TERM"), c.Once || c.JSON)
	for {
		answer, err := client.Runtime(ctx, query)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		}
		if err := c.show(screen, answer); err != nil || c.Once {
			return err
		}
		select {
		case <-time.After(c.Every):
		case <-ctx.Done():
			return nil
		}
	}
}

func (c *topCmd) show(screen *screen, answer []byte) error {
	if c.JSON {
		_, err := fmt.Fprintf(screen.w, "%s\n", answer)
		return err
	}
	var top adminapi.Top
	if err := json.Unmarshal(answer, &top); err != nil {
		return errors.New("the server says what this program does not understand: they are of different versions")
	}
	var text strings.Builder
	writeTop(&text, top, time.Now())
	return screen.draw(text.String())
}

// A screen is where the looks are drawn.
type screen struct {
	w    io.Writer
	anew bool // in the place of the one before
	used bool
}

// screenOn finds out whether w is a terminal that can be drawn on.
func screenOn(w io.Writer, term string, once bool) *screen {
	s := &screen{w: w}
	if f, ok := w.(*os.File); ok && !once && term != "" && term != "dumb" {
		info, err := f.Stat()
		s.anew = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	return s
}

func (s *screen) draw(text string) (err error) {
	switch {
	case s.anew && !s.used:
		text = "\x1b[2J\x1b[H" + text
	case s.anew:
		text = "\x1b[H" + strings.ReplaceAll(text, "\n", "\x1b[K\n") + "\x1b[J"
	case s.used:
		text = "\n" + text
	}
	s.used = true
	_, err = io.WriteString(s.w, text)
	return err
}

func writeTop(w io.Writer, top adminapi.Top, now time.Time) {
	o, p := top.Overview, top.Overview.Now
	mode := ""
	if o.Development {
		mode = ", development mode"
	}
	fmt.Fprintf(w, "%s   up %s   %s%s\n", o.Version, spanOf(now.Sub(o.Started)), strings.ReplaceAll(o.Ready, "_", " "), mode)
	fmt.Fprintf(w, "%d users   %d connections (%d signed in, %d streams)   %d rooms   %d turns\n\n", o.Users, p.Connections, p.Sessions, o.Counts[admin.KindStream], p.Rooms, p.Answering)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name, now, more string, of func(admin.Point) float64) {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", name, now, bars(o.Series, of), more)
	}
	row("processor", fmt.Sprintf("%.1f %%", 100*p.Processor), fmt.Sprintf("heap %s, %d goroutines", bytesOf(int64(p.HeapBytes)), p.Goroutines), func(p admin.Point) float64 { return p.Processor })
	row("turns", fmt.Sprintf("%.1f/s", p.Turns), fmt.Sprintf("%.0f tokens/s, %.1f fail/s; first word %s", p.Tokens, p.Failures, both(p.FirstP50, p.FirstP99)), func(p admin.Point) float64 { return p.Turns })
	row("commits", fmt.Sprintf("%.1f/s", p.Commits), fmt.Sprintf("%s; %.1f changes/s", both(p.CommitP50, p.CommitP99), p.Changes), func(p admin.Point) float64 { return p.Commits })
	row("storage", bytesOf(p.FileBytes), fmt.Sprintf("%d commits have failed", o.Totals.CommitFailures), func(p admin.Point) float64 { return float64(p.FileBytes) })
	row("delivery", "", both(p.DeliverP50, p.DeliverP99), func(p admin.Point) float64 { return orZero(p.DeliverP99) })
	table.Flush()
	t := o.Totals
	fmt.Fprintf(w, "\nsince the start: %d turns completed, %d stopped, %d failed, %d interrupted; %d restarts, %d slow clients; %d of %d came back to all they had missed\n",
		t.Turns["completed"], t.Turns["stopped"], t.Turns["failed"], t.Turns["interrupted"], t.Restarts, t.SlowConsumers, t.Resumed, t.Resumed+t.Anew)
	writeProviders(w, o.Providers)
	writeActors(w, top.Page, now)
}

func writeProviders(w io.Writer, providers []admin.Provider) {
	if len(providers) == 0 {
		return
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprint(table, "\nPROVIDER\tCIRCUIT\tNOW\tCOMPLETED\tFAILED\tBUSY\tTIMEOUT\tRETRIES\n")
	for _, p := range providers {
		fmt.Fprintf(table, "%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\n", cell(p.Name), p.State, p.InFlight,
			p.Requests["completed"], p.Requests["failed"], p.Requests["busy"], p.Requests["timeout"], p.Retries)
	}
	table.Flush()
}

func writeActors(w io.Writer, page admin.Page, now time.Time) {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprint(table, "\nACTOR\tSTATE\tQUEUE\tRESTARTS\tSINCE\tABOUT\n")
	for _, a := range page.Actors {
		fmt.Fprintf(table, "%s\t%s\t%d\t%d\t%s\t%s\n", cell(a.ID), a.State, a.Queue, a.Restarts, spanOf(now.Sub(a.Since)), aboutOf(a, now))
	}
	table.Flush()
	if left := page.Total - len(page.Actors); left > 0 {
		fmt.Fprintf(w, "and %d more\n", left)
	}
}

// aboutOf is what else there is to say of an actor, in a line.
func aboutOf(a admin.Actor, now time.Time) string {
	var about []string
	if r := a.Room; r != nil {
		about = append(about, fmt.Sprintf("of %s, %d listen", r.Owner, r.Listeners))
		if t := r.Running; t != nil {
			about = append(about, fmt.Sprintf("%s answers %s for %s", t.ModelID, t.By, spanOf(now.Sub(t.Since))))
		}
		if r.Waiting > 0 {
			about = append(about, fmt.Sprintf("%d approvals wait", r.Waiting))
		}
	}
	if c := a.Client; c != nil {
		about = append(about, strings.TrimSpace(fmt.Sprintf("%s %s %s", c.User, c.Remote, c.Request)))
	}
	if f := a.Failure; f != nil {
		about = append(about, fmt.Sprintf("failed %s ago: %s", spanOf(now.Sub(f.At)), f.Reason))
	}
	return plain(strings.Join(about, "; "))
}

// longestAbout is how much of that is shown.
const longestAbout = 120

// plain is a text without what a terminal would obey, cut to a line.
func plain(text string) string {
	runes := []rune(text)
	for i, r := range runes {
		if !strconv.IsPrint(r) {
			runes[i] = ' '
		}
	}
	if len(runes) > longestAbout {
		return string(runes[:longestAbout]) + "…"
	}
	return string(runes)
}

// bars draws numbers of late as bars from nothing to the largest.
func bars(series []admin.Point, of func(admin.Point) float64) string {
	const steps, width = "▁▂▃▄▅▆▇█", 30
	series = series[max(0, len(series)-width):]
	most := 0.0
	for _, p := range series {
		most = max(most, of(p))
	}
	var b strings.Builder
	for _, p := range series {
		step := 0
		if most > 0 {
			step = int(of(p) / most * 7)
		}
		b.WriteRune([]rune(steps)[step])
	}
	return b.String()
}

func both(p50, p99 *float64) string {
	if p50 == nil || p99 == nil {
		return "-"
	}
	return fmt.Sprintf("p50 %s, p99 %s", secondsOf(*p50), secondsOf(*p99))
}

func orZero(f *float64) float64 {
	if f == nil {
		return 0
	}
	return *f
}

func secondsOf(s float64) string {
	unit := "s"
	if s < 0.9995 {
		s, unit = s*1000, "ms"
	}
	if s < 10 {
		return fmt.Sprintf("%.1f %s", s, unit)
	}
	return fmt.Sprintf("%.0f %s", s, unit)
}

func bytesOf(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }

// spanOf is a time in its two largest units.
func spanOf(d time.Duration) string {
	switch d = d.Round(time.Second); {
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < 24*time.Hour:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%dd%02dh", int(d.Hours())/24, int(d.Hours())%24)
}
