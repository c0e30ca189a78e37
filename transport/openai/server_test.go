package openai

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"parlor/protocol/chat"
	wire "parlor/protocol/openai"
	"parlor/transport/live"
)

const (
	question = `{"model":"eliza","messages":[{"role":"user","content":"hi"}]}`
	streamed = `{"model":"eliza","messages":[{"role":"user","content":"hi"}],"stream":true,"stream_options":{"include_usage":true}}`
	response = `{"model":"eliza","input":"hi"}`
)

// limiter refuses everything.
type limiter struct{}

func (limiter) Wait(context.Context, chat.UserID, int) {}

func (limiter) Take(chat.UserID, string, string, int) *chat.Error {
	e := chat.Refuse(chat.CodeRateLimited, "slow down")
	e.RetryAfter = 2
	return e
}

func TestErrors(t *testing.T) {
	for name, test := range map[string]struct {
		method, path, body string
		header             []string
		options            Options
		err                error // of Say
		status             int
		kind, code, param  string
		shouldRetry        string
	}{
		"no key":             {method: "GET", path: "/models", header: []string{"Authorization", ""}, status: 401, kind: "invalid_request_error", code: "invalid_api_key"},
		"no endpoint":        {method: "GET", path: "/files", status: 404, kind: "invalid_request_error"},
		"no method":          {method: "PUT", path: "/models", status: 405, kind: "invalid_request_error"},
		"no model":           {method: "GET", path: "/models/none", status: 404, kind: "invalid_request_error", code: "model_not_found", param: "model"},
		"too often":          {method: "GET", path: "/models", options: Options{Limits: limiter{}}, status: 429, kind: "rate_limit_exceeded", code: "rate_limit_exceeded"},
		"too large":          {method: "POST", path: "/responses", body: response, options: Options{MaxBytes: 9}, status: 413, kind: "invalid_request_error"},
		"no JSON":            {method: "POST", path: "/responses", body: "hi", status: 400, kind: "invalid_request_error"},
		"wrong field":        {method: "POST", path: "/chat/completions", body: `{"model":"eliza","messages":7}`, status: 400, kind: "invalid_request_error", param: "messages"},
		"completion, model":  {method: "POST", path: "/chat/completions", body: strings.Replace(question, "eliza", "none", 1), status: 404, kind: "invalid_request_error", code: "model_not_found", param: "model"},
		"response, model":    {method: "POST", path: "/responses", body: `{"model":"none","input":"hi"}`, status: 404, kind: "invalid_request_error", code: "model_not_found", param: "model"},
		"alone, model":       {method: "POST", path: "/responses", body: `{"model":"none","input":"hi","store":false}`, status: 404, kind: "invalid_request_error", code: "model_not_found", param: "model"},
		"no conversation":    {method: "POST", path: "/responses", body: `{"input":"hi","conversation":"conv_none"}`, status: 404, kind: "invalid_request_error"},
		"no chat":            {method: "POST", path: "/chat/completions", body: question, header: []string{ChatHeader, "none"}, status: 404, kind: "invalid_request_error"},
		"no previous":        {method: "POST", path: "/responses", body: `{"input":"hi","previous_response_id":"resp_3_t_none"}`, status: 400, kind: "invalid_request_error", code: "previous_response_not_found", param: "previous_response_id"},
		"no response":        {method: "GET", path: "/responses/resp_3_t_none", status: 404, kind: "invalid_request_error"},
		"no id":              {method: "GET", path: "/responses/none", status: 404, kind: "invalid_request_error"},
		"wrong number":       {method: "GET", path: "/responses/resp_3_t_none?stream=true&starting_after=x", status: 400, kind: "invalid_request_error", param: "starting_after"},
		"busy":               {method: "POST", path: "/responses", body: response, err: chat.Refuse(chat.CodeBusy, "one is talking"), status: 409, kind: "invalid_request_error", code: "busy", shouldRetry: "false"},
		"no budget":          {method: "POST", path: "/responses", body: response, err: chat.Refuse(chat.CodeBudgetExceeded, "used up"), status: 429, kind: "insufficient_quota", code: "insufficient_quota", shouldRetry: "false"},
		"viewer":             {method: "POST", path: "/responses", body: response, err: chat.Refuse(chat.CodeForbidden, "you may read"), status: 403, kind: "invalid_request_error"},
		"an internal secret": {method: "POST", path: "/responses", body: response, err: errors.New("/secret/path"), status: 500, kind: "server_error", code: "internal"},
		"an item":            {method: "DELETE", path: "/conversations/conv_none/items/msg_x", status: 404, kind: "invalid_request_error"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(test.options)
			r.world.err = test.err
			answer := r.ask(t.Context(), test.method, test.path, test.body, test.header...)
			var body struct {
				Error struct {
					Message, Type string
					Code, Param   *string
				}
			}
			if err := json.Unmarshal(answer.Body.Bytes(), &body); err != nil {
				t.Fatalf("%v: %s", err, answer.Body)
			}
			got := func(s *string) string {
				if s == nil {
					return ""
				}
				return *s
			}
			if e := body.Error; answer.Code != test.status || e.Type != test.kind || got(e.Code) != test.code || got(e.Param) != test.param || e.Message == "" {
				t.Errorf("got %d %s", answer.Code, answer.Body)
			}
			h := answer.Header()
			if strings.Contains(answer.Body.String(), "/secret") || h.Get("X-Should-Retry") != test.shouldRetry || !strings.HasPrefix(h.Get("X-Request-Id"), "req_") {
				t.Errorf("got %v %s", h, answer.Body)
			}
			if test.status == 429 && test.shouldRetry == "" && (h.Get("Retry-After") != "2" || h.Get("Retry-After-Ms") != "2000") {
				t.Errorf("retry-after: %v", h)
			}
		})
	}
}

