package push_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/SherClockHolmes/webpush-go"
	"github.com/golang-jwt/jwt/v5"
	"go.uber.org/goleak"

	"parlor/protocol/chat"
	"parlor/transport/outbound"
	"parlor/transport/push"
)

// server is a push service of ours. Its certificate is made by httptest, and the client trusts
// what SSL_CERT_FILE names.
var server *httptest.Server

func TestMain(m *testing.M) {
	server = httptest.NewTLSServer(http.HandlerFunc(receive))
	file, err := os.CreateTemp("", "ca")
	if err != nil {
		panic(err)
	}
	_, _ = file.Write(pemOf(server.Certificate().Raw))
	file.Close()
	os.Setenv("SSL_CERT_FILE", file.Name())
	code := m.Run()
	server.Close()
	os.Remove(file.Name())
	if code == 0 {
		if err := goleak.Find(); err != nil {
			println(err.Error())
			code = 1
		}
	}
	os.Exit(code)
}

func pemOf(der []byte) []byte {
	var b bytes.Buffer
	b.WriteString("-----BEGIN CERTIFICATE-----\n")
	text := base64.StdEncoding.EncodeToString(der)
	for len(text) > 64 {
		b.WriteString(text[:64] + "\n")
		text = text[64:]
	}
	b.WriteString(text + "\n-----END CERTIFICATE-----\n")
	return b.Bytes()
}

// A browser has a subscription at the push service.
type browser struct {
	webpush.Subscription
	key    *ecdh.PrivateKey
	secret []byte

	mu     sync.Mutex
	status int
	got    []*http.Request
	bodies [][]byte
}

var (
	browsersMu sync.Mutex
	browsers   = map[string]*browser{}
)

func newBrowser(t *testing.T, name string) *browser {
	t.Helper()
	key, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	b := &browser{key: key, secret: make([]byte, 16), status: http.StatusCreated}
	rand.Read(b.secret)
	encode := base64.RawURLEncoding.EncodeToString
	b.Subscription = webpush.Subscription{
		Endpoint: server.URL + "/" + t.Name() + "/" + name, Keys: webpush.Keys{P256dh: encode(key.PublicKey().Bytes()), Auth: encode(b.secret)},
	}
	browsersMu.Lock()
	defer browsersMu.Unlock()
	browsers["/"+t.Name()+"/"+name] = b
	return b
}

func receive(w http.ResponseWriter, r *http.Request) {
	browsersMu.Lock()
	b := browsers[r.URL.Path]
	browsersMu.Unlock()
	body, _ := io.ReadAll(r.Body)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.got, b.bodies = append(b.got, r), append(b.bodies, body)
	w.WriteHeader(b.status)
}

// wait returns how many requests there were once there are n, or after a while.
func (b *browser) wait(n int) int {
	for range 400 {
		b.mu.Lock()
		got := len(b.got)
		b.mu.Unlock()
		if got >= n {
			return got
		}
		time.Sleep(5 * time.Millisecond)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.got)
}

