// Package apitest compares what a server answers with the description of its API.
//
//	openapi.json → Contract → Covers(mux)             every route is described, and no other
//	                        → Check(request, answer)  an answer has its status, its type and its fields
//	                        → AllAsked()              each route was asked for
package apitest

import (
	"bytes"
	"fmt"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// A Contract is a description in OpenAPI 3.1.
type Contract struct {
	document   map[string]any
	operations map[string]operation // by the pattern of [http.ServeMux] that has to serve it
	mux        *http.ServeMux       // of these patterns
	roots      []string             // below which there is nothing but what is described

	lock    sync.Mutex // of what follows
	schemas *jsonschema.Compiler
	asked   map[string]bool // patterns of the requests that were checked
}

// An operation is one that is described.
type operation struct{ path, method string }

const location = "mem:openapi.json"

// New reads a description that is served as prefix + "/openapi.json".
func New(t testing.TB, description []byte, prefix string) *Contract {
	t.Helper()
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(description))
	if err != nil {
		t.Fatal(err)
	}
	c := &Contract{document: document.(map[string]any), schemas: jsonschema.NewCompiler(), asked: make(map[string]bool), mux: http.NewServeMux()}
	c.read(t, prefix)
	closed(c.document)
	c.schemas.DefaultDraft(jsonschema.Draft2020)
	c.schemas.AssertFormat()
	if err := c.schemas.AddResource(location, c.document); err != nil {
		t.Fatal(err)
	}
	return c
}

// read finds the operations. A path is below the server of the whole description, unless it
// names one of its own.
func (c *Contract) read(t testing.TB, prefix string) {
	t.Helper()
	c.operations = make(map[string]operation)
	common := rootOf(t, prefix, c.document)
	c.roots = []string{common}
	for path, item := range c.document["paths"].(map[string]any) {
		root := common
		if item := item.(map[string]any); item["servers"] != nil {
			root = rootOf(t, prefix, item)
			c.roots = append(c.roots, root)
		}
		for method := range item.(map[string]any) {
			if method == "parameters" || method == "servers" {
				continue
			}
			pattern := strings.ToUpper(method) + " " + root + path
			if strings.HasSuffix(path, "/") {
				pattern += "{$}"
			}
			c.operations[pattern] = operation{path, method}
			c.mux.Handle(pattern, http.NotFoundHandler())
		}
	}
}

// rootOf returns the path of the server that a part of the description names.
func rootOf(t testing.TB, prefix string, part map[string]any) string {
	t.Helper()
	servers := part["servers"].([]any)
	root, err := (&url.URL{Path: prefix + "/openapi.json"}).Parse(servers[0].(map[string]any)["url"].(string))
	if err != nil || len(servers) != 1 {
		t.Fatalf("servers %v: want one, %v", servers, err)
	}
	return root.Path
}

// closed has all objects refuse fields that are not described. The description itself lets
// them be, for clients that are older than a server.
func closed(schema any) {
	switch s := schema.(type) {
	case map[string]any:
		if _, described := s["properties"].(map[string]any); described && s["type"] != nil {
			s["unevaluatedProperties"] = false
		}
		for _, part := range s {
			closed(part)
		}
	case []any:
		for _, part := range s {
			closed(part)
		}
	}
}

// Covers checks that the routes of mux are those of the description, below the servers that
// it names. A route is a pattern with a method.
func (c *Contract) Covers(t testing.TB, mux *http.ServeMux) {
	t.Helper()
	served := patternsOf(mux)
	for p := range served {
		_, described := c.operations[p]
		method, path, _ := strings.Cut(p, " ")
		if method != http.MethodOptions && c.isBelow(path) && !described {
			t.Errorf("transport/api/openapi.json lacks %s: describe it under \"paths\", with the schema of its answer", p)
		}
	}
	for p := range c.operations {
		if !served[p] {
			t.Errorf("transport/api/openapi.json describes %s, which nothing serves", p)
		}
	}
}

// isBelow reports whether a path is below a server that the description names.
func (c *Contract) isBelow(path string) bool {
	return slices.ContainsFunc(c.roots, func(root string) bool { return strings.HasPrefix(path, root+"/") })
}

// patternsOf returns the patterns that were registered. A mux tells nobody, so it is
// looked into: its index names each pattern by the segments of its path, and those apart
// that end in a wildcard of several.
func patternsOf(mux *http.ServeMux) map[string]bool {
	index := reflect.ValueOf(mux).Elem().FieldByName("index")
	found := make(map[string]bool)
	add := func(patterns reflect.Value) {
		for _, pattern := range patterns.Seq2() {
			found[pattern.Elem().FieldByName("str").String()] = true
		}
	}
	for lists := index.FieldByName("segments").MapRange(); lists.Next(); {
		add(lists.Value())
	}
	add(index.FieldByName("multis"))
	return found
}

