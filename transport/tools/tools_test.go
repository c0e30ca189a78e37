package tools

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"parlor/protocol/chat"
)

// newRegistry has two tools of a server beside one behind a URL, and models that differ in
// what they may call.
func newRegistry(t *testing.T, h HTTP) *Registry {
	t.Helper()
	models := map[chat.ModelID]Model{
		"all":     {Tools: []string{"*", "notes/*"}},
		"one":     {Tools: []string{"notes/read"}},
		"none":    {Tools: []string{}},
		"pages":   {Tools: []string{"client/*"}},
		"draws":   {Tools: []string{"draw"}},
		"careful": {Tools: []string{"*"}, Approval: chat.ApprovalAlways},
	}
	r, err := New(Options{
		HTTP:     map[string]HTTP{"pay": h},
		Settings: map[string]Setting{"notes/read": {Approval: chat.ApprovalNever}, "pay": {Idempotent: true, Timeout: Duration(time.Second)}},
		Model:    func(id chat.ModelID) Model { return models[id] },
	})
	if err != nil {
		t.Fatal(err)
	}
	r.Put("notes", []Tool{{Tool: chat.Tool{Name: "notes/write"}}, {Tool: chat.Tool{Name: "notes/read"}}})
	return r
}

var pay = HTTP{URL: "http://127.0.0.1:1/", Parameters: map[string]any{
	"type": "object", "properties": map[string]any{"sum": map[string]any{"type": "integer"}}, "required": []any{"sum"},
}}

func TestOffered(t *testing.T) {
	r := newRegistry(t, pay)
	for model, want := range map[chat.ModelID]string{
		"all": "current_time notes/read notes/write pay", "one": "notes/read", "none": "", "careful": "current_time pay", "unknown": "current_time",
	} {
		var names []string
		for _, tool := range r.Offered(model, nil) {
			names = append(names, tool.Name)
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("%s: got %s, want %s", model, got, want)
		}
	}
	r.Put("pay", []Tool{{Tool: chat.Tool{Name: "pay"}}, {Tool: chat.Tool{Name: "pay/twice"}}})
	if got, _ := r.byName("pay"); got.server != "" || len(r.Offered("careful", nil)) != 2 {
		t.Error("a server has taken the place of a tool")
	}
	r.Put("notes", nil)
	if n := len(r.Offered("one", nil)); n != 0 {
		t.Errorf("a server that is gone still has %d tools", n)
	}
}

func TestCheck(t *testing.T) {
	r := newRegistry(t, pay)
	for _, test := range []struct {
		model           chat.ModelID
		name, arguments string
		says            string // "": it may run
	}{
		{"all", "pay", `{"sum":1}`, ""},
		{"all", "pay", `{"sum":"1"}`, "sum"},
		{"all", "pay", `{}`, "sum"},
		{"all", "pay", `[1]`, "one JSON object"},
		{"all", "pay", `null`, "one JSON object"},
		{"all", "pay", `{"sum":1}{"sum":2}`, "one JSON object"},
		{"all", "search", `{}`, "The tools are: current_time, notes_read, notes_write, pay"},
		{"one", "pay", `{"sum":1}`, "The tools are: notes_read"},
		{"all", "notes/read", `{"anything":1}`, ""}, // without a schema its server checks
	} {
		got := r.Check(test.model, nil, chat.ToolCall{Name: test.name, Arguments: test.arguments})
		if test.says == "" && got != "" || !strings.Contains(got, test.says) {
			t.Errorf("%s calls %s %s: got %q, want %q in it", test.model, test.name, test.arguments, got, test.says)
		}
	}
}

