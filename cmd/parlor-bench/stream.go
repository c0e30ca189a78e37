package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net"
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

	"parlor/protocol/assistant"
	"parlor/protocol/chat"
	"parlor/transport/client"
)

// The models of the benchmark's own provider.
const (
	steadyModel  chat.ModelID = "steady"  // says the time, again and again
	hangingModel chat.ModelID = "hanging" // says it once, and then nothing
)

// streamCmd measures how late the pieces of answers reach who waits for them.
type streamCmd struct {
	Rooms  int           `default:"100" help:"Rooms in which an assistant answers at the same time."`
	Rounds int           `default:"10" help:"Rounds with and as many without a provider that hangs, in turn."`
	Pieces int           `default:"200" help:"Pieces of each answer."`
	Pause  time.Duration `default:"20ms" help:"Time between two pieces."`
	Parlor string        `default:"bin/parlor" type:"existingfile" help:"The parlor to measure."`
}

// Help implements [kong.HelpProvider].
func (*streamCmd) Help() string {
	return `In each room one client asks, and all answers stream at once. In every second round the provider of one room hangs after its first piece. Latency is from the moment when the provider writes a piece to that when the client has it, of the rooms whose provider does not hang in any round. The order of the rounds is turned about, so that drift does not count for one side; the round in the middle says more than all of them where the machine has other things to do at times.`
}

// Run prints the table.
func (c *streamCmd) Run(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "parlor-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	clocks, err := newClocks(c.Pieces, c.Pause)
	if err != nil {
		return err
	}
	defer clocks.close()
	p, err := start(ctx, c.command(clocks, filepath.Join(dir, "parlor.db")))
	if err != nil {
		return err
	}
	defer p.stop()

	rooms, err := c.enter(ctx, p.url)
	defer func() {
		for _, r := range rooms {
			r.client.Close()
		}
	}()
	if err != nil {
		return err
	}
	var alone, beside latencies
	for round := range 2*c.Rounds + 1 { // the first one warms up
		hangs := round%4 == 1 || round%4 == 0 // with, without, without, with: neither side is the later one
		took, err := c.round(ctx, rooms, hangs)
		if err != nil {
			return fmt.Errorf("round %d: %w\n%s", round, err, &p.log)
		}
		switch {
		case round == 0:
		case hangs:
			beside.add(took)
		default:
			alone.add(took)
		}
	}
	return reportStream(&alone, &beside)
}

func (c *streamCmd) command(p *clocks, data string) *exec.Cmd {
	cmd := exec.Command(c.Parlor, "serve", "--listen", "127.0.0.1:0", "--data", data, "--models", p.config(),
		"--max-user-rate", "0", "--max-event-rate", "0", "--max-address-rate", "0")
	cmd.Env = os.Environ()
	return cmd
}

// A streamRoom is a room and the client that listens in it.
type streamRoom struct {
	id     chat.RoomID
	client *client.Client

	mu   sync.Mutex
	took []time.Duration // of the pieces of this round
	end  chan string     // the state in which the turn of this round ended
}

// enter opens a chat for each client and joins its room.
func (c *streamCmd) enter(ctx context.Context, url string) (rooms []*streamRoom, err error) {
	for i := range c.Rooms {
		id := chatID(i)
		r := &streamRoom{id: id.Room(), end: make(chan string, 1)}
		r.client, err = client.Dial(ctx, client.Options{
			URL: url, Namespace: assistant.Namespace, Auth: map[string]string{"user_id": fmt.Sprint("user-", i)}, Event: r.event,
		})
		if err != nil {
			return rooms, err
		}
		rooms = append(rooms, r)
		_, createErr := r.client.Call(ctx, "create_room", map[string]any{"chat_id": id, "model_id": steadyModel, "model_api_source": "aisuite"})
		_, joinErr := r.client.Call(ctx, "join_room", map[string]any{"room_id": r.id, "dialect": "documented"})
		if err := errors.Join(createErr, joinErr); err != nil {
			return rooms, err
		}
	}
	return rooms, nil
}

// event notes how old the pieces of an answer are, and its end.
func (r *streamRoom) event(name string, args []json.RawMessage) {
	now := time.Now().UnixNano()
	var body struct {
		Content string `json:"content"`
		State   string `json:"state"`
	}
	word, _, _ := strings.Cut(name, " ")
	if len(args) == 0 || json.Unmarshal(args[0], &body) != nil {
		return
	}
	switch word {
	case "stream_chunk":
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, piece := range strings.Fields(body.Content) {
			if at, err := strconv.ParseInt(piece, 10, 64); err == nil {
				r.took = append(r.took, time.Duration(now-at))
			}
		}
	case "stream_end":
		r.end <- body.State
	}
}

