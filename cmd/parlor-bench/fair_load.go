package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"parlor/protocol/assistant"
	"parlor/protocol/chat"
	"parlor/transport/auth"
	"parlor/transport/client"
)

// fairLoadCmd is the user who makes the load of [fairCmd], as a process of its own. Each
// line that it reads begins or ends the load, and is answered when that is done.
type fairLoadCmd struct {
	URL     string
	Kind    string
	Sockets int
	Window  int
}

// secretVariable is where parlor, and the user who makes the load, find the secret.
const secretVariable = "PARLOR_JWT_SECRET"

// fairChats is how many chats the user who makes the load has.
const fairChats = 50

// A load is one kind of what a user can do much of. It does it once, on a connection.
type load struct {
	name string
	do   func(ctx context.Context, f *flooder, c *client.Client, n int64) error
}

var big = strings.Repeat("x", 60<<10)

var loads = []load{
	{"short messages", func(ctx context.Context, f *flooder, c *client.Client, n int64) error {
		return say(ctx, c, heavyChat(n%fairChats), "hi")
	}},
	{"long messages", func(ctx context.Context, f *flooder, c *client.Client, n int64) error {
		return say(ctx, c, heavyChat(n%fairChats), big)
	}},
	{"edits", func(ctx context.Context, f *flooder, c *client.Client, n int64) error {
		return f.edit(ctx, c, n%fairChats)
	}},
	{"new chats", func(ctx context.Context, f *flooder, c *client.Client, n int64) error {
		return create(ctx, c, chat.ID("new-"+rand.Text()))
	}},
	{"histories", func(ctx context.Context, f *flooder, c *client.Client, n int64) error {
		return call(ctx, c, "history", map[string]any{"room_id": heavyChat(n % fairChats).Room(), "limit": 500})
	}},
	{"joins", func(ctx context.Context, f *flooder, c *client.Client, n int64) error {
		return call(ctx, c, "join_room", map[string]any{"room_id": heavyChat(n % fairChats).Room(), "dialect": "documented"})
	}},
	{"rooms of others", func(ctx context.Context, f *flooder, c *client.Client, n int64) error {
		return call(ctx, c, "join_room", map[string]any{"room_id": chat.ID("light").Room()})
	}},
	{"answers", func(ctx context.Context, f *flooder, c *client.Client, n int64) error {
		return call(ctx, c, "send_message", map[string]any{"room_id": heavyChat(n % fairChats).Room(), "message": "I am curious"})
	}},
	{"lost connections", func(ctx context.Context, f *flooder, _ *client.Client, n int64) error {
		c, err := f.dial(ctx, "heavy")
		if err != nil {
			return err
		}
		defer c.Abort()
		return call(ctx, c, "join_room", map[string]any{"room_id": heavyChat(n % fairChats).Room(), "dialect": "documented"})
	}},
}

func heavyChat(n int64) chat.ID { return chat.ID(fmt.Sprint("heavy-", n)) }

// Run makes the chats of the user, and then the load.
func (c *fairLoadCmd) Run(ctx context.Context) error {
	f := &flooder{fairLoadCmd: c, fairUsers: fairUsers{url: c.URL, secret: os.Getenv(secretVariable)}}
	for _, l := range loads {
		if l.name == c.Kind {
			f.load = l
		}
	}
	if err := f.enter(ctx); err != nil {
		return err
	}
	end := func() {}
	answer := func() { fmt.Println(f.done.Load(), f.refused.Load()) }
	answer()
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); answer() {
		end()
		end = func() {}
		if lines.Text() == "begin" {
			end = f.flood(ctx)
		}
	}
	return nil
}

// A flooder makes one kind of load.
type flooder struct {
	*fairLoadCmd
	fairUsers
	load    load
	clients []*client.Client
	said    []chan string // the newest version of a message in each chat, while nobody edits it
	n       atomic.Int64

	done, refused atomic.Int64
}