func TestModels(t *testing.T) {
	r := newRig(Options{})
	if got := r.ask(t.Context(), "GET", "/models", "").Body.String(); !strings.Contains(got, `"id":"eliza","object":"model"`) {
		t.Errorf("got %s", got)
	}
	if got := r.ask(t.Context(), "GET", "/models/org%2Fmodel:free", ""); got.Code != 200 || !strings.Contains(got.Body.String(), `"org/model:free"`) {
		t.Errorf("got %d %s", got.Code, got.Body)
	}
}

func TestAlone(t *testing.T) {
	alone := `{"model":"eliza","store":false,"instructions":"be brief","max_output_tokens":9,"input":[{"role":"user","content":"hi"}]`
	for name, test := range map[string]struct {
		path, body string
		has        []string
		messages   int
	}{
		"completion":        {"/chat/completions", question, []string{`"content":"hello"`, `"finish_reason":"stop"`, `"total_tokens":3`}, 1},
		"completion stream": {"/chat/completions", streamed, []string{`{"role":"assistant","content":""}`, `{"content":"he"}`, `{"content":"llo"}`, `"choices":[],"usage":{"prompt_tokens":1`, "data: [DONE]\n\n"}, 1},
		"response":          {"/responses", alone + `}`, []string{`"status":"completed"`, `"text":"hello"`, `"store":false`, `"instructions":"be brief"`}, 2},
		"response stream":   {"/responses", alone + `,"stream":true}`, []string{"event: response.created\n", `"delta":"he"`, `"sequence_number":8,"item_id"`, "event: response.completed\n"}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(Options{})
			got := r.ask(t.Context(), "POST", test.path, test.body)
			for _, want := range test.has {
				if !strings.Contains(got.Body.String(), want) {
					t.Errorf("no %s in %d %s", want, got.Code, got.Body)
				}
			}
			if len(r.ai.asked) != 1 || len(r.ai.asked[0].Messages) != test.messages || len(r.world.chats) > 0 {
				t.Errorf("asked %+v, chats %v", r.ai.asked, r.world.chats)
			}
			r.ai.words, r.ai.err = nil, chat.Refuse(chat.CodeProviderError, "away")
			if got := r.ask(t.Context(), "POST", test.path, test.body); got.Code != 502 || !strings.Contains(got.Body.String(), `"message":"away"`) {
				t.Errorf("failed at once: %d %s", got.Code, got.Body)
			}
			r.ai.words = []string{"he"}
			got = r.ask(t.Context(), "POST", test.path, test.body)
			if streams := strings.HasSuffix(name, "stream"); streams != (got.Code == 200) || !strings.Contains(got.Body.String(), "away") || strings.Contains(got.Body.String(), "[DONE]") {
				t.Errorf("failed in the middle: %d %s", got.Code, got.Body)
			}
		})
	}
}

