package chaos

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"regexp"
	"strings"
	"time"

	"parlor/protocol/chat"
)

// The assistants, by how they answer, and how many of a hundred messages go to
// each.
var models = []struct {
	id     chat.ModelID
	weight int
}{{"prompt", 38}, {"slow", 15}, {"tooling", 15}, {paying, 12}, {"cutting", 8}, {"failing", 7}, {"hanging", 5}}

// paying is the model that calls the tool of the harness.
const paying chat.ModelID = "paying"

// A provider speaks OpenAI's API, and Anthropic's for the model that runs tools
// on its side. What it answers is a function of what it is
// asked, see [reply]; how far it gets is its model's.
type provider struct {
	url    string
	server *http.Server
	seed   uint64
	bills  *bills
}

func newProvider(seed uint64) (*provider, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &provider{url: "http://" + listener.Addr().String(), seed: seed, bills: &bills{paid: make(map[string]int)}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /{model}/chat/completions", p.answer)
	mux.HandleFunc("POST /tooling/v1/messages", p.search)
	mux.HandleFunc("POST /pay", p.bills.pay)
	p.server = &http.Server{Handler: mux, ReadHeaderTimeout: callTimeout}
	go func() { _ = p.server.Serve(listener) }()
	return p, nil
}

func (p *provider) close() { _ = p.server.Close() }

// config is the list of models as parlor takes it.
func (p *provider) config() (list []map[string]any) {
	for _, m := range models {
		api := "openai"
		if m.id == "tooling" {
			api = "anthropic"
		}
		c := map[string]any{"model_id": m.id, "provider": api, "base_url": p.url + "/" + string(m.id)}
		if m.id == paying {
			c["tools"] = []string{payTool}
		}
		list = append(list, c)
	}
	return list
}

// anyModel chooses an assistant.
func (p *provider) anyModel(r *rand.Rand) chat.ModelID {
	n := r.IntN(100)
	for _, m := range models {
		if n -= m.weight; n < 0 {
			return m.id
		}
	}
	return models[0].id
}

// reply is the whole answer to a message, in pieces. Some are outside the
// Basic Multilingual Plane, where offsets are not what Go counts.
func reply(content string) []string {
	words := []string{"so ", "tell me ", "why ", "🙂 ", "naïve ", "about that, ", "and then ", "你好 "}
	r := rand.New(rand.NewPCG(hash(content), 0))
	pieces := make([]string, 5+r.IntN(40))
	for i := range pieces {
		pieces[i] = words[r.IntN(len(words))]
	}
	return pieces
}

func (p *provider) answer(w http.ResponseWriter, r *http.Request) {
	var request struct {
		Messages []promptMessage
	}
	if err := json.NewDecoder(r.Body).Decode(&request); err != nil || len(request.Messages) == 0 {
		http.Error(w, "not a prompt", http.StatusBadRequest)
		return
	}
	asked := askedIn(request.Messages)
	pieces, rng := reply(asked), rand.New(rand.NewPCG(p.seed, hash(asked)))
	some := rng.IntN(len(pieces))
	switch r.PathValue("model") {
	case "prompt":
		p.stream(w, r, pieces, time.Millisecond)
	case string(paying):
		if !paysIn(request.Messages, asked) {
			p.call(w, asked)
			return
		}
		p.stream(w, r, pieces, 5*time.Millisecond)
	case "slow":
		p.stream(w, r, pieces, 30*time.Millisecond)
	case "cutting":
		p.stream(w, r, pieces[:some], 5*time.Millisecond)
		panic(http.ErrAbortHandler)
	case "hanging":
		p.stream(w, r, pieces[:some], 5*time.Millisecond)
		<-r.Context().Done()
		return
	case "failing":
		status := []int{http.StatusInternalServerError, http.StatusTooManyRequests}[rng.IntN(2)]
		http.Error(w, `{"error":{"message":"no"}}`, status)
		return
	}
	fmt.Fprint(w, `data: {"object":"chat.completion.chunk","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}`+"\n\ndata: [DONE]\n\n")
}

func (p *provider) stream(w http.ResponseWriter, r *http.Request, pieces []string, pause time.Duration) {
	w.Header().Set("Content-Type", "text/event-stream")
	for _, piece := range pieces {
		content, _ := json.Marshal(piece)
		fmt.Fprintf(w, "data: {\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":{\"content\":%s}}]}\n\n", content)
		_ = http.NewResponseController(w).Flush()
		if !sleep(r.Context(), pause) {
			return
		}
	}
}

// whole is the answer to a message.
func whole(content string) string { return strings.Join(reply(content), "") }

// search answers as Anthropic's API does, and runs a tool in the middle.
func (p *provider) search(w http.ResponseWriter, r *http.Request) {
	var request struct {
		Messages []struct{ Content blocks }
	}
	if err := json.NewDecoder(r.Body).Decode(&request); err != nil || len(request.Messages) == 0 {
		http.Error(w, "not a prompt", http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	event := func(kind string, body map[string]any) {
		body["type"] = kind
		data, _ := json.Marshal(body)
		fmt.Fprintf(w, "event: %s\ndata: %s\n\n", kind, data)
		_ = http.NewResponseController(w).Flush()
	}
	block := func(n int, content map[string]any, pieces []string) {
		event("content_block_start", map[string]any{"index": n, "content_block": content})
		for _, piece := range pieces {
			event("content_block_delta", map[string]any{"index": n, "delta": map[string]any{"type": "text_delta", "text": piece}})
			sleep(r.Context(), 20*time.Millisecond)
		}
		event("content_block_stop", map[string]any{"index": n})
	}
	pieces, text := reply(words(string(request.Messages[len(request.Messages)-1].Content))), map[string]any{"type": "text", "text": ""}
	event("message_start", map[string]any{"message": map[string]any{"role": "assistant", "usage": map[string]any{"input_tokens": 1}}})
	block(0, text, pieces[:1])
	block(1, map[string]any{"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": map[string]any{}}, nil)
	block(2, text, pieces[1:])
	event("message_delta", map[string]any{"delta": map[string]any{"stop_reason": "end_turn"}, "usage": map[string]any{"output_tokens": len(pieces)}})
	event("message_stop", map[string]any{})
}

// blocks are the text of a message, which is in blocks where tools were called.
type blocks string

// UnmarshalJSON implements [json.Unmarshaler].
func (b *blocks) UnmarshalJSON(raw []byte) error {
	var list []struct{ Text string }
	if json.Unmarshal(raw, &list) != nil {
		return json.Unmarshal(raw, (*string)(b))
	}
	for _, block := range list {
		*b += blocks(block.Text)
	}
	return nil
}

// author is what comes before a message where several people talk.
var author = regexp.MustCompile(`^(user-\d+|auditor): `)

// words is what somebody has said last, by the content of the last message of
// a prompt: what was said in a row may come as one message.
func words(content string) string {
	if i := strings.LastIndex(content, "\n\n"); i >= 0 {
		content = content[i+2:]
	}
	return author.ReplaceAllString(content, "")
}