// enter opens the connections of the user and makes the chats, with a message in each.
func (f *flooder) enter(ctx context.Context) error {
	for range f.Sockets {
		c, err := f.dial(ctx, "heavy")
		if err != nil {
			return err
		}
		f.clients = append(f.clients, c)
	}
	for i := range int64(fairChats) {
		c := f.clients[i%int64(len(f.clients))]
		if err := create(ctx, c, heavyChat(i)); err != nil {
			return err
		}
		var sent saying
		if err := ask(ctx, c, "send_message", quiet(heavyChat(i), "an old message"), &sent); err != nil {
			return err
		}
		f.said = append(f.said, make(chan string, 1))
		f.said[i] <- sent.ID
	}
	return nil
}

// A saying is the answer to a command that says something.
type saying struct {
	ID string `json:"message_id"`
}

// edit edits the message in one of the chats. Only the newest version can be edited, so
// one edit of a message waits for the other.
func (f *flooder) edit(ctx context.Context, c *client.Client, i int64) error {
	newest := <-f.said[i]
	edited := saying{newest}
	err := ask(ctx, c, "edit", map[string]any{"room_id": heavyChat(i).Room(), "message_id": newest, "content": "anew"}, &edited)
	f.said[i] <- edited.ID
	return err
}

// flood begins the load. The function that it returns ends it, and waits for the answers
// that are under way.
func (f *flooder) flood(ctx context.Context) (end func()) {
	var all sync.WaitGroup
	var ended atomic.Bool
	for _, c := range f.clients {
		for range f.Window {
			all.Go(func() {
				for !ended.Load() && ctx.Err() == nil {
					err := f.load.do(ctx, f, c, f.n.Add(1))
					if !ended.Load() {
						f.count(ctx, err)
					}
				}
			})
		}
	}
	return func() {
		ended.Store(true)
		all.Wait()
		time.Sleep(300 * time.Millisecond) // what is under way in the server ends
	}
}

func (f *flooder) count(ctx context.Context, err error) {
	switch {
	case err == nil:
		f.done.Add(1)
	case errors.Is(err, errRefused):
		f.refused.Add(1)
	default:
		pauseFor(ctx, 20*time.Millisecond)
	}
}

// fairUsers are the users of a server.
type fairUsers struct{ url, secret string }

func (u fairUsers) dial(ctx context.Context, user chat.UserID) (*client.Client, error) {
	token, err := auth.Sign(auth.Options{Secret: u.secret}, chat.User{ID: user}, time.Hour)
	if err != nil {
		return nil, err
	}
	return client.Dial(ctx, client.Options{URL: u.url, Namespace: assistant.Namespace, Auth: map[string]string{"token": token}})
}

func create(ctx context.Context, c *client.Client, id chat.ID) error {
	return call(ctx, c, "create_room", map[string]any{"chat_id": id, "model_id": "eliza", "model_api_source": "aisuite"})
}

func say(ctx context.Context, c *client.Client, id chat.ID, text string) error {
	return call(ctx, c, "send_message", quiet(id, text))
}

// quiet is a message that nobody answers.
func quiet(id chat.ID, text string) map[string]any {
	return map[string]any{"room_id": id.Room(), "message": map[string]any{"type": "conversation.item.create", "data": map[string]any{
		"item": map[string]any{"type": "message", "role": "user", "content": []any{map[string]any{"type": "input_text", "text": text}}}}}}
}

// errRefused is the answer to a command that the server has refused.
var errRefused = errors.New("refused")

func call(ctx context.Context, c *client.Client, event string, body any) error {
	return ask(ctx, c, event, body, new(struct{}))
}

// ask is call that reads the answer.
func ask(ctx context.Context, c *client.Client, event string, body, answer any) error {
	ack, err := c.Call(ctx, event, body)
	if err != nil {
		return err
	}
	var done struct{ OK bool }
	if json.Unmarshal(ack[0], &done) != nil || !done.OK {
		return fmt.Errorf("%w: %s", errRefused, ack[0])
	}
	return json.Unmarshal(ack[0], answer)
}
