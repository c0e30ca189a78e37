package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"text/tabwriter"
	"time"

	"parlor/actors/conversation"
	"parlor/persistence"
	"parlor/protocol/assistant"
	"parlor/protocol/chat"
	"parlor/transport/auth"
	"parlor/transport/client"
)

// roomsOf is how many rooms one client joins: the default of max-joined-rooms.
const roomsOf = 100

// roomsCmd measures what rooms cost, in memory and not.
type roomsCmd struct {
	Rooms    int    `default:"10000" help:"Rooms that are joined."`
	Chats    int    `default:"100000" help:"Chats in the file."`
	Messages int    `default:"10" help:"Messages in each chat."`
	Parlor   string `default:"bin/parlor" type:"existingfile" help:"The parlor to measure."`
}

// Help implements [kong.HelpProvider].
func (*roomsCmd) Help() string {
	return `Starts parlor on an empty file and on one full of chats, joins rooms, leaves them, waits until they have left memory, and joins them again. Memory is RssAnon, without the pages of the file; what Go's runtime has freed it gives back to the system within minutes, so what is left of rooms that have gone is an upper bound.`
}

// Run prints the table.
func (c *roomsCmd) Run(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "parlor-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	data := filepath.Join(dir, "full.db")
	if err := fill(data, c.Chats, c.Messages); err != nil {
		return fmt.Errorf("write %d chats: %w", c.Chats, err)
	}
	b := roomsBench{roomsCmd: c, secret: rand.Text() + rand.Text()}
	for range 3 { // the first one warms the page cache
		if b.empty, _, err = b.started(ctx, filepath.Join(dir, "empty.db")); err != nil {
			return err
		}
		if b.full, b.rss, err = b.started(ctx, data); err != nil {
			return err
		}
	}
	if err := b.run(ctx, data); err != nil {
		return err
	}
	return b.report()
}

// owner is whom all chats belong to.
const owner chat.UserID = "owner"

func chatID(i int) chat.ID { return chat.ID(fmt.Sprintf("chat-%d", i)) }

// fill writes a file with chats in it.
func fill(path string, chats, messages int) (err error) {
	store, err := persistence.Open(path, persistence.Options{})
	if err != nil {
		return err
	}
	defer func() {
		if closeErr := store.Close(); err == nil {
			err = closeErr
		}
	}()
	window := make(chan struct{}, 1000)
	failed := make(chan error, chats)
	for i := range chats {
		window <- struct{}{}
		store.Append(history(chatID(i), messages), func(err error) {
			<-window
			failed <- err
		})
	}
	for range chats {
		if err := <-failed; err != nil {
			return err
		}
	}
	return nil
}

// history is a chat with so many messages, as one commit.
func history(id chat.ID, messages int) persistence.Commit {
	at := time.Now().UTC()
	info := chat.Info{ID: id, Room: id.Room(), Owner: owner, ModelID: "eliza", APISource: "aisuite", Epoch: "bench", Created: at}
	row := conversation.Row(info)
	c := persistence.Commit{Room: string(info.Room), Chat: &row}
	events := []chat.Event{chat.Created{Chat: info}}
	for i := range messages {
		events = append(events, chat.MessageAdded{
			MessageID: chat.MessageID(fmt.Sprintf("%s-%d", id, i)), Author: chat.User{ID: owner}, ModelID: "eliza",
			Content: "It is of no importance what is said here, but it has the length that a message usually has.",
		})
	}
	for i, e := range events {
		entry, err := chat.Record{Seq: uint64(i + 1), At: at, Event: e}.Encode()
		if err != nil {
			panic("parlor-bench: encode a record: " + err.Error())
		}
		c.Entries = append(c.Entries, entry)
		if id, ok := conversation.MessageID(persistence.Entry{Seq: uint64(i + 1), Data: entry}); ok {
			c.Messages = append(c.Messages, persistence.Key{Name: id, Seq: uint64(i + 1)})
		}
	}
	return c
}

// roomsBench is a run with its results.
type roomsBench struct {
	*roomsCmd
	secret string

	empty, full                          time.Duration // until the server listens
	rss                                  int64         // memory of a server that has started on the full file
	connected, joined, passivated, again int64         // resident memory
	cold, warm                           []time.Duration
}

func (b *roomsBench) command(data string) *exec.Cmd {
	cmd := exec.Command(b.Parlor, "serve", "--listen", "127.0.0.1:0", "--data", data, "--room-idle-timeout", "1s", "--max-rooms-per-user", "0",
		"--max-user-rate", "0", "--max-event-rate", "0", "--max-address-rate", "0")
	cmd.Env = append(os.Environ(), "PARLOR_JWT_SECRET="+b.secret)
	return cmd
}

