package tools

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"parlor/protocol/chat"
)

// orders is the operations of a document.
var orders = HTTP{OpenAPI: "testdata/orders.yaml", Headers: map[string]string{"X-Key": "secret"}, Approval: chat.ApprovalNever}

func registryOf(t *testing.T, list map[string]HTTP) *Registry {
	t.Helper()
	models := map[chat.ModelID]Model{"all": {Tools: []string{"*"}}, "orders": {Tools: []string{"orders/*"}}, "one": {Tools: []string{"orders/getOrder"}}, "none": {}}
	r, err := New(Options{HTTP: list, Model: func(m chat.ModelID) Model { return models[m] }})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Each operation with an operationId is a tool, whose schema refers to nothing.
func TestOpenAPI(t *testing.T) {
	r := registryOf(t, map[string]HTTP{"orders": orders})
	for model, want := range map[chat.ModelID]string{"all": "current_time orders/getOrder orders/putOrder", "orders": "orders/getOrder orders/putOrder", "one": "orders/getOrder", "none": "current_time"} {
		var names []string
		for _, tool := range r.Offered(model, nil) {
			names = append(names, tool.Name)
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("%s is offered %s, want %s", model, got, want)
		}
	}
	get, _ := r.byName("orders/getOrder")
	put, _ := r.byName("orders/putOrder")
	got := []string{get.Description, string(get.Schema), put.Description, string(put.Schema)}
	want := []string{
		"Returns an order.",
		`{"additionalProperties":false,"properties":{"X-Trace":{"type":"string"},"fields":{"items":{"type":"string"},"type":"array"},"id":{"description":"Of the order.","type":"string"},` +
			`"query_id":{"exclusiveMinimum":0,"type":["integer","null"]},"tags":{"items":{"type":"string"},"type":"array"}},"required":["id"],"type":"object"}`,
		"PUT https://eu.example.com/v1/orders/{id}",
		`{"additionalProperties":false,"properties":{"body":{"properties":{"customer":{"properties":{"name":{"type":"string"}},"type":"object"},"parent":{}},"required":["customer"],"type":"object"},` +
			`"id":{"description":"Of the order.","type":"string"}},"required":["id","body"],"type":"object"}`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := r.Check("all", nil, chat.ToolCall{Name: "orders/putOrder", Arguments: `{"id":"7","body":{}}`}); !strings.Contains(got, "customer") {
		t.Errorf("a body without what it needs: %q", got)
	}
}

// A call is a request with its arguments in their places.
func TestOpenAPIRequests(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %s %s %s %s", r.Method, r.RequestURI, r.Header.Get("X-Key"), r.Header.Get("X-Trace"), r.Header.Get("Idempotency-Key"), body)
	}))
	defer s.Close()
	h := orders
	h.URL = s.URL + "/base/"
	r := registryOf(t, map[string]HTTP{"orders": h})
	for _, test := range []struct{ tool, arguments, want string }{
		{"getOrder", `{"id":"a/b ?","query_id":3,"fields":["x","y&z"],"tags":["p","q"],"X-Trace":"t"}`, "GET /base/orders/a%2Fb%20%3F?fields=x&fields=y%26z&id=3&tags=p%2Cq secret t key "},
		{"getOrder", `{"id":"{id}"}`, "GET /base/orders/%7Bid%7D secret  key "},
		{"putOrder", `{"id":"7","body":{"customer":{"name":"Ann"}}}`, `PUT /base/orders/7 secret  key {"customer":{"name":"Ann"}}`},
		{"getOrder", `{"id":".."}`, "part of a path"},
		{"getOrder", `{"id":""}`, "part of a path"},
		{"getOrder", `{"id":"7","X-Trace":"a\r\nX-Key: b"}`, "cannot be reached"},
	} {
		got, err := r.Run(t.Context(), chat.ToolRun{Call: chat.ToolCall{Name: "orders/" + test.tool, Arguments: test.arguments}, Key: "key"})
		if err != nil {
			got = chat.AsError(err).Message
		}
		if got != test.want && (err == nil || !strings.Contains(got, test.want)) {
			t.Errorf("%s %s: got %q, want %q", test.tool, test.arguments, got, test.want)
		}
	}
}

