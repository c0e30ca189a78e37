package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"parlor/protocol/assistant"
	"parlor/protocol/chat"
	"parlor/transport/client"
)

// restartCmd measures how long people are away while the server starts again.
type restartCmd struct {
	Connections int           `default:"5000" help:"Clients."`
	Rooms       int           `default:"100" help:"Rooms that they are in, as evenly as can be."`
	Restarts    int           `default:"3" help:"Times that the server is stopped and started."`
	Every       time.Duration `default:"50ms" help:"Time between two messages, each in another room."`
	Parlor      string        `default:"bin/parlor" type:"existingfile" help:"The parlor to measure."`
}

// Help implements [kong.HelpProvider].
func (*restartCmd) Help() string {
	return `Clients sit in rooms in which messages are said all the time, and come back as the official client does: after 0.5 s to 1.5 s, and after twice as long each time that it fails, up to 5 s. The server is stopped by SIGTERM and started at the same address. A line says how long it was until all were back. In the end each client has to have had every message of its room, once and in order.`
}

// returnTimeout is how long a restart may take, until all are back.
const returnTimeout = 2 * time.Minute

// A sitter is one client, over all its connections.
type sitter struct {
	url, user string
	chat      chat.ID
	back      atomic.Int64 // when it came back, in Unix nanoseconds; 0 while it is away

	mu          sync.Mutex
	pid, offset string
	heard       []int // numbers of messages
	anew        int   // times that its state was not recovered
}

// Run prints a line for each restart, and what was missed.
func (c *restartCmd) Run(ctx context.Context) error {
	if err := checkFiles(c.Connections); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "parlor-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	address := l.Addr().String()
	l.Close()
	begin := func() (*process, error) {
		cmd := exec.Command(c.Parlor, "serve", "--listen", address, "--data", filepath.Join(dir, "parlor.db"), "--discover=false",
			"--max-connections-per-address", strconv.Itoa(2*c.Connections), "--max-address-rate", "0", "--max-user-rate", "0", "--max-event-rate", "0")
		return start(ctx, cmd)
	}
	server, err := begin()
	if err != nil {
		return err
	}
	defer func() { server.stop() }()
	return c.measure(ctx, "http://"+address, func() (time.Duration, error) {
		stopped := time.Now()
		server.stop()
		server, err = begin()
		return time.Since(stopped), err
	})
}

func (c *restartCmd) measure(ctx context.Context, url string, restart func() (time.Duration, error)) error {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	tellers := &tellers{url: url, said: make([]int, c.Rooms)}
	for room := range c.Rooms {
		if err := tellers.open(ctx, room); err != nil {
			return err
		}
	}
	sitters, err := c.seat(ctx, url, &wg)
	if err != nil {
		return err
	}
	telling, quiet := context.WithCancel(ctx)
	told := make(chan error, 1)
	go func() { told <- tellers.tell(telling, c.Every) }()
	for n := range c.Restarts {
		for _, s := range sitters {
			s.back.Store(0)
		}
		stopped := time.Now()
		up, err := restart()
		if err != nil {
			quiet()
			return err
		}
		away, err := waitForAll(ctx, sitters, stopped)
		if err != nil {
			quiet()
			return fmt.Errorf("restart %d: %w", n+1, err)
		}
		fmt.Printf("restart %d: %d clients in %d rooms; listening after %.2f s; half back after %.2f s, 99 %% after %.2f s, all after %.2f s\n", n+1, len(sitters), c.Rooms,
			up.Seconds(), away[len(away)/2].Seconds(), away[len(away)*99/100].Seconds(), away[len(away)-1].Seconds())
	}
	quiet()
	if err := <-told; err != nil {
		return err
	}
	return compare(ctx, sitters, tellers.said)
}

// seat opens the connections, which listen until ctx ends.
func (c *restartCmd) seat(ctx context.Context, url string, wg *sync.WaitGroup) ([]*sitter, error) {
	sitters := make([]*sitter, c.Connections)
	failed := make(chan error, len(sitters))
	each(len(sitters), func(i int) {
		sitters[i] = &sitter{url: url, user: fmt.Sprint("user-", i), chat: chatID(i % c.Rooms)}
		if err := sitters[i].sit(ctx, wg); err != nil {
			failed <- err
		}
	})
	if len(failed) > 0 {
		return nil, <-failed
	}
	return sitters, nil
}

// waitForAll returns how long each was away, the shortest first.
func waitForAll(ctx context.Context, sitters []*sitter, since time.Time) ([]time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, returnTimeout)
	defer cancel()
	for {
		var away []time.Duration
		for _, s := range sitters {
			if at := s.back.Load(); at != 0 {
				away = append(away, time.Unix(0, at).Sub(since))
			}
		}
		if len(away) == len(sitters) {
			slices.Sort(away)
			return away, nil
		}
		if !pauseFor(ctx, 20*time.Millisecond) {
			return nil, fmt.Errorf("%d of %d are not back: %w", len(sitters)-len(away), len(sitters), ctx.Err())
		}
	}
}