// A model that calls the caller's tools ends the answer with that, and is asked with them.
func TestAloneCalls(t *testing.T) {
	tools := `,"tools":[{"type":"function","name":"add","function":{"name":"add"}}]`
	completion := `{"model":"eliza","messages":[{"role":"user","content":"hi"}]` + tools
	response := `{"model":"eliza","store":false,"input":"hi"` + tools
	for name, test := range map[string]struct {
		path, body string
		has        []string
	}{
		"completion":        {"/chat/completions", completion + `}`, []string{`"content":null`, `"tool_calls":[{"id":"call_1"`, `"finish_reason":"tool_calls"`}},
		"completion stream": {"/chat/completions", completion + `,"stream":true}`, []string{`"tool_calls":[{"index":0,"id":"call_1"`, `"finish_reason":"tool_calls"`, "[DONE]"}},
		"response":          {"/responses", response + `}`, []string{`"status":"completed"`, `"output":[{"id":"fc_abcdefghi","type":"function_call"`, `"tools":[{"type":"function"`}},
		"response stream":   {"/responses", response + `,"stream":true}`, []string{"response.function_call_arguments.delta", `"output_index":0`, "event: response.completed\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(Options{})
			r.ai.words, r.ai.calls = nil, []chat.ToolCall{{ID: "abcdefghi", Given: "call_1", Name: "add", Arguments: "{}"}}
			got := r.ask(t.Context(), "POST", test.path, test.body)
			for _, want := range test.has {
				if !strings.Contains(got.Body.String(), want) {
					t.Errorf("no %s in %d %s", want, got.Code, got.Body)
				}
			}
			if len(r.ai.asked) != 1 || len(r.ai.asked[0].Tools) != 1 {
				t.Errorf("asked %+v", r.ai.asked)
			}
		})
	}
}

// A stream whose model thinks for long begins nevertheless, and shows signs of life.
func TestKeepAlive(t *testing.T) {
	for _, path := range []string{"/chat/completions", "/responses"} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(Options{KeepAlive: 10 * time.Second})
			r.ai.wait = 35 * time.Second
			body := streamed
			if path == "/responses" {
				body = `{"model":"eliza","input":"hi","store":false,"stream":true}`
			}
			got := r.ask(t.Context(), "POST", path, body)
			if n := strings.Count(got.Body.String(), comment); n != 2 || !strings.Contains(got.Body.String(), "llo") {
				t.Errorf("%d comments: %s", n, got.Body)
			}
		})
	}
}

// So does one of a chat. If it fails before that, it fails as a request.
func TestKeepAliveInChat(t *testing.T) {
	for _, test := range []struct {
		wait             time.Duration
		status, comments int
	}{{5 * time.Second, 404, 0}, {25 * time.Second, 200, 1}} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(Options{KeepAlive: 10 * time.Second})
			r.world.chats = []chat.Info{{ID: "r", Room: chat.ID("r").Room()}}
			r.world.follow = func(context.Context, func(chat.Told) error) error {
				time.Sleep(test.wait)
				return chat.Refuse(chat.CodeNotFound, "gone")
			}
			got := r.ask(t.Context(), "POST", "/chat/completions", streamed, ChatHeader, "r")
			if n := strings.Count(got.Body.String(), comment); got.Code != test.status || n != test.comments || !strings.Contains(got.Body.String(), `"gone"`) {
				t.Errorf("after %s: %d, %d comments: %s", test.wait, got.Code, n, got.Body)
			}
		})
	}
}