// round has all rooms answer once, and returns how old the pieces were on
// arrival in all but the first, which is the one that hangs if any does.
func (c *streamCmd) round(ctx context.Context, rooms []*streamRoom, hangs bool) (took []time.Duration, err error) {
	for i, r := range rooms {
		model := steadyModel
		if hangs && i == 0 {
			model = hangingModel
		}
		if _, err := r.client.Call(ctx, "send_message", map[string]any{"room_id": r.id, "message": "what is the time?", "model_id": model}); err != nil {
			return nil, err
		}
	}
	for i, r := range rooms[1:] {
		select {
		case state := <-r.end:
			if state != string(chat.StateCompleted) {
				return nil, fmt.Errorf("the answer in room %d is %s", i+1, state)
			}
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if _, err := rooms[0].client.Call(ctx, "stop", map[string]any{"room_id": rooms[0].id}); err != nil {
		return nil, err
	}
	<-rooms[0].end
	for i, r := range rooms {
		if i > 0 {
			took = append(took, r.took...)
		}
		r.took = nil
	}
	return took, nil
}

// latencies are those of one side.
type latencies struct {
	all    []time.Duration
	rounds []time.Duration // p99 of each
}

func (l *latencies) add(round []time.Duration) {
	slices.Sort(round)
	l.all = append(l.all, round...)
	l.rounds = append(l.rounds, quantile(round, 99))
}

func reportStream(alone, beside *latencies) error {
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "pieces\t%d alone\t%d beside one that hangs\tratio\n", len(alone.all), len(beside.all))
	row := func(name string, p float64, of func(*latencies) []time.Duration) {
		a, b := of(alone), of(beside)
		slices.Sort(a)
		slices.Sort(b)
		x, y := quantile(a, p), quantile(b, p)
		fmt.Fprintf(table, "%s\t%v\t%v\t%.2f\n", name, x, y, float64(y)/float64(x))
	}
	for _, p := range []float64{50, 99, 99.9} {
		row(fmt.Sprintf("p%v", p), p, func(l *latencies) []time.Duration { return l.all })
	}
	row("p99 of the round in the middle", 50, func(l *latencies) []time.Duration { return l.rounds })
	return table.Flush()
}

func quantile(sorted []time.Duration, p float64) time.Duration {
	i := int(math.Ceil(float64(len(sorted))*p/100)) - 1
	return sorted[max(i, 0)].Round(time.Microsecond)
}

// clocks is a provider that speaks OpenAI's API and whose answers are nothing
// but the times at which their pieces were written.
type clocks struct {
	url    string
	server *http.Server
	pieces int
	pause  time.Duration
	begun  atomic.Int64
}

func newClocks(pieces int, pause time.Duration) (*clocks, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &clocks{url: "http://" + listener.Addr().String(), pieces: pieces, pause: pause}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /{model}/chat/completions", p.answer)
	p.server = &http.Server{Handler: mux, ReadHeaderTimeout: dialTimeout}
	go func() { _ = p.server.Serve(listener) }()
	return p, nil
}

func (p *clocks) close() { _ = p.server.Close() }

// config is the list of models as parlor takes it: each has a base URL of its
// own, as two providers have.
func (p *clocks) config() string {
	var list []map[string]string
	for _, id := range []chat.ModelID{steadyModel, hangingModel} {
		list = append(list, map[string]string{"model_id": string(id), "provider": "openai", "base_url": p.url + "/" + string(id)})
	}
	b, _ := json.Marshal(list)
	return string(b)
}

func (p *clocks) answer(w http.ResponseWriter, r *http.Request) {
	// The answers begin at different moments, as those of different people do.
	if !pauseFor(r.Context(), p.pause*time.Duration(p.begun.Add(1)%16)/16) {
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	out := http.NewResponseController(w)
	for range p.pieces {
		fmt.Fprintf(w, "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"%d \"}}]}\n\n", time.Now().UnixNano())
		_ = out.Flush()
		if r.PathValue("model") == string(hangingModel) {
			<-r.Context().Done()
			return
		}
		if !pauseFor(r.Context(), p.pause) {
			return
		}
	}
	fmt.Fprint(w, "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n")
}

// pauseFor reports whether d has passed before the end of ctx.
func pauseFor(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}
