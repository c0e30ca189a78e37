package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"parlor/protocol/chat"
	"parlor/transport/client"
)

// fairCmd measures what one user costs another.
type fairCmd struct {
	Rounds  int           `default:"4" help:"Rounds alone, and as many beside each kind of load, in turn."`
	Length  time.Duration `default:"2s" help:"Length of a round."`
	Sockets int           `default:"8" help:"Connections of the user who makes the load."`
	Window  int           `default:"4" help:"Commands that are under way on each of them. The server takes no more than 32 of one user at once."`
	Only    []string      `help:"Kinds of load to measure; all if none is named."`
	Parlor  string        `default:"bin/parlor" type:"existingfile" help:"The parlor to measure."`
	Args    []string      `sep:"none" help:"Further arguments of parlor serve."`
}

// Help implements [kong.HelpProvider].
func (*fairCmd) Help() string {
	return `One user says something in a chat, reads the history and waits a little, again and again. Another does as much as possible of one kind, within the limits of one user. The table compares how long the first one waits with and without the other, by the p99 of the round in the middle, and tells how much of a processor the server took. Users have computers of their own, and a server that is busy makes none of them slower. So the server has the first processor for itself, and the users have the second one, on which the one who makes the load takes what the other leaves. With one processor all of them share it, and a part of the ratio is the machine's.`
}

type fairBench struct {
	*fairCmd
	fairUsers
	server *process
	light  *client.Client
	load   *loader
}

// Run prints the table. Each kind of load has a server of its own.
func (c *fairCmd) Run(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "parlor-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if apart() {
		if err := exec.Command("taskset", "-acp", usersProcessor, strconv.Itoa(os.Getpid())).Run(); err != nil {
			return fmt.Errorf("taskset: %w", err)
		}
	}
	fmt.Printf("%-17s %6s %8s %10s %7s %10s %8s %6s %10s %8s %6s\n",
		"load of another", "done/s", "refused", "cpu alone", "beside", "p50 alone", "beside", "ratio", "p99 alone", "beside", "ratio")
	for i, l := range loads {
		if len(c.Only) > 0 && !slices.Contains(c.Only, l.name) {
			continue
		}
		b := &fairBench{fairCmd: c, fairUsers: fairUsers{secret: rand.Text() + rand.Text()}}
		if err := b.measure(ctx, l.name, filepath.Join(dir, fmt.Sprint(i))); err != nil {
			return fmt.Errorf("%s: %w", l.name, err)
		}
	}
	return nil
}

// The processors that server and users have.
const (
	serverProcessor = "0"
	usersProcessor  = "1"
)

// apart reports whether there are two processors, that server and users can have apart.
// The set of this process may have shrunk to its own one already.
var apart = sync.OnceValue(func() bool { return runtime.NumCPU() > 1 })

func (b *fairBench) measure(ctx context.Context, load, data string) (err error) {
	args := append([]string{b.Parlor, "serve", "--listen", "127.0.0.1:0", "--data", data,
		"--max-chats-per-user", "0", "--max-bytes-per-user", "0", "--eliza-word-delay", "5ms"}, b.Args...)
	if apart() {
		args = append([]string{"taskset", "-c", serverProcessor}, args...)
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), secretVariable+"="+b.secret)
	if b.server, err = start(ctx, cmd); err != nil {
		return err
	}
	defer b.server.stop()
	b.url = b.server.url
	if err := b.enter(ctx); err != nil {
		return fmt.Errorf("%w\n%s", err, &b.server.log)
	}
	defer b.light.Close()
	if b.load, err = b.startLoader(ctx, load); err != nil {
		return err
	}
	defer b.load.stop()
	return b.compare(ctx, load)
}

// enter makes the chat of the one who waits.
func (b *fairBench) enter(ctx context.Context) (err error) {
	if b.light, err = b.dial(ctx, "light"); err != nil {
		return err
	}
	if err := create(ctx, b.light, "light"); err != nil {
		return err
	}
	return call(ctx, b.light, "join_room", map[string]any{"room_id": chat.ID("light").Room(), "dialect": "documented"})
}

