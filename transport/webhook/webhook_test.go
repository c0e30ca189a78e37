package webhook_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"parlor/transport/outbound"
	"parlor/transport/webhook"
)

// The first secret is that of the example of the specification.
const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

func TestSecrets(t *testing.T) {
	for text, want := range map[string]int{
		secret: 1, secret + " " + secret: 2, "": 0, "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw": 0, "whsec_c2hvcnQ=": 0, "whsec_???": 0,
		secret + " " + secret + " " + secret: 0,
	} {
		got, err := webhook.ParseSecrets(text)
		if len(got) != want || (err == nil) != (want > 0) {
			t.Errorf("%q: %d secrets, %v", text, len(got), err)
		}
	}
}

// A message is sent as the standard has it, signed with each secret.
func TestSend(t *testing.T) {
	var header http.Header
	var body string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		header, body = r.Header, string(text)
	}))
	t.Cleanup(server.Close)
	targets, err := outbound.ParseTargets([]string{"127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	client := outbound.NewClient(targets, 5*time.Second)
	t.Cleanup(client.Close)
	secrets, err := webhook.ParseSecrets(secret + " whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
	if err != nil {
		t.Fatal(err)
	}
	e := &webhook.Endpoint{URL: server.URL, Secrets: secrets, Client: client}
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	if err := e.Send(t.Context(), webhook.Message{ID: "msg_1", Event: "message", At: at, Chat: "c", Room: "r", Seq: 7, Body: []byte(`{"a":1}`)}); err != nil {
		t.Fatal(err)
	}
	if want := `{"type":"message","timestamp":"2026-01-02T03:04:05.000Z","chat_id":"c","room_id":"r","seq":7,"data":{"a":1}}`; body != want {
		t.Errorf("body %s, want %s", body, want)
	}
	signatures := strings.Fields(header.Get("webhook-signature"))
	if header.Get("webhook-id") != "msg_1" || header.Get("webhook-timestamp") == "" || len(signatures) != 2 || !strings.HasPrefix(signatures[0], "v1,") || signatures[0] == signatures[1] {
		t.Errorf("header %v", header)
	}
}