func TestResponse(t *testing.T) {
	r := newRig(Options{TurnPolicy: chat.PolicySteer})
	var first, got wire.Response
	decode := func(body string, into *wire.Response) {
		t.Helper()
		answer := r.ask(t.Context(), "POST", "/responses", body)
		if err := json.Unmarshal(answer.Body.Bytes(), into); err != nil || answer.Code != 200 {
			t.Fatalf("%d %s, %v", answer.Code, answer.Body, err)
		}
	}
	decode(`{"model":"eliza","input":"hi","instructions":"be brief"}`, &first)
	if first.Status != "completed" || *first.Instructions != "be brief" || len(first.Output) != 1 {
		t.Errorf("got %+v", first)
	}
	decode(`{"input":"more","instructions":"be brief","previous_response_id":"`+first.ID+`","background":true}`, &got)
	if answer := r.ask(t.Context(), "POST", "/responses", `{"input":"more","instructions":"be long","conversation":"`+got.Conversation.ID+`"}`); answer.Code != 400 || !strings.Contains(answer.Body.String(), `"instructions"`) {
		t.Errorf("with other instructions: %d %s", answer.Code, answer.Body)
	}
	if got.Conversation.ID != first.Conversation.ID || got.ID == first.ID {
		t.Errorf("got %+v", got)
	}
	if said := r.world.said; len(said) != 2 || said[0].Policy != chat.PolicyQueue || !*said[0].Answer || said[0].Addressed != "eliza" || said[1].Addressed != "" {
		t.Errorf("said %+v", said)
	}
	var branch wire.Response
	decode(`{"input":"x","previous_response_id":"`+first.ID+`"}`, &branch)
	if said := r.world.said; "msg_"+string(said[2].After) != itemID(first) || said[1].After != "" {
		t.Errorf("from an old response, whose answer is %v: said %+v", itemID(first), said)
	}
	for path, want := range map[string]string{
		"?stream=true":                   "event: response.created\n",
		"?stream=true&starting_after=6":  "event: response.output_text.done\n",
		"?stream=true&starting_after=10": "",
		"?stream=true&starting_after=11": `"param":"starting_after"`,
		"/input_items":                   `"text":"hi"`,
	} {
		answer := r.ask(t.Context(), "GET", "/responses/"+first.ID+path, "")
		if !strings.HasPrefix(answer.Body.String(), want) && !strings.Contains(answer.Body.String(), want) || want == "" && answer.Body.Len() > 0 {
			t.Errorf("%s: %d %s", path, answer.Code, answer.Body)
		}
	}
	if answer := r.ask(t.Context(), "POST", "/responses/"+first.ID+"/cancel", ""); answer.Code != 200 || !strings.Contains(answer.Body.String(), `"status":"completed"`) {
		t.Errorf("cancelled after its end: %d %s", answer.Code, answer.Body)
	}
	if answer := r.ask(t.Context(), "DELETE", "/responses/"+first.ID, ""); answer.Code != 400 {
		t.Errorf("deleted out of a conversation: %d %s", answer.Code, answer.Body)
	}
}

// itemID returns the id of the first item of a response that was decoded.
func itemID(r wire.Response) any {
	item, _ := r.Output[0].(map[string]any)
	return item["id"]
}

// A stream that cannot go on is reset, unless the client can be told why.
func TestStreamEnds(t *testing.T) {
	begin := func(tell func(chat.Told) error, more ...chat.Notice) error {
		turn := chat.TurnID("t")
		for _, n := range append([]chat.Notice{chat.Record{Seq: 3, Event: chat.TurnQueued{TurnID: turn}}}, more...) {
			if err := tell(chat.Told{Notice: n, Encoded: new(wire.Encode).Encode("", n)}); err != nil {
				return err
			}
		}
		return nil
	}
	for name, test := range map[string]struct {
		follow func(ctx context.Context, tell func(chat.Told) error) error
		reset  bool
		has    string
	}{
		"the chat is deleted": {func(_ context.Context, tell func(chat.Told) error) error {
			return errors.Join(begin(tell), chat.Refuse(chat.CodeNotFound, "this chat was deleted"))
		}, false, "event: error\ndata: {\"type\":\"error\",\"sequence_number\":0,\"code\":null,\"message\":\"this chat was deleted\""},
		"the room is out of service": {func(_ context.Context, tell func(chat.Told) error) error {
			return begin(tell, chat.Failure{Error: chat.Refuse(chat.CodeQuarantined, "it failed")})
		}, false, `"code":"quarantined"`},
		"refused at once": {func(context.Context, func(chat.Told) error) error {
			return chat.Refuse(chat.CodeStorageUnavailable, "full")
		}, false, `"storage_unavailable"`},
		"signed out": {func(ctx context.Context, tell func(chat.Told) error) error {
			_ = begin(tell)
			<-ctx.Done()
			return context.Cause(ctx)
		}, true, ""},
		"a gap": {func(_ context.Context, tell func(chat.Told) error) error {
			piece := &wire.Piece{Turn: chat.Turn{ID: "t"}, FromBytes: 5, ToBytes: 6, Text: "x"}
			return errors.Join(begin(tell), tell(chat.Told{Encoded: piece}))
		}, true, ""},
		"a panic": {func(_ context.Context, tell func(chat.Told) error) error { _ = begin(tell); panic("oops") }, true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var over func()
			r := newRig(Options{Streams: live.New(live.Options{Watch: func(_ chat.SignIn, ended func()) func() { over = ended; return func() {} }})})
			r.world.follow = func(ctx context.Context, tell func(chat.Told) error) error {
				if name == "signed out" {
					time.AfterFunc(10*time.Millisecond, over)
				}
				return test.follow(ctx, tell)
			}
			r.world.turn = "t"
			got := r.ask(t.Context(), "POST", "/responses", `{"model":"eliza","input":"hi","stream":true}`)
			switch {
			case test.reset != (got == nil):
				t.Errorf("reset: %v", got == nil)
			case !test.reset && !strings.Contains(got.Body.String(), test.has):
				t.Errorf("got %d %s", got.Code, got.Body)
			}
		})
	}
}