// compare waits until all have heard what was said, and says who has not.
func compare(ctx context.Context, sitters []*sitter, said []int) error {
	deadline := time.Now().Add(returnTimeout)
	wrong, heard, anew := 0, 0, 0
	for i, s := range sitters {
		want := said[i%len(said)]
		for s.count() < want && time.Now().Before(deadline) && pauseFor(ctx, 10*time.Millisecond) {
		}
		s.mu.Lock()
		heard, anew = heard+len(s.heard), anew+s.anew
		right := len(s.heard) == want
		for k, number := range s.heard {
			right = right && k == number
		}
		s.mu.Unlock()
		if !right {
			wrong++
		}
	}
	fmt.Printf("messages heard: %d; clients that missed one, or had it twice or out of order: %d of %d; states that were not recovered: %d\n", heard, wrong, len(sitters), anew)
	if wrong > 0 {
		return errors.New("something was missed")
	}
	return nil
}

func (s *sitter) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.heard)
}

// sit connects, joins the room, and then comes back by itself until ctx ends.
func (s *sitter) sit(ctx context.Context, wg *sync.WaitGroup) error {
	conn, lost, err := s.dial(ctx)
	if err != nil {
		return err
	}
	if _, err := conn.Call(ctx, "join_room", map[string]any{"room_id": s.chat.Room(), "dialect": "documented"}); err != nil {
		return err
	}
	wg.Go(func() {
		for {
			select {
			case <-lost:
			case <-ctx.Done():
				conn.Abort()
				return
			}
			conn.Abort()
			if conn, lost = s.comeBack(ctx); conn == nil {
				return
			}
		}
	})
	return nil
}

// comeBack tries until it is connected again, or ctx ends.
func (s *sitter) comeBack(ctx context.Context) (*client.Client, <-chan struct{}) {
	for delay := time.Second; ; delay = min(2*delay, 5*time.Second) {
		if !pauseFor(ctx, delay/2+rand.N(delay)) {
			return nil, nil
		}
		if conn, lost, err := s.dial(ctx); err == nil {
			return conn, lost
		}
	}
}

func (s *sitter) dial(ctx context.Context) (*client.Client, <-chan struct{}, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	lost := make(chan struct{})
	s.mu.Lock()
	old := s.pid
	hello := map[string]string{"user_id": s.user, "pid": s.pid, "offset": s.offset}
	s.mu.Unlock()
	if hello["offset"] == "" {
		delete(hello, "offset")
	}
	if old == "" {
		delete(hello, "pid")
	}
	conn, err := client.Dial(ctx, client.Options{
		URL: s.url, Namespace: assistant.Namespace, Auth: hello, Event: s.event, Closed: func(error) { close(lost) },
	})
	if err != nil {
		return nil, nil, err
	}
	s.mu.Lock()
	if s.pid = conn.PID(); old != "" && old != s.pid {
		s.anew++
	}
	s.mu.Unlock()
	s.back.Store(time.Now().UnixNano())
	return conn, lost, nil
}

var numbered = regexp.MustCompile(`"content":"number (\d+)"`)

// event notes the offset, and the number of a message.
func (s *sitter) event(_ string, args []json.RawMessage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(args) < 2 {
		return
	}
	_ = json.Unmarshal(args[len(args)-1], &s.offset)
	if match := numbered.FindSubmatch(args[0]); match != nil {
		n, _ := strconv.Atoi(string(match[1]))
		s.heard = append(s.heard, n)
	}
}

// tellers say numbered messages, and each again until the server has it.
type tellers struct {
	url  string
	said []int // in each room
}

func (t *tellers) open(ctx context.Context, room int) error {
	conn, err := client.Dial(ctx, client.Options{URL: t.url, Namespace: assistant.Namespace, Auth: map[string]string{"user_id": "teller"}})
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = conn.Call(ctx, "create_room", map[string]any{"chat_id": chatID(room), "model_id": "eliza", "model_api_source": "aisuite"})
	return err
}

// tell goes on until ctx ends, and then finishes what it has begun.
func (t *tellers) tell(ctx context.Context, every time.Duration) error {
	for n := 0; ; n++ {
		room := n % len(t.said)
		if !t.say(room) {
			return fmt.Errorf("message %d of room %d was not taken", t.said[room], room)
		}
		t.said[room]++
		if !pauseFor(ctx, every) {
			return nil
		}
	}
}

func (t *tellers) say(room int) bool {
	body := fmt.Sprintf(`{"content": "number %d", "answer": false, "client_message_id": "m-%d-%d"}`, t.said[room], room, t.said[room])
	for deadline := time.Now().Add(returnTimeout); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		r, err := http.NewRequest(http.MethodPost, fmt.Sprintf("%s/api/v1/chat/%s/messages", t.url, chatID(room)), strings.NewReader(body))
		if err != nil {
			return false
		}
		r.Header.Set("X-Parlor-User", "teller")
		r.Header.Set("Content-Type", "application/json")
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			continue
		}
		_, _ = io.Copy(io.Discard, response.Body)
		response.Body.Close()
		if response.StatusCode/100 == 2 {
			return true
		}
	}
	return false
}
