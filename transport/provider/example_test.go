package provider_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"

	"parlor/protocol/chat"
	"parlor/transport/provider"
)

// A provider that speaks OpenAI's API needs no code: it is configured, by its
// address and the name of the variable that holds its key.
func Example() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Println(r.Method, r.URL.Path, r.Header.Get("Authorization"))
		w.Header().Set("Content-Type", "text/event-stream")
		for _, word := range []string{"Hello", ", Alice", "."} {
			fmt.Fprintf(w, `data: {"choices":[{"index":0,"delta":{"content":%q}}]}`+"\n\n", word)
		}
		io.WriteString(w, `data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}`+"\n\ndata: [DONE]\n\n")
	}))
	defer server.Close()

	environment := map[string]string{"MY_KEY": "secret"}
	models, err := provider.New(provider.Options{
		Providers: map[string]provider.ProviderConfig{"mine": {BaseURL: server.URL, KeyVar: "MY_KEY"}},
		Models:    []provider.Config{{ModelID: "best", Provider: "mine", UpstreamModel: "big-1", Fallbacks: []string{"eliza"}}},
		LookupEnv: func(name string) (string, bool) { value, ok := environment[name]; return value, ok },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer models.Close()

	for _, m := range models.List() {
		fmt.Println(m.ID, "by", m.Provider)
	}
	prompt := chat.Prompt{Model: "best", Messages: []chat.PromptMessage{{Role: chat.RoleUser, Content: "I am Alice"}}}
	for delta, err := range models.Stream(context.Background(), prompt) {
		if err != nil {
			fmt.Println(err)
			return
		}
		if delta.Finish != "" {
			fmt.Println("ends:", delta.Finish)
			continue
		}
		fmt.Printf("%q\n", delta.Text)
	}
	// Output:
	// best by mine
	// eliza by eliza
	// POST /chat/completions Bearer secret
	// "Hello"
	// ", Alice"
	// "."
	// ends: stop
}