// A page's tools are offered to models that name them, beside those of the server, whose
// names they may not have.
func TestPageTools(t *testing.T) {
	r := newRegistry(t, pay)
	page := []chat.Tool{
		{Name: "zoom", Schema: []byte(`{"type":"object","required":["by"]}`), OnPage: true}, {Name: "pay", OnPage: true}, {Name: "draw", OnPage: true},
	}
	for model, want := range map[chat.ModelID]string{
		"all": "current_time draw notes/read notes/write pay zoom", "one": "notes/read", "pages": "draw zoom", "draws": "draw", "unknown": "current_time",
	} {
		var names []string
		for _, tool := range r.Offered(model, page) {
			names = append(names, tool.Name)
			if tool.Name == "pay" && tool.OnPage {
				t.Error("a page has taken the place of a tool")
			}
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("%s: got %s, want %s", model, got, want)
		}
	}
	if got := r.Check("all", page, chat.ToolCall{Name: "zoom", Arguments: `{}`}); !strings.Contains(got, "by") {
		t.Errorf("wrong arguments: %q", got)
	}
	if got := r.Check("all", page, chat.ToolCall{Name: "zoom", Arguments: `{"by":2}`}); got != "" {
		t.Errorf("right arguments: %q", got)
	}
	if got := r.Check("all", nil, chat.ToolCall{Name: "zoom", Arguments: `{"by":2}`}); got == "" {
		t.Error("a page's tool is known without the page")
	}
	if a, b := r.Approval("all", chat.ToolCall{Name: "zoom", OnPage: true}), r.Approval("careful", chat.ToolCall{Name: "zoom", OnPage: true}); a != chat.ApprovalNever || b != chat.ApprovalAlways {
		t.Errorf("approvals %s, %s", a, b)
	}
}

// The guide of a tool names it as models know it. What the operator says in the settings wins.
func TestGuides(t *testing.T) {
	h := pay
	h.Guide = "Pay late."
	r := newRegistry(t, h)
	r.opts.Settings["notes/read"] = Setting{Guide: "Read first."}
	guides := func() (all []string) {
		for _, tool := range r.Offered("all", nil) {
			all = append(all, tool.Guide)
		}
		return all
	}
	if diff := cmp.Diff([]string{"", "notes_read: Read first.", "", "pay: Pay late."}, guides()); diff != "" {
		t.Errorf("guides (-want +got):\n%s", diff)
	}
	s := r.opts.Settings["pay"]
	s.Guide = "Pay never."
	r.opts.Settings["pay"] = s
	if got := guides()[3]; got != "pay: Pay never." {
		t.Errorf("got %q", got)
	}
	long := strings.Repeat("x", MaxGuide+1)
	h.Guide = long
	for _, err := range []error{Validate(map[string]HTTP{"pay": h}), ValidateSettings(map[string]Setting{"pay": {Guide: long}})} {
		if err == nil || !strings.Contains(err.Error(), `["pay"]: guide: must be at most`) {
			t.Errorf("a long guide: %v", err)
		}
	}
}

func TestAllows(t *testing.T) {
	r := newRegistry(t, pay)
	r.opts.Settings["notes/read"] = Setting{Users: []chat.UserID{"alice"}}
	r.opts.Settings["notes/write"] = Setting{Users: []chat.UserID{}}
	for name, want := range map[string][2]bool{"notes/read": {true, false}, "notes/write": {false, false}, "pay": {true, true}, "unknown": {true, true}} {
		if got := [2]bool{r.Allows("alice", name), r.Allows("bob", name)}; got != want {
			t.Errorf("%s: alice and bob %v, want %v", name, got, want)
		}
	}
}

// TestRequestedTools: what a program brings with its request is offered by every model, and checked.
func TestRequestedTools(t *testing.T) {
	r := newRegistry(t, pay)
	brought := chat.RequestedTools([]chat.OfferedTool{{Name: "look", Parameters: []byte(`{"type":"object","required":["n"]}`)}, {Name: "pay"}})
	for _, model := range []chat.ModelID{"none", "one", "all"} {
		var names []string
		for _, tool := range r.Offered(model, brought) {
			if tool.OnPage {
				names = append(names, tool.Name)
			}
		}
		if !slices.Equal(names, []string{"look"}) {
			t.Errorf("%s is offered %q", model, names)
		}
		if wrong := r.Check(model, brought, chat.ToolCall{Name: "look", Arguments: `{}`}); wrong == "" {
			t.Errorf("%s: arguments that do not fit are taken", model)
		}
	}
	if refusal := r.Admit(brought); refusal == nil || refusal.Code != chat.CodeInvalid {
		t.Errorf("a program takes the name of a tool of the server: %v", refusal)
	}
}