// Check checks the answer to a request. A request that is not described may only be
// answered with an error.
func (c *Contract) Check(t testing.TB, r *http.Request, status int, header http.Header, body []byte) {
	t.Helper()
	if err := c.check(r, status, header, body); err != nil {
		t.Errorf("%s %s: %d %s: not as transport/api/openapi.json says: %v", r.Method, r.URL.Path, status, body[:min(len(body), 2000)], err)
	}
}

func (c *Contract) check(r *http.Request, status int, header http.Header, body []byte) error {
	if r.Method == http.MethodHead || r.Method == http.MethodOptions {
		return nil
	}
	pointer, content := "/components/responses/Problem", c.document["components"].(map[string]any)["responses"].(map[string]any)["Problem"]
	_, pattern := c.mux.Handler(r)
	c.lock.Lock()
	c.asked[pattern] = true
	c.lock.Unlock()
	if described, found := c.operations[pattern]; found {
		var err error
		if pointer, content, err = c.response(described, status); err != nil {
			return err
		}
	} else if status < 400 {
		return fmt.Errorf("it is not described")
	}
	types, _ := content.(map[string]any)["content"].(map[string]any)
	if types == nil {
		return nil
	}
	got, _, err := mime.ParseMediaType(header.Get("Content-Type"))
	if err != nil || types[got] == nil {
		return fmt.Errorf("media type %q, want one of %v: %w", header.Get("Content-Type"), slices.Sorted(maps.Keys(types)), err)
	}
	if got != "application/json" && got != "application/problem+json" {
		return nil
	}
	c.lock.Lock()
	schema, err := c.schemas.Compile(location + "#" + pointer + "/content/" + escaped(got) + "/schema")
	c.lock.Unlock()
	if err != nil {
		return err
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		return err
	}
	return schema.Validate(value)
}

// response returns where the description of an answer is, and what it says.
func (c *Contract) response(o operation, status int) (pointer string, response any, err error) {
	responses := c.document["paths"].(map[string]any)[o.path].(map[string]any)[o.method].(map[string]any)["responses"].(map[string]any)
	key := strconv.Itoa(status)
	if responses[key] == nil {
		key = "default"
	}
	if response = responses[key]; response == nil || key == "default" && status < 400 {
		return "", nil, fmt.Errorf("there is no such status")
	}
	if ref, ok := response.(map[string]any)["$ref"].(string); ok {
		name := strings.TrimPrefix(ref, "#/components/responses/")
		return "/components/responses/" + name, c.document["components"].(map[string]any)["responses"].(map[string]any)[name], nil
	}
	return "/paths/" + escaped(o.path) + "/" + o.method + "/responses/" + key, response, nil
}

// escaped is a name in a JSON pointer in a URL.
func escaped(name string) string {
	name = strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
	return strings.NewReplacer("{", "%7B", "}", "%7D").Replace(name)
}

// AllAsked checks that each operation was asked for, with whatever answer.
func (c *Contract) AllAsked(t testing.TB) {
	t.Helper()
	c.lock.Lock()
	defer c.lock.Unlock()
	for p := range c.operations {
		if !c.asked[p] {
			t.Errorf("nobody asked for %s, so its answer was not compared with transport/api/openapi.json: add a request to this test", p)
		}
	}
}

// Handler checks all answers of next to requests below the servers of the description.
func (c *Contract) Handler(t testing.TB, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		copied := &copying{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(copied, r)
		if c.isBelow(r.URL.Path) {
			c.Check(t, r, copied.status, w.Header(), copied.body.Bytes())
		}
	})
}

// copying keeps what is written.
type copying struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
}

func (w *copying) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

func (w *copying) Write(b []byte) (int, error) {
	w.body.Write(b)
	return w.ResponseWriter.Write(b)
}

func (w *copying) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Transport checks all answers that come through next.
func (c *Contract) Transport(t testing.TB, next http.RoundTripper) http.RoundTripper {
	return roundTrip(func(r *http.Request) (*http.Response, error) {
		response, err := next.RoundTrip(r)
		if err != nil {
			return nil, err
		}
		var body bytes.Buffer
		_, err = body.ReadFrom(response.Body)
		response.Body.Close()
		response.Body = readAgain{bytes.NewReader(body.Bytes())}
		c.Check(t, r, response.StatusCode, response.Header, body.Bytes())
		return response, err
	})
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

type readAgain struct{ *bytes.Reader }

func (readAgain) Close() error { return nil }
