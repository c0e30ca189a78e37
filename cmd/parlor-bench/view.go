package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"text/tabwriter"
	"time"

	"parlor/protocol/admin"
	"parlor/protocol/chat"
	"parlor/transport/auth"
	"parlor/transport/client"
)

// viewCmd measures what it costs the server that somebody looks into it.
type viewCmd struct {
	Rooms  int           `default:"10000" help:"Rooms in memory."`
	Rounds int           `default:"5" help:"Rounds with the view, and as many without, in turns."`
	Round  time.Duration `default:"2s" help:"Time of one round."`
	Users  int           `default:"4" help:"Users who say something all the time."`
	Parlor string        `default:"bin/parlor" type:"existingfile" help:"The parlor to measure."`
}

// Help implements [kong.HelpProvider].
func (*viewCmd) Help() string {
	return `Starts parlor, has rooms joined, and then has messages said. In every second round an administrator has the page /runtime open at its list of rooms, and parlor top runs. It prints the time of the server's processors for each message in both kinds of rounds, and what the view costs a server at rest.`
}

// A round is one with its results.
type round struct {
	messages int64
	cpu      time.Duration
	took     time.Duration
}

func (r round) perMessage() time.Duration { return r.cpu / time.Duration(max(r.messages, 1)) }
func (r round) share() float64            { return 100 * r.cpu.Seconds() / r.took.Seconds() }

// viewBench is a run.
type viewBench struct {
	*viewCmd
	roomsBench
	dir, data string
	process   *process
	clients   []*client.Client
	loud      atomic.Bool // users say something
	said      atomic.Int64
	token     string // of an administrator
}

// Run prints the table.
func (c *viewCmd) Run(ctx context.Context) (err error) {
	dir, err := os.MkdirTemp("", "parlor-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b := &viewBench{viewCmd: c, dir: dir, data: filepath.Join(dir, "view.db")}
	b.roomsBench = roomsBench{roomsCmd: &roomsCmd{Rooms: c.Rooms, Parlor: c.Parlor}, secret: rand.Text() + rand.Text()}
	if err := fill(b.data, c.Rooms, 1); err != nil {
		return fmt.Errorf("write %d chats: %w", c.Rooms, err)
	}
	if b.token, err = auth.Sign(auth.Options{Secret: b.secret}, chat.User{ID: "admin"}, time.Hour); err != nil {
		return err
	}
	cmd := b.command(b.data)
	cmd.Args = append(cmd.Args, "--admins=admin", "--room-idle-timeout=1h")
	if b.process, err = start(ctx, cmd); err != nil {
		return err
	}
	defer b.process.stop()
	b.clients, err = b.connect(ctx, b.process.url)
	defer func() {
		for _, c := range b.clients {
			c.Close()
		}
	}()
	if err != nil {
		return err
	}
	if _, err := b.roomsBench.each(ctx, b.clients, "join_room"); err != nil {
		return fmt.Errorf("join: %w\n%s", err, &b.process.log)
	}
	return b.measure(ctx)
}

// measure runs the rounds: those under load, and then those at rest.
func (b *viewBench) measure(ctx context.Context) error {
	talk, hush := context.WithCancel(ctx)
	var users sync.WaitGroup
	for i := range b.Users {
		users.Go(func() { b.talk(talk, i) })
	}
	defer users.Wait()
	defer hush()
	var results [2][2][]round // at rest or under load; without and with the view
	for _, loud := range []bool{true, false} {
		b.loud.Store(loud)
		for range b.Rounds {
			for _, open := range []bool{false, true} {
				r, err := b.round(ctx, open)
				if err != nil {
					return err
				}
				results[index(loud)][index(open)] = append(results[index(loud)][index(open)], r)
			}
		}
	}
	cost, err := b.cost(ctx)
	if err != nil {
		return err
	}
	return b.report(results, cost)
}

func index(b bool) int {
	if b {
		return 1
	}
	return 0
}

// talk says one message after the other, over all rooms.
func (b *viewBench) talk(ctx context.Context, user int) {
	for i := user; ctx.Err() == nil; i = (i + b.Users*7) % b.viewCmd.Rooms {
		if !b.loud.Load() {
			pauseFor(ctx, 10*time.Millisecond)
			continue
		}
		if err := say(ctx, b.clients[i/roomsOf], chatID(i), "It is of no importance what is said here."); err == nil {
			b.said.Add(1)
		}
	}
}

// round measures for a while, with the view open or not.
func (b *viewBench) round(ctx context.Context, open bool) (r round, err error) {
	looking, close := context.WithCancel(ctx)
	failed := make(chan error, 2)
	if open {
		go func() { failed <- b.page(looking) }()
		go func() { failed <- b.top(looking) }()
		defer func() { err = cmp.Or(err, <-failed, <-failed) }()
	}
	defer close()
	pauseFor(ctx, 300*time.Millisecond) // until it is open
	said, cpu, begun := b.said.Load(), b.process.worked(), time.Now()
	pauseFor(ctx, b.Round)
	return round{b.said.Load() - said, b.process.worked() - cpu, time.Since(begun)}, ctx.Err()
}

// page asks what the page /runtime asks while it shows the rooms, as often.
func (b *viewBench) page(ctx context.Context) error {
	for ctx.Err() == nil {
		for _, path := range []string{"", "/actors?kind=room&sort=queue&offset=0&limit=50"} {
			if err := b.get(ctx, path, nil); err != nil && ctx.Err() == nil {
				return err
			}
		}
		pauseFor(ctx, 2*time.Second)
	}
	return nil
}

func (b *viewBench) get(ctx context.Context, path string, answer any) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, b.process.url+"/api/v1/admin/runtime"+path, nil)
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+b.token)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the view answered %s", resp.Status)
	}
	if answer == nil {
		answer = new(json.RawMessage)
	}
	return json.NewDecoder(resp.Body).Decode(answer)
}