// started says how long a server takes to listen, and its memory then.
func (b *roomsBench) started(ctx context.Context, data string) (time.Duration, int64, error) {
	begin := time.Now()
	p, err := start(ctx, b.command(data))
	if err != nil {
		return 0, 0, err
	}
	defer p.stop()
	took := time.Since(begin)
	rss, err := p.resident(ownMemory)
	return took, rss, err
}

func (b *roomsBench) run(ctx context.Context, data string) error {
	p, err := start(ctx, b.command(data))
	if err != nil {
		return err
	}
	defer p.stop()
	clients, err := b.connect(ctx, p.url)
	defer func() {
		for _, c := range clients {
			c.Close()
		}
	}()
	if err != nil {
		return err
	}
	for _, step := range []struct {
		event  string
		took   *[]time.Duration
		settle time.Duration
		rss    *int64
	}{
		{"", nil, 5 * time.Second, &b.connected},
		{"join_room", &b.cold, 5 * time.Second, &b.joined},
		{"join_room", &b.warm, 0, &b.joined},
		{"leave_room", nil, 20 * time.Second, &b.passivated},
		{"join_room", &b.cold, 5 * time.Second, &b.again},
	} {
		if step.event != "" {
			took, err := b.each(ctx, clients, step.event)
			if err != nil {
				return fmt.Errorf("%s: %w\n%s", step.event, err, &p.log)
			}
			if step.took != nil {
				*step.took = took
			}
		}
		if *step.rss, err = p.settled(ctx, step.settle, ownMemory); err != nil {
			return err
		}
	}
	return nil
}

func (b *roomsBench) connect(ctx context.Context, url string) (clients []*client.Client, err error) {
	token, err := auth.Sign(auth.Options{Secret: b.secret}, chat.User{ID: owner}, time.Hour)
	if err != nil {
		return nil, err
	}
	for range (b.Rooms + roomsOf - 1) / roomsOf {
		c, err := client.Dial(ctx, client.Options{URL: url, Namespace: assistant.Namespace, Auth: map[string]string{"token": token}})
		if err != nil {
			return clients, err
		}
		clients = append(clients, c)
	}
	return clients, nil
}

// each lets each client do something in each of its rooms, one after the
// other, and says how long it took until that was acknowledged.
func (b *roomsBench) each(ctx context.Context, clients []*client.Client, event string) (took []time.Duration, err error) {
	var mu sync.Mutex
	each(b.Rooms, func(i int) {
		begin := time.Now()
		ack, callErr := clients[i/roomsOf].Call(ctx, event, map[string]any{"room_id": chatID(i).Room()})
		var answer struct{ OK bool }
		if callErr == nil && (json.Unmarshal(ack[0], &answer) != nil || !answer.OK) {
			callErr = fmt.Errorf("refused: %s", ack)
		}
		mu.Lock()
		defer mu.Unlock()
		took = append(took, time.Since(begin))
		if err == nil {
			err = callErr
		}
	})
	slices.Sort(took)
	return took, err
}

func (b *roomsBench) report() error {
	each := func(after, before int64) float64 { return float64(after-before) / float64(b.Rooms) / 1000 }
	percentile := func(sorted []time.Duration, p int) time.Duration {
		return sorted[len(sorted)*p/100].Round(10 * time.Microsecond)
	}
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "start, empty file\t%v\n", b.empty.Round(time.Millisecond))
	fmt.Fprintf(table, "start, %d chats of %d messages\t%v, with %.1f MB of memory\n", b.Chats, b.Messages, b.full.Round(time.Millisecond), float64(b.rss)/1e6)
	fmt.Fprintf(table, "resident room with a member\t%.1f KB\n", each(b.joined, b.connected))
	fmt.Fprintf(table, "passivated room\tat most %.1f KB\n", each(b.passivated, b.connected))
	fmt.Fprintf(table, "resident again\t%.1f KB\n", each(b.again, b.connected))
	fmt.Fprintf(table, "join, room in memory\tp50 %v, p99 %v (%d at once)\n", percentile(b.warm, 50), percentile(b.warm, 99), dialling)
	fmt.Fprintf(table, "join, room asleep\tp50 %v, p99 %v\n", percentile(b.cold, 50), percentile(b.cold, 99))
	return table.Flush()
}
