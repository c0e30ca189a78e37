package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"text/tabwriter"
	"time"

	"parlor/protocol/assistant"
	"parlor/protocol/chat"
	"parlor/transport/auth"
	"parlor/transport/client"
)

// fairCmd measures what one user costs another.
type fairCmd struct {
	Rounds  int           `default:"6" help:"Rounds alone, and as many beside each kind of load, in turn."`
	Length  time.Duration `default:"2s" help:"Length of a round."`
	Sockets int           `default:"8" help:"Connections of the user who makes the load."`
	Window  int           `default:"64" help:"Commands that are under way on each of them."`
	Only    []string      `help:"Kinds of load to measure; all if none is named."`
	Parlor  string        `default:"bin/parlor" type:"existingfile" help:"The parlor to measure."`
}

// Help implements [kong.HelpProvider].
func (*fairCmd) Help() string {
	return `One user says something in a chat, reads the history and waits a little, again and again. Another does as much as possible of one kind, within the limits of one user. The table compares how long the first one waits with and without the other, by the p99 of the round in the middle. The load runs on the same machine and takes processor time from the server, so a part of the ratio is the machine's.`
}

// fairChats is how many chats the user who makes the load has.
const fairChats = 50

// A load is one kind of what a user can do much of. It does it once, on a connection.
type load struct {
	name string
	do   func(ctx context.Context, b *fairBench, c *client.Client, n int64) error
}

var big = strings.Repeat("x", 60<<10)

var loads = []load{
	{"short messages", func(ctx context.Context, b *fairBench, c *client.Client, n int64) error {
		return b.say(ctx, c, heavyChat(n%fairChats), "hi")
	}},
	{"long messages", func(ctx context.Context, b *fairBench, c *client.Client, n int64) error {
		return b.say(ctx, c, heavyChat(n%fairChats), big)
	}},
	{"edits", func(ctx context.Context, b *fairBench, c *client.Client, n int64) error {
		id := heavyChat(n % fairChats)
		return call(ctx, c, "edit", map[string]any{"room_id": id.Room(), "message_id": b.said[n%fairChats], "content": "anew"})
	}},
	{"new chats", func(ctx context.Context, b *fairBench, c *client.Client, n int64) error {
		return call(ctx, c, "create_room", map[string]any{"chat_id": "new-" + rand.Text(), "model_id": "eliza", "model_api_source": "aisuite"})
	}},
	{"histories", func(ctx context.Context, b *fairBench, c *client.Client, n int64) error {
		return call(ctx, c, "history", map[string]any{"room_id": heavyChat(n % fairChats).Room(), "limit": 500})
	}},
	{"joins", func(ctx context.Context, b *fairBench, c *client.Client, n int64) error {
		return call(ctx, c, "join_room", map[string]any{"room_id": heavyChat(n % fairChats).Room(), "dialect": "documented"})
	}},
	{"rooms of others", func(ctx context.Context, b *fairBench, c *client.Client, n int64) error {
		return call(ctx, c, "join_room", map[string]any{"room_id": chat.ID("light").Room()})
	}},
	{"answers", func(ctx context.Context, b *fairBench, c *client.Client, n int64) error {
		return call(ctx, c, "send_message", map[string]any{"room_id": heavyChat(n % fairChats).Room(), "message": "I am curious"})
	}},
	{"lost connections", func(ctx context.Context, b *fairBench, _ *client.Client, n int64) error {
		c, err := b.dial(ctx, "heavy")
		if err != nil {
			return err
		}
		defer c.Abort()
		return call(ctx, c, "join_room", map[string]any{"room_id": heavyChat(n % fairChats).Room(), "dialect": "documented"})
	}},
}

func heavyChat(n int64) chat.ID { return chat.ID(fmt.Sprint("heavy-", n)) }

type fairBench struct {
	*fairCmd
	url    string
	secret string
	light  *client.Client
	said   []string // a message in each chat of the user who makes the load
	n      atomic.Int64
}

// Run prints the table. Each kind of load has a server of its own.
func (c *fairCmd) Run(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "parlor-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "load of another\tof it per second\trefused\tp50 alone\tbeside\tratio\tp99 alone\tbeside\tratio\n")
	for i, l := range loads {
		if len(c.Only) > 0 && !slices.Contains(c.Only, l.name) {
			continue
		}
		b := &fairBench{fairCmd: c, secret: rand.Text() + rand.Text()}
		if err := b.measure(ctx, l, filepath.Join(dir, fmt.Sprint(i)), table); err != nil {
			return fmt.Errorf("%s: %w", l.name, err)
		}
	}
	return table.Flush()
}

func (b *fairBench) measure(ctx context.Context, l load, data string, table *tabwriter.Writer) error {
	cmd := exec.Command(b.Parlor, "serve", "--listen", "127.0.0.1:0", "--data", data, "--max-chats-per-user", "0", "--max-bytes-per-user", "0", "--eliza-word-delay", "5ms")
	cmd.Env = append(os.Environ(), "PARLOR_JWT_SECRET="+b.secret)
	p, err := start(ctx, cmd)
	if err != nil {
		return err
	}
	defer p.stop()
	b.url = p.url
	if err := b.enter(ctx); err != nil {
		return fmt.Errorf("%w\n%s", err, &p.log)
	}
	defer b.light.Close()
	return b.compare(ctx, l, table)
}