// top runs parlor top.
func (b *viewBench) top(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, b.viewCmd.Parlor, "top", "--json", "--data", b.data)
	if out, err := cmd.Output(); ctx.Err() == nil {
		return fmt.Errorf("parlor top has ended: %w: %s", err, out)
	}
	return nil
}

func (b *viewBench) cost(ctx context.Context) (admin.Cost, error) {
	var o admin.Overview
	err := b.get(ctx, "", &o)
	return o.Cost, err
}

// report prints the table. Rounds differ by more than the view costs, so those under load say
// little of it alone, and those at rest say it.
func (b *viewBench) report(results [2][2][]round, cost admin.Cost) error {
	median := func(rounds []round, of func(round) float64) float64 {
		all := []float64{}
		for _, r := range rounds {
			all = append(all, of(r))
		}
		slices.Sort(all)
		return all[len(all)/2]
	}
	micros := func(r round) float64 { return float64(r.perMessage().Nanoseconds()) / 1000 }
	rate := func(r round) float64 { return float64(r.messages) / r.took.Seconds() }
	loud, rest := results[1], results[0]
	off, on := median(loud[0], micros), median(loud[1], micros)
	view := median(rest[1], round.share) - median(rest[0], round.share)
	busy := median(loud[1], round.share)
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "%d rooms, %d rounds of %v of each kind, medians\twithout\twith the view and parlor top\n", b.viewCmd.Rooms, b.Rounds, b.Round)
	fmt.Fprintf(table, "messages in a second\t%.0f\t%.0f\n", median(loud[0], rate), median(loud[1], rate))
	fmt.Fprintf(table, "processor time for a message\t%.1f µs\t%.1f µs (%+.1f %%)\n", off, on, 100*(on-off)/off)
	fmt.Fprintf(table, "of one processor, at rest\t%.2f %%\t%.2f %%\n", median(rest[0], round.share), median(rest[1], round.share))
	fmt.Fprintf(table, "so the view takes\t\t%.2f %% of one processor, %.2f %% of what the server does under load\n", view, 100*view/busy)
	fmt.Fprintf(table, "looks, as the server counts\t\t%d in %.0f ms\n", cost.Looks, 1000*cost.Seconds)
	return table.Flush()
}

// worked returns how long processors have worked for the process, to the nanosecond.
func (p *process) worked() (all time.Duration) {
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", p.cmd.Process.Pid))
	for _, thread := range threads {
		text, _ := os.ReadFile(thread) // of a thread that has just ended
		first, _, _ := strings.Cut(string(text), " ")
		n, _ := strconv.ParseInt(first, 10, 64)
		all += time.Duration(n)
	}
	return all
}