func TestAdmit(t *testing.T) {
	r := newRegistry(t, pay)
	many := make([]chat.Tool, 33)
	for i := range many {
		many[i].Name = "t" + strings.Repeat("x", i)
	}
	for _, test := range []struct {
		tools []chat.Tool
		code  chat.Code
		says  string
	}{
		{[]chat.Tool{{Name: "a"}, {Name: "b-c_1"}}, "", ""},
		{[]chat.Tool{{Name: "a"}, {Name: "a"}}, chat.CodeInvalid, "tools[1]"},
		{[]chat.Tool{{Name: ""}}, chat.CodeInvalid, "a name"},
		{[]chat.Tool{{Name: "1a"}}, chat.CodeInvalid, "a name"},
		{[]chat.Tool{{Name: "a/b"}}, chat.CodeInvalid, "a name"},
		{[]chat.Tool{{Name: strings.Repeat("a", 65)}}, chat.CodeInvalid, "a name"},
		{[]chat.Tool{{Name: "pay"}}, chat.CodeInvalid, "of its own"},
		{[]chat.Tool{{Name: "notes_read"}}, chat.CodeInvalid, "of its own"}, // as models know it
		{[]chat.Tool{{Name: "a", Schema: []byte(`{"type":"nonsense"}`)}}, chat.CodeInvalid, "no JSON Schema"},
		{[]chat.Tool{{Name: "a", Schema: []byte(`{"$ref":"http://127.0.0.1/x"}`)}}, chat.CodeInvalid, "no JSON Schema"},
		{many, chat.CodeTooLarge, "32 tools"},
		{[]chat.Tool{{Name: "a", Description: strings.Repeat("x", 32<<10)}}, chat.CodeTooLarge, "bytes"},
	} {
		got := r.Admit(test.tools)
		if test.code == "" && got == nil {
			continue
		}
		if got == nil || got.Code != test.code || !strings.Contains(got.Message, test.says) {
			t.Errorf("%.100v: got %v, want %s, %q", test.tools, got, test.code, test.says)
		}
	}
}

// The stricter one of the model's approval and the tool's counts. What nobody has said
// anything of is asked for; what is built in is not.
func TestApproval(t *testing.T) {
	r := newRegistry(t, pay)
	got := map[string]chat.Approval{}
	for _, name := range []string{"current_time", "notes/read", "notes/write", "pay", "gone"} {
		got[name] = r.Approval("all", chat.ToolCall{Name: name})
	}
	want := map[string]chat.Approval{"current_time": chat.ApprovalNever, "notes/read": chat.ApprovalNever, "notes/write": chat.ApprovalAsk, "pay": chat.ApprovalAsk, "gone": chat.ApprovalAsk}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("approvals (-want +got):\n%s", diff)
	}
	if a := r.Approval("careful", chat.ToolCall{Name: "current_time"}); a != chat.ApprovalAlways {
		t.Errorf("of a careful model: %s", a)
	}
	if !r.Repeatable("pay") || r.Repeatable("notes/read") {
		t.Error("only pay may be repeated")
	}
}