// enter makes the chats of both.
func (b *fairBench) enter(ctx context.Context) (err error) {
	if b.light, err = b.dial(ctx, "light"); err != nil {
		return err
	}
	heavy, err := b.dial(ctx, "heavy")
	if err != nil {
		return err
	}
	defer heavy.Close()
	create := func(c *client.Client, id chat.ID) error {
		return call(ctx, c, "create_room", map[string]any{"chat_id": id, "model_id": "eliza", "model_api_source": "aisuite"})
	}
	if err := create(b.light, "light"); err != nil {
		return err
	}
	if err := call(ctx, b.light, "join_room", map[string]any{"room_id": chat.ID("light").Room(), "dialect": "documented"}); err != nil {
		return err
	}
	for i := range int64(fairChats) {
		if err := create(heavy, heavyChat(i)); err != nil {
			return err
		}
		sent, err := heavy.Call(ctx, "send_message", quiet(heavyChat(i), "an old message"))
		if err != nil {
			return err
		}
		var answer struct {
			ID string `json:"message_id"`
		}
		if err := json.Unmarshal(sent[0], &answer); err != nil {
			return err
		}
		b.said = append(b.said, answer.ID)
	}
	return nil
}

func quiet(id chat.ID, text string) map[string]any {
	return map[string]any{"room_id": id.Room(), "message": map[string]any{"type": "conversation.item.create", "data": map[string]any{
		"item": map[string]any{"type": "message", "role": "user", "content": []any{map[string]any{"type": "input_text", "text": text}}}}}}
}

func (b *fairBench) say(ctx context.Context, c *client.Client, id chat.ID, text string) error {
	return call(ctx, c, "send_message", quiet(id, text))
}

func (b *fairBench) dial(ctx context.Context, user chat.UserID) (*client.Client, error) {
	token, err := auth.Sign(auth.Options{Secret: b.secret}, chat.User{ID: user}, time.Hour)
	if err != nil {
		return nil, err
	}
	return client.Dial(ctx, client.Options{URL: b.url, Namespace: assistant.Namespace, Auth: map[string]string{"token": token}})
}

// errRefused is the answer to a command that the server has refused.
var errRefused = errors.New("refused")

func call(ctx context.Context, c *client.Client, event string, body any) error {
	ack, err := c.Call(ctx, event, body)
	if err != nil {
		return err
	}
	var answer struct{ OK bool }
	if json.Unmarshal(ack[0], &answer) != nil || !answer.OK {
		return fmt.Errorf("%w: %s", errRefused, ack[0])
	}
	return nil
}

// compare measures one kind of load, with and without in turn.
func (b *fairBench) compare(ctx context.Context, l load, table *tabwriter.Writer) error {
	var alone, beside fairSide
	var done, refused int64
	for round := range 2 * b.Rounds {
		side, stop := &alone, func() (int64, int64) { return 0, 0 }
		if round%4 == 1 || round%4 == 2 {
			var err error
			if stop, err = b.flood(ctx, l); err != nil {
				return err
			}
			side = &beside
		}
		took, err := b.live(ctx)
		d, r := stop()
		if err != nil {
			return err
		}
		done, refused = done+d, refused+r
		side.add(took)
	}
	a50, a99 := alone.middle()
	b50, b99 := beside.middle()
	_, err := fmt.Fprintf(table, "%s\t%.0f\t%d\t%v\t%v\t%.1f\t%v\t%v\t%.1f\n", l.name, float64(done)/(b.Length.Seconds()*float64(b.Rounds)), refused,
		a50, b50, float64(b50)/float64(a50), a99, b99, float64(b99)/float64(a99))
	return err
}

// flood begins the load. The function that it returns ends it, and says how often it was
// done and how often refused.
func (b *fairBench) flood(ctx context.Context, l load) (stop func() (done, refused int64), err error) {
	ctx, cancel := context.WithCancel(ctx)
	var all sync.WaitGroup
	var done, refused atomic.Int64
	var clients []*client.Client
	for range b.Sockets {
		c, err := b.dial(ctx, "heavy")
		for err != nil && ctx.Err() == nil { // the round before has used up what the user may open
			pauseFor(ctx, 100*time.Millisecond)
			c, err = b.dial(ctx, "heavy")
		}
		if err != nil {
			cancel()
			return nil, err
		}
		clients = append(clients, c)
		for range b.Window {
			all.Go(func() {
				for ctx.Err() == nil {
					switch err := l.do(ctx, b, c, b.n.Add(1)); {
					case err == nil:
						done.Add(1)
					case errors.Is(err, errRefused):
						refused.Add(1)
					default:
						pauseFor(ctx, 20*time.Millisecond)
					}
				}
			})
		}
	}
	return func() (int64, int64) {
		cancel()
		all.Wait()
		for _, c := range clients {
			c.Close()
		}
		time.Sleep(300 * time.Millisecond) // what is under way ends
		return done.Load(), refused.Load()
	}, nil
}

// live does for a while what one user does, and says how long each answer took.
func (b *fairBench) live(ctx context.Context) (took []time.Duration, err error) {
	for end := time.Now().Add(b.Length); time.Now().Before(end); {
		for _, do := range []func() error{
			func() error { return b.say(ctx, b.light, "light", "hello") },
			func() error {
				return call(ctx, b.light, "history", map[string]any{"room_id": chat.ID("light").Room(), "limit": 10})
			},
		} {
			begin := time.Now()
			if err := do(); err != nil {
				return nil, err
			}
			took = append(took, time.Since(begin))
		}
		time.Sleep(3 * time.Millisecond)
	}
	return took, nil
}

// A fairSide is the rounds of one side.
type fairSide struct{ p50, p99 []time.Duration }

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