// decrypt is RFC 8291 and RFC 8188 as a browser does them.
func (b *browser) decrypt(t *testing.T, body []byte) string {
	t.Helper()
	salt, keyLen := body[:16], int(body[20])
	sender := body[21 : 21+keyLen]
	public, err := ecdh.P256().NewPublicKey(sender)
	if err != nil {
		t.Fatal(err)
	}
	shared, err := b.key.ECDH(public)
	if err != nil {
		t.Fatal(err)
	}
	derive := func(secret, salt []byte, info string, n int) []byte {
		key, err := hkdf.Key(sha256.New, secret, salt, info, n)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	ikm := derive(shared, b.secret, "WebPush: info\x00"+string(b.key.PublicKey().Bytes())+string(sender), 32)
	block, err := aes.NewCipher(derive(ikm, salt, "Content-Encoding: aes128gcm\x00", 16))
	if err != nil {
		t.Fatal(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := gcm.Open(nil, derive(ikm, salt, "Content-Encoding: nonce\x00", 12), body[21+keyLen:], nil)
	if err != nil {
		t.Fatal(err)
	}
	text, last := bytes.CutSuffix(bytes.TrimRight(plain, "\x00"), []byte{2})
	if !last {
		t.Errorf("the record does not end as the last one")
	}
	return string(text)
}

// verify checks the authorization of a request (RFC 8292), and returns the key.
func verify(t *testing.T, r *http.Request, contact string) string {
	t.Helper()
	token, key, ok := strings.Cut(strings.TrimPrefix(r.Header.Get("Authorization"), "vapid t="), ", k=")
	public, err := base64.RawURLEncoding.DecodeString(key)
	if !ok || err != nil || len(public) != 65 {
		t.Fatalf("authorization %q", r.Header.Get("Authorization"))
	}
	claims := jwt.MapClaims{}
	_, err = jwt.ParseWithClaims(token, claims, func(*jwt.Token) (any, error) {
		return ecdsa.ParseUncompressedPublicKey(elliptic.P256(), public)
	}, jwt.WithValidMethods([]string{"ES256"}), jwt.WithAudience(server.URL), jwt.WithExpirationRequired())
	if err != nil || claims["sub"] != contact {
		t.Errorf("claims %v: %v", claims, err)
	}
	return key
}

// disk is a Store in memory.
type disk struct {
	mu   sync.Mutex
	kept map[string]string
}

func (d *disk) PutAccount(key string, value []byte, done func(error)) {
	d.mu.Lock()
	d.kept[key] = string(value)
	d.mu.Unlock()
	done(nil)
}

func (d *disk) DeleteAccount(key string, done func(error)) {
	d.mu.Lock()
	delete(d.kept, key)
	d.mu.Unlock()
	done(nil)
}

func (d *disk) EachAccount(yield func(string, []byte)) error {
	for key, value := range maps.All(d.kept) {
		yield(key, []byte(value))
	}
	return nil
}

func (d *disk) subscriptions() (n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for key := range d.kept {
		if strings.HasPrefix(key, "push/") {
			n++
		}
	}
	return n
}

// signIns know sessions that the test ends.
type signIns struct {
	mu      sync.Mutex
	ended   map[string]bool
	watches map[string][]func()
}

func (s *signIns) Live(in chat.SignIn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.ended[in.Session]
}

func (s *signIns) Watch(in chat.SignIn, ended func()) func() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.watches[in.Session] = append(s.watches[in.Session], ended)
	return func() {}
}

const contact = "mailto:ops@example.com"

type world struct {
	*push.Service
	t       *testing.T
	disk    *disk
	signIns *signIns
	options push.Options
}

func newWorld(t *testing.T, allowed ...string) *world {
	t.Helper()
	targets, err := outbound.ParseTargets(allowed)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, disk: &disk{kept: make(map[string]string)}, signIns: &signIns{ended: make(map[string]bool), watches: make(map[string][]func())}}
	client := outbound.NewClient(targets, 5*time.Second)
	w.options = push.Options{Store: w.disk, SignIns: w.signIns, Client: client, Contact: contact, MaxPerUser: 2}
	w.open()
	t.Cleanup(func() { w.Close(); client.Close() })
	return w
}

func (w *world) open() {
	w.t.Helper()
	var err error
	if w.Service, err = push.Open(w.options); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) subscribe(b *browser, user chat.UserID, session string) {
	w.t.Helper()
	if err := w.Subscribe(w.t.Context(), chat.SignIn{User: chat.User{ID: user}, Session: session}, b.Subscription); err != nil {
		w.t.Fatal(err)
	}
}

// A push is encrypted for the browser and signed with the key that the browser has
// subscribed with, also after a restart.
func TestPush(t *testing.T) {
	w := newWorld(t, "127.0.0.1")
	b := newBrowser(t, "b")
	w.subscribe(b, "alice", "s1")
	key := w.Key()
	w.Close()
	w.open()
	if w.Key() != key {
		t.Error("the key is another one after a restart")
	}
	w.Notify("bob", push.Message{})
	m := push.Message{Type: "answer", Chat: "c", State: chat.StateCompleted, Title: "A chat", Body: "x \u2028 <b>"}
	w.Notify("alice", m)
	if n := b.wait(1); n != 1 {
		t.Fatalf("%d requests", n)
	}
	r := b.got[0]
	if got := verify(t, r, contact); got != key {
		t.Errorf("signed with %s, want %s", got, key)
	}
	var got push.Message
	if err := json.Unmarshal([]byte(b.decrypt(t, b.bodies[0])), &got); err != nil || got != m {
		t.Errorf("told %+v, %v", got, err)
	}
	if len(b.bodies[0]) > 4096 || r.Header.Get("TTL") == "" || len(r.Header.Get("Topic")) != 32 || r.Header.Get("Content-Encoding") != "aes128gcm" {
		t.Errorf("%d bytes, header %v", len(b.bodies[0]), r.Header)
	}
	m.Body = strings.Repeat("\x01", push.MaxBody) // six bytes each as JSON
	w.Notify("alice", m)
	if n := b.wait(2); n != 2 || !strings.Contains(b.decrypt(t, b.bodies[1]), `"chat_id":"c"`) {
		t.Errorf("%d requests", n)
	}
}

// A subscription goes with its sign-in, when the push service says so, and when its user has
// too many.
func TestSubscriptionsEnd(t *testing.T) {
	w := newWorld(t, "127.0.0.1")
	one, two, three := newBrowser(t, "1"), newBrowser(t, "2"), newBrowser(t, "3")
	w.subscribe(one, "alice", "s1")
	w.subscribe(two, "alice", "s2")
	w.subscribe(three, "alice", "s3")
	if n := w.disk.subscriptions(); n != 2 {
		t.Errorf("%d subscriptions, want 2: the oldest is dropped", n)
	}
	for _, ended := range w.signIns.watches["s2"] {
		ended()
	}
	if n := w.disk.subscriptions(); n != 1 {
		t.Errorf("%d subscriptions after one was revoked", n)
	}
	three.status = http.StatusGone
	w.Notify("alice", push.Message{Type: "answer"})
	three.wait(1)
	for range 100 {
		if w.disk.subscriptions() == 0 {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	if one.wait(0)+two.wait(0) != 0 || w.disk.subscriptions() != 0 {
		t.Errorf("%d and %d requests, %d subscriptions left", one.wait(0), two.wait(0), w.disk.subscriptions())
	}
	w.subscribe(one, "alice", "s4")
	w.signIns.mu.Lock()
	w.signIns.ended["s4"] = true // it has expired
	w.signIns.mu.Unlock()
	w.Notify("alice", push.Message{Type: "answer"})
	for range 100 {
		if w.disk.subscriptions() == 0 {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	if one.wait(0) != 0 || w.disk.subscriptions() != 0 {
		t.Errorf("%d requests for a session that has ended, %d subscriptions", one.wait(0), w.disk.subscriptions())
	}
	w.subscribe(one, "alice", "s5")
	if err := w.Unsubscribe(chat.SignIn{User: chat.User{ID: "eve"}}, one.Endpoint); chat.AsError(err).Code != chat.CodeNotFound {
		t.Errorf("somebody else's: %v", err)
	}
	if err := w.Unsubscribe(chat.SignIn{User: chat.User{ID: "alice"}}, one.Endpoint); err != nil || w.disk.subscriptions() != 0 {
		t.Errorf("one's own: %v", err)
	}
}

func TestRefused(t *testing.T) {
	w := newWorld(t)
	good := newBrowser(t, "b")
	for name, change := range map[string]func(*webpush.Subscription){
		"plain HTTP":   func(s *webpush.Subscription) { s.Endpoint = "http://push.example.com/x" },
		"a file":       func(s *webpush.Subscription) { s.Endpoint = "file:///etc/passwd" },
		"a long one":   func(s *webpush.Subscription) { s.Endpoint = "https://h/" + strings.Repeat("x", 2048) },
		"no point":     func(s *webpush.Subscription) { s.Keys.P256dh = base64.RawURLEncoding.EncodeToString(make([]byte, 65)) },
		"short secret": func(s *webpush.Subscription) { s.Keys.Auth = "AAAA" },
	} {
		s := good.Subscription
		change(&s)
		if err := w.Subscribe(t.Context(), chat.SignIn{User: chat.User{ID: "alice"}}, s); chat.AsError(err) == nil || chat.AsError(err).Code != chat.CodeInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	w.subscribe(good, "alice", "s") // its address is private, and not allowed
	w.Notify("alice", push.Message{Type: "answer"})
	time.Sleep(50 * time.Millisecond)
	if n := good.wait(0); n != 0 {
		t.Errorf("%d requests to a private address", n)
	}
	if _, err := push.ParseKey("x"); err == nil {
		t.Error("a key of one byte was taken")
	}
}