func TestPanic(t *testing.T) {
	r := newRig(Options{})
	r.world.sayHook = func(context.Context) { panic("oops") }
	if got := r.ask(t.Context(), "POST", "/responses", response); got.Code != http.StatusInternalServerError || strings.Contains(got.Body.String(), "oops") {
		t.Errorf("got %d %s", got.Code, got.Body)
	}
}

// A conversation goes on behind the response that is named, in whichever branch that is.
func TestBranches(t *testing.T) {
	r := newRig(Options{})
	var first, second wire.Response
	for i, into := range []*wire.Response{&first, &second} {
		body := `{"input":"hi"}`
		if i > 0 {
			body = `{"input":"more","previous_response_id":"` + first.ID + `"}`
		}
		if answer := r.ask(t.Context(), "POST", "/responses", body); json.Unmarshal(answer.Body.Bytes(), into) != nil || answer.Code != 200 {
			t.Fatalf("%d %s", answer.Code, answer.Body)
		}
	}
	id, _ := wire.ParseResponseID(second.ID)
	n := 0
	goOn := func() chat.MessageID {
		n++
		body := fmt.Sprintf(`{"input":"even more %d","previous_response_id":%q,"background":true}`, n, second.ID)
		if got := r.ask(t.Context(), "POST", "/responses", body); got.Code != 200 {
			t.Errorf("%d %s", got.Code, got.Body)
		}
		return r.world.said[len(r.world.said)-1].After
	}
	// Somebody goes back to what was before the second response, and then to that.
	r.world.add(id.Chat.Room(), chat.BranchSelected{After: id.Seq - 2, From: id.Seq - 1})
	if got := goOn(); "msg_"+string(got) != itemID(second) {
		t.Errorf("from a response of another branch: after %q", got)
	}
	r.world.records[id.Chat.Room()] = r.world.records[id.Chat.Room()][:id.Seq+3]
	last := uint64(len(r.world.records[id.Chat.Room()]))
	r.world.add(id.Chat.Room(), chat.BranchSelected{After: last - 1, From: id.Seq - 1})
	if got := goOn(); got != "" {
		t.Errorf("from a response of the current branch: after %q", got)
	}
}

// A chat that has two answers to one message is not deleted with one of them.
func TestDeleteAnswerGivenAnew(t *testing.T) {
	r := newRig(Options{})
	var first wire.Response
	if answer := r.ask(t.Context(), "POST", "/responses", `{"input":"hi"}`); json.Unmarshal(answer.Body.Bytes(), &first) != nil {
		t.Fatalf("%d %s", answer.Code, answer.Body)
	}
	id, _ := wire.ParseResponseID(first.ID)
	r.world.add(id.Chat.Room(), chat.TurnQueued{TurnID: "another", FirstSeq: 5})
	if answer := r.ask(t.Context(), "DELETE", "/responses/"+first.ID, ""); answer.Code != 400 {
		t.Errorf("deleted: %d %s", answer.Code, answer.Body)
	}
}