// An error in a document is told with its place.
func TestBadOpenAPI(t *testing.T) {
	const head = "openapi: 3.0.3\ninfo: {title: T, version: '1'}\nservers: [{url: 'https://h'}]\n"
	const fine = "paths: {/a: {get: {operationId: a, responses: {'200': {description: D}}}}}\n"
	for name, test := range map[string]struct {
		document string
		change   func(*HTTP)
		says     string
	}{
		"no file":         {"", func(h *HTTP) { h.OpenAPI = "testdata/gone.yaml" }, "testdata/gone.yaml"},
		"no document":     {"[1, 2", nil, "document.yaml"},
		"swagger":         {"swagger: '2.0'\ninfo: {title: T, version: '1'}\npaths: {}\n", nil, "openapi"},
		"no paths":        {head, nil, "paths"},
		"no operation":    {head + "paths: {}\n", nil, "no operation"},
		"bad operation":   {head + "paths: {/a: {get: {operationId: a}}}\n", nil, "/a"},
		"twice":           {head + "paths: {/a: {get: {operationId: a, responses: {'200': {description: D}}}}, /b: {get: {operationId: a, responses: {'200': {description: D}}}}}\n", nil, `"a"`},
		"no parameter":    {head + "paths: {'/a/{id}': {get: {operationId: a, responses: {'200': {description: D}}}}}\n", nil, "id"},
		"leads nowhere":   {head + "paths: {/a: {get: {operationId: a, parameters: [{name: p, in: query, schema: {$ref: '#/components/schemas/Gone'}}], responses: {'200': {description: D}}}}}\n", nil, "Gone"},
		"another file":    {head + "paths: {/a: {get: {operationId: a, parameters: [{name: p, in: query, schema: {$ref: '/etc/passwd'}}], responses: {'200': {description: D}}}}}\n", nil, "/etc/passwd"},
		"no server":       {strings.Replace(head, "https://h", "/v1", 1) + fine, nil, "servers"},
		"not there":       {head + fine, func(h *HTTP) { h.Operations = []string{"b"} }, `no operation "b"`},
		"bad pattern":     {head + fine, func(h *HTTP) { h.Operations = []string{"["} }, "no pattern"},
		"two schemas":     {head + fine, func(h *HTTP) { h.Parameters = map[string]any{} }, "the document has"},
		"named, unusable": {head + "paths: {/a: {post: {operationId: a, requestBody: {required: true, content: {text/csv: {}}}, responses: {'200': {description: D}}}}}\n", func(h *HTTP) { h.Operations = []string{"a"} }, "POST /a (a): its body has to be text/csv"},
	} {
		h := HTTP{OpenAPI: filepath.Join(t.TempDir(), "document.yaml")}
		if err := os.WriteFile(h.OpenAPI, []byte(test.document), 0o600); err != nil {
			t.Fatal(err)
		}
		if test.change != nil {
			test.change(&h)
		}
		err := Validate(map[string]HTTP{"x": h})
		if err == nil || !strings.Contains(err.Error(), test.says) || !strings.HasPrefix(err.Error(), `tools["x"]: `) {
			t.Errorf("%s: %v, want %q in it", name, err, test.says)
		}
	}
}

// A document that grows without end when it is written out is refused.
func TestLargeOpenAPI(t *testing.T) {
	var b strings.Builder
	b.WriteString("openapi: 3.0.3\ninfo: {title: T, version: '1'}\nservers: [{url: 'https://h'}]\npaths: {/a: {post: {operationId: a, requestBody: {content: {application/json: {schema: {$ref: '#/components/schemas/S0'}}}}, responses: {'200': {description: D}}}}}\ncomponents:\n  schemas:\n")
	for i := range 30 {
		fmt.Fprintf(&b, "    S%d: {type: object, properties: {a: {$ref: '#/components/schemas/S%d'}, b: {$ref: '#/components/schemas/S%d'}}}\n", i, i+1, i+1)
	}
	b.WriteString("    S30: {type: string}\n")
	h := HTTP{OpenAPI: filepath.Join(t.TempDir(), "large.yaml"), Operations: []string{"a"}}
	if err := os.WriteFile(h.OpenAPI, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Validate(map[string]HTTP{"x": h}); err == nil || !strings.Contains(err.Error(), "too large") {
		t.Errorf("got %v", err)
	}
}
