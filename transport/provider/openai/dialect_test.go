package openai

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"testing"
	"testing/synctest"

	"parlor/protocol/chat"
	"parlor/transport/provider/providertest"
	"parlor/transport/provider/upstream"
)

// refusing is a server that refuses requests with these members, in these words.
func refusing(asked *[]map[string]any, words map[string]string) providertest.Handler {
	return func(conn net.Conn) {
		body, err := providertest.ReadRequest(conn)
		if err != nil {
			return
		}
		var r map[string]any
		json.Unmarshal(body, &r)
		*asked = append(*asked, r)
		for member, said := range words {
			if r[member] != nil {
				fmt.Fprintf(conn, "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n%s", said)
				return
			}
		}
		io.WriteString(conn, providertest.EventStream+hel+lo+stop+end)
	}
}

// TestRefusedMembers checks that a server is asked once more for each member
// that it says it does not take, and that this is remembered for the model.
func TestRefusedMembers(t *testing.T) {
	const usage, limit, completion = "stream_options", upstream.MaxTokens, upstream.MaxCompletionTokens
	for _, test := range []struct {
		name   string
		model  chat.ModelID
		words  map[string]string
		first  int    // requests, until it answers
		then   string // the members of the next request, of those three
		failed string
	}{
		{"usage", "m", map[string]string{usage: `{"error":{"message":"Unrecognized request argument supplied: stream_options"}}`}, 2, limit, ""},
		{"usage by its place alone", "m", map[string]string{usage: `{"detail":[{"type":"extra_forbidden","loc":["body","stream_options"],"msg":"Extra inputs are not permitted"}]}`}, 2, limit, ""},
		{"old name of the limit", "m", map[string]string{limit: `{"error":{"message":"Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."}}`}, 2, usage + completion, ""},
		{"new name of the limit", "o3", map[string]string{completion: `{"message":"Unknown field: max_completion_tokens"}`}, 2, usage + limit, ""},
		{"several", "m", map[string]string{
			usage: "stream_options is not allowed", limit: "max_tokens: extra fields not permitted",
		}, 3, completion, ""},
		{"both names", "m", map[string]string{limit: "max_tokens is unknown", completion: "max_completion_tokens is unknown"}, 2, "", "is unknown"},
		{"a limit too large", "m", map[string]string{limit: "max_tokens is too large: 100000. This model does not support more than 4096."}, 1, "", "is too large"},
		{"something else", "m", map[string]string{limit: "messages must not be empty"}, 1, "", "must not be empty"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var asked []map[string]any
				c := newClient(t, "http://provider.example/v1", Options{DialContext: providertest.Pipe(t, refusing(&asked, test.words))})
				ask := func() providertest.Outcome {
					asked = nil
					return providertest.Collect(t, c.Stream(t.Context(), chat.Prompt{Model: test.model, MaxTokens: 7, Messages: hello.Messages}))
				}
				got := ask()
				if len(asked) != test.first {
					t.Errorf("asked %d times, want %d", len(asked), test.first)
				}
				if test.failed != "" {
					got.Check(t, "", chat.CodeProviderError, test.failed)
					return
				}
				got.Check(t, "Hello", "", "")
				ask().Check(t, "Hello", "", "")
				if members := membersOf(asked[0], usage, limit, completion); len(asked) != 1 || members != test.then {
					t.Errorf("then asked %d times, first with %q, want %q", len(asked), members, test.then)
				}
			})
		})
	}
}

// membersOf returns which of the names r has.
func membersOf(r map[string]any, names ...string) (has string) {
	for _, name := range names {
		if r[name] != nil {
			has += name
		}
	}
	return has
}
