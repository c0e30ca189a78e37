package api_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"parlor/protocol/chat"
	"parlor/transport/api"
	"parlor/transport/auth"
)

// The handlers of other packages are protected as the API is.
func TestMounted(t *testing.T) {
	options := auth.Options{Secret: strings.Repeat("s", 32)}
	verifier := auth.New(options)
	t.Cleanup(verifier.Close)
	a, err := api.New(conversation(), conversation(), models{elisa}, verifier, api.Options{})
	if err != nil {
		t.Fatal(err)
	}
	a.Mount(map[string]api.Handler{
		"POST /mine/{name}": func(w http.ResponseWriter, r *http.Request, in chat.SignIn) error {
			switch name := r.PathValue("name"); name {
			case "broken":
				return errors.New("a secret")
			case "panic":
				panic("a secret")
			case "refused":
				return chat.Refuse(chat.CodeBusy, "not now")
			default:
				_, err := io.WriteString(w, name+" of "+string(in.ID))
				return err
			}
		},
	})
	mux := http.NewServeMux()
	a.Register(mux, "/api/v1")
	reader := func(r *http.Request) (chat.SignIn, error) {
		in, err := verifier.SignIn(r)
		in.ReadOnly = true
		return in, err
	}
	a.RegisterPost(mux, "/api/v1/posts", "POST /posts", reader, func(w http.ResponseWriter, _ *http.Request, in chat.SignIn) error {
		_, err := fmt.Fprint(w, "read only: ", in.ReadOnly)
		return err
	})
	token, err := auth.Sign(options, chat.User{ID: "alice"}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		method, path string
		headers      []string
		status       int
		answer       string
	}{
		{"POST", "/mine/own", []string{"Authorization", "Bearer " + token}, 200, "own of alice"},
		{"POST", "/mine/own", nil, 401, "unauthenticated"},
		{"GET", "/mine/own", nil, 405, "only HEAD, POST"},
		{"POST", "/mine/refused", []string{"Authorization", "Bearer " + token}, 503, "not now"},
		{"POST", "/mine/broken", []string{"Authorization", "Bearer " + token}, 500, `"internal"`},
		{"POST", "/mine/panic", []string{"Authorization", "Bearer " + token}, 500, `"internal"`},
		{"POST", "/posts", []string{"Authorization", "Bearer " + token}, 200, "read only: true"},
		{"POST", "/posts", nil, 401, "unauthenticated"},
		{"GET", "/posts", nil, 405, "only HEAD, POST"},
		{"POST", "/mine/own", []string{"Cookie", "access_token=" + token, "Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"}, 403, "forbidden"},
	} {
		w := do(mux, test.method, "/api/v1"+test.path, "", test.headers...)
		if w.Code != test.status || !strings.Contains(w.Body.String(), test.answer) || strings.Contains(w.Body.String(), "secret") {
			t.Errorf("%s %s %v: %d %s, want %d %s", test.method, test.path, test.headers, w.Code, w.Body, test.status, test.answer)
		}
	}
}