// TestHTTP: what a tool behind a URL is asked, and what becomes of what it answers.
func TestHTTP(t *testing.T) {
	var mu sync.Mutex
	var asked []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		asked = append(asked, r.Header.Get("Idempotency-Key")+" "+r.Header.Get("X-Key")+" "+string(body))
		mu.Unlock()
		switch string(body) {
		case `{"sum":1}`:
			io.WriteString(w, "paid\x00\x1b[31m, caf\u00e9\n")
		case `{"sum":2}`:
			http.Error(w, "no \x1b[31mmoney"+strings.Repeat("!", 1<<20), http.StatusPaymentRequired)
		case `{"sum":3}`:
			http.Redirect(w, r, "/elsewhere", http.StatusFound)
		default:
			<-r.Context().Done()
		}
	}))
	defer server.Close()
	h := pay
	h.URL, h.Headers = server.URL, map[string]string{"X-Key": "secret"}
	r := newRegistry(t, h)
	for arguments, want := range map[string]string{
		`{"sum":1}`: "paid[31m, café\n", `{"sum":2}`: "the tool answered 402: no [31mmoney!!", `{"sum":3}`: "the tool answered 302", `{"sum":4}`: "did not answer within 1s",
	} {
		got, err := r.Run(t.Context(), chat.ToolRun{Call: chat.ToolCall{Name: "pay", Arguments: arguments}, Key: "key"})
		if err != nil {
			got = chat.AsError(err).Message
		}
		if !strings.Contains(got, want) || len(got) > maxError+100 {
			t.Errorf("%s: got %.200q of %d bytes, want %q", arguments, got, len(got), want)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if len(asked) != 4 {
		t.Errorf("asked %q", asked)
	}
	for _, a := range asked {
		if !strings.HasPrefix(a, "key secret {") {
			t.Errorf("asked %q", a)
		}
	}
}

func TestHeadersFromTheEnvironment(t *testing.T) {
	h := HTTP{URL: "http://h", Headers: map[string]string{"Authorization": "Bearer ${TOKEN}"}}
	env := map[string]string{"TOKEN": "secret"}
	lookup := func(name string) (string, bool) { v, ok := env[name]; return v, ok }
	if got, err := h.with(lookup); err != nil || got.Headers["Authorization"] != "Bearer secret" {
		t.Errorf("got %v, %v", got.Headers, err)
	}
	delete(env, "TOKEN")
	if _, err := h.with(lookup); err == nil || !strings.Contains(err.Error(), "TOKEN") {
		t.Errorf("got %v", err)
	}
}

// TestSigned: a request shows with each secret that parlor has made it, for which call, and when.
func TestSigned(t *testing.T) {
	const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" // that of the example of Standard Webhooks
	var signed []string
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		id, at := r.Header.Get("webhook-id"), r.Header.Get("webhook-timestamp")
		key, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
		mac := hmac.New(sha256.New, key)
		fmt.Fprintf(mac, "%s.%s.%s", id, at, body)
		want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
		seconds, _ := strconv.ParseInt(at, 10, 64)
		all := strings.Fields(r.Header.Get("webhook-signature"))
		signed = append(signed, fmt.Sprintf("%s %d %t %t", id, len(all), slices.Contains(all, want), time.Since(time.Unix(seconds, 0)).Abs() < time.Hour))
	}))
	defer server.Close()
	h := pay
	h.URL, h.SecretVar = server.URL, "PAY_SECRET"
	for value, want := range map[string]string{secret: "call_1 1 true true", secret + " whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA": "call_1 2 true true", "": "PAY_SECRET", "whsec_c2hvcnQ=": "PAY_SECRET"} {
		signed = nil
		r, err := New(Options{HTTP: map[string]HTTP{"pay": h}, LookupEnv: func(string) (string, bool) { return value, true }, Model: func(chat.ModelID) Model { return Model{} }})
		if err != nil {
			if !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "c2hvcnQ") {
				t.Errorf("%q: %v", value, err)
			}
			continue
		}
		_, err = r.Run(t.Context(), chat.ToolRun{Call: chat.ToolCall{Name: "pay", Arguments: `{"sum":1}`}, Key: "call_1"})
		if err != nil || !slices.Equal(signed, []string{want}) {
			t.Errorf("%q: %v, %v", value, signed, err)
		}
	}
	h.SecretVar = ""
	if _, err := newRegistry(t, h).Run(t.Context(), chat.ToolRun{Call: chat.ToolCall{Name: "pay", Arguments: `{"sum":1}`}}); err != nil || signed[len(signed)-1] != " 0 false false" {
		t.Errorf("without a secret: %q, %v", signed, err)
	}
}

func TestCurrentTime(t *testing.T) {
	r := newRegistry(t, pay)
	for arguments, want := range map[string]string{`{}`: "UTC", `{"time_zone":"Asia/Kolkata"}`: "+05:30"} {
		if got, err := r.Run(context.Background(), chat.ToolRun{Call: chat.ToolCall{Name: currentTime, Arguments: arguments}}); err != nil || !strings.Contains(got, want) {
			t.Errorf("%s: got %q, %v", arguments, got, err)
		}
	}
	if _, err := r.Run(context.Background(), chat.ToolRun{Call: chat.ToolCall{Name: currentTime, Arguments: `{"time_zone":"Nowhere"}`}}); chat.AsError(err).Code != chat.CodeInvalid {
		t.Errorf("got %v", err)
	}
}