// compare measures one kind of load, with and without in turn.
func (b *fairBench) compare(ctx context.Context, load string) error {
	var alone, beside fairSide
	for round := range 2 * b.Rounds {
		side, flooded := &alone, round%4 == 1 || round%4 == 2
		if flooded {
			side = &beside
			if err := b.load.tell("begin"); err != nil {
				return err
			}
		}
		if err := b.live(ctx, side); err != nil {
			return err
		}
		if flooded {
			if err := b.load.tell("end"); err != nil {
				return err
			}
		}
	}
	a50, a99 := alone.middle()
	b50, b99 := beside.middle()
	seconds := b.Length.Seconds() * float64(b.Rounds)
	_, err := fmt.Printf("%-17s %6.0f %8d %9.0f%% %6.0f%% %10v %8v %6.1f %10v %8v %6.1f\n", load,
		float64(b.load.done)/seconds, b.load.refused, 100*alone.busy(), 100*beside.busy(),
		short(a50), short(b50), float64(b50)/float64(a50), short(a99), short(b99), float64(b99)/float64(a99))
	return err
}

func short(d time.Duration) time.Duration { return d.Round(10 * time.Microsecond) }

// live does for a while what one user does, and notes how long each answer took.
func (b *fairBench) live(ctx context.Context, side *fairSide) error {
	var took []time.Duration
	begin, used := time.Now(), b.server.processorTime()
	for time.Since(begin) < b.Length {
		for _, do := range []func() error{
			func() error { return say(ctx, b.light, "light", "hello") },
			func() error {
				return call(ctx, b.light, "history", map[string]any{"room_id": chat.ID("light").Room(), "limit": 10})
			},
		} {
			begin := time.Now()
			if err := do(); err != nil {
				return err
			}
			took = append(took, time.Since(begin))
		}
		time.Sleep(12 * time.Millisecond) // within the limits of one user for as long as it takes
	}
	side.lasted += time.Since(begin)
	side.used += b.server.processorTime() - used
	side.add(took)
	return nil
}

// A fairSide is the rounds of one side.
type fairSide struct {
	p50, p99     []time.Duration
	lasted, used time.Duration // by the clock, and of a processor
}

func (s *fairSide) add(took []time.Duration) {
	slices.Sort(took)
	s.p50, s.p99 = append(s.p50, quantile(took, 50)), append(s.p99, quantile(took, 99))
}

// middle returns the quantiles of the rounds in the middle.
func (s *fairSide) middle() (p50, p99 time.Duration) {
	slices.Sort(s.p50)
	slices.Sort(s.p99)
	return quantile(s.p50, 50), quantile(s.p99, 50)
}

func (s *fairSide) busy() float64 { return float64(s.used) / float64(s.lasted) }

// A loader is the process of the user who makes the load.
type loader struct {
	cmd           *exec.Cmd
	in            io.WriteCloser
	out           *bufio.Scanner
	done, refused int64
}

// startLoader starts it, and waits until its chats are there.
func (b *fairBench) startLoader(ctx context.Context, load string) (*loader, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	args := []string{self, "fair-load", "--url", b.url, "--kind", load, "--sockets", strconv.Itoa(b.Sockets), "--window", strconv.Itoa(b.Window)}
	if apart() {
		args = append([]string{"nice", "-n", "19", "taskset", "-c", usersProcessor}, args...)
	}
	l := &loader{cmd: exec.CommandContext(ctx, args[0], args[1:]...)}
	l.cmd.Env = append(os.Environ(), secretVariable+"="+b.secret)
	l.cmd.Stderr = os.Stderr
	if l.in, err = l.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := l.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	l.out = bufio.NewScanner(out)
	if err := l.cmd.Start(); err != nil {
		return nil, err
	}
	return l, l.answer()
}

// tell has the load begin or end, and waits until it has.
func (l *loader) tell(what string) error {
	if _, err := fmt.Fprintln(l.in, what); err != nil {
		return err
	}
	return l.answer()
}

// answer reads a line of the loader: how often it has done what it does, and been refused.
func (l *loader) answer() error {
	if !l.out.Scan() {
		return errors.New("the process that makes the load has ended")
	}
	_, err := fmt.Sscan(strings.TrimSpace(l.out.Text()), &l.done, &l.refused)
	return err
}

func (l *loader) stop() {
	l.in.Close()
	_ = l.cmd.Wait()
}
