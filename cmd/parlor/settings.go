package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"parlor/actors/ledger"
	"parlor/protocol/chat"
	"parlor/transport/auth"
	"parlor/transport/provider"
	"parlor/transport/provider/upstream"
)

// Values are the settings, which are defined only here. A field is a flag, the
// environment variable PARLOR_… of the same name, and a key of the configuration
// file. Its tags are its default and its help.
//
// The tag alsoenv names another environment variable for the field, which is used
// if its own is not set.
type Values struct {
	Config   string `group:"server" default:"parlor.yaml" help:"Configuration file. May be missing unless you name it."`
	Listen   string `group:"server" default:"127.0.0.1:8080" help:"Address and port. Port 0 picks a free one."`
	BasePath string `group:"server" placeholder:"/PATH" help:"Serve below this path too, for example /assistant."`
	Data     string `group:"server" default:"./parlor.db" help:"The file that keeps everything said. Made if missing."`

	RetainFor   time.Duration `group:"server" default:"0s" help:"Delete chats in which nothing was said for so long; 0s keeps them for ever."`
	RetainBytes Size          `group:"server" default:"0" help:"Delete the chats that were idle longest while more of the file than this is in use, for example 10GiB; 0 for no limit. Chats that somebody is in stay."`

	Metrics bool `group:"server" help:"Serve numbers for Prometheus at /metrics, to whoever can reach the server."`

	JWTSecret     Secret        `name:"jwt-secret" group:"access" placeholder:"SECRET" help:"What users' tokens are signed with (HS256). Better not given as a flag: other users of this computer can see those."`
	JWTSecretFile string        `name:"jwt-secret-file" group:"access" placeholder:"FILE" help:"A file that holds the secret instead."`
	JWTIssuer     string        `name:"jwt-issuer" group:"access" placeholder:"NAME" help:"What tokens must have in iss. If it is not given nobody looks at iss."`
	JWTAudience   []string      `name:"jwt-audience" group:"access" placeholder:"NAME" help:"What tokens must have in aud, one of these. If none is given nobody looks at aud."`
	JWTLeeway     time.Duration `name:"jwt-leeway" group:"access" default:"10s" help:"How much the clocks of this server and of the one that signs tokens may differ."`
	CORSOrigins   []string      `name:"cors-origins" group:"access" placeholder:"ORIGIN" help:"Other origins whose pages may use this server, for example https://app.example.com."`

	Models            []provider.Config `group:"assistants" sep:"none" placeholder:"JSON" help:"Models to offer, a list of {\"model_id\", \"provider\", …}. Easier to write in the file."`
	Providers         providers         `group:"assistants" mapsep:"none" placeholder:"JSON" help:"Providers to add or to change, by name: {\"base_url\", \"key_var\", \"key_header\", \"api\", \"discover\", …}. Easier to write in the file."`
	Discover          bool              `group:"assistants" default:"true" help:"Offer the models of Ollama, vLLM, llama.cpp and LM Studio that run on this computer; --discover=false for not."`
	OpenAIAPIKey      Secret            `name:"openai-api-key" group:"assistants" alsoenv:"OPENAI_API_KEY" placeholder:"KEY" help:"Key for OpenAI, or for what --openai-base-url names. Also taken from OPENAI_API_KEY."`
	OpenAIBaseURL     string            `name:"openai-base-url" group:"assistants" alsoenv:"OPENAI_BASE_URL" placeholder:"URL" help:"Where an OpenAI-compatible API answers. Also taken from OPENAI_BASE_URL."`
	ContextWindow     int               `group:"assistants" default:"32768" help:"Tokens that a model can read whose context_window is not set; what is older is left out of its prompts."`
	Budgets           []ledger.Budget   `group:"assistants" sep:"none" placeholder:"JSON" help:"Limits of what may be used, a list of {\"user\", \"chat\", \"model\", \"period\", \"tokens\"}. Easier to write in the file."`
	Titles            string            `group:"assistants" default:"on" help:"on or off: give a chat a title when its first answer is there, unless somebody has."`
	TitleModel        chat.ModelID      `group:"assistants" placeholder:"ID" help:"Model that is asked for titles, instead of each chat's own. Without a model the first words are the title."`
	SystemPrompt      string            `group:"assistants" placeholder:"TEXT" help:"What assistants are told before every conversation."`
	ElizaWordDelay    time.Duration     `group:"assistants" default:"40ms" help:"Pause between the words of eliza, the embedded assistant; 0s for none."`
	TurnTimeout       time.Duration     `group:"assistants" default:"10m" help:"Longest time for a whole answer."`
	ProviderTimeout   time.Duration     `group:"assistants" default:"10s" help:"Longest time to open a connection to a provider."`
	FirstTokenTimeout time.Duration     `group:"assistants" default:"60s" help:"Longest wait for an answer's first word."`
	SilenceTimeout    time.Duration     `group:"assistants" default:"60s" help:"Longest pause within an answer."`
	TurnPolicy        string            `group:"assistants" default:"queue" help:"What becomes of a message while an answer is being given, unless its chat or its sender says otherwise: queue, steer (it joins the answer where that pauses), interrupt or reject."`
	MaxStreams        int               `group:"assistants" default:"1000" help:"Answers of one provider at once; others wait, as long as for a first word."`
	Retries           int               `group:"assistants" default:"2" help:"Times that a provider is asked again when it failed before the first word."`
	RetryDelay        time.Duration     `group:"assistants" default:"500ms" help:"Pause before the first of those, after what the provider asks for; each is about twice the one before."`
	RetryBudget       time.Duration     `group:"assistants" default:"30s" help:"Longest time from the first question to the last of those."`
	BreakerFailures   int               `group:"assistants" default:"5" help:"Failures in a row after which a provider is left alone for a while; 0 for never."`
	BreakerWindow     time.Duration     `group:"assistants" default:"5m" help:"Time that those have to fall into."`
	BreakerCoolDown   time.Duration     `group:"assistants" default:"30s" help:"How long it is left alone, before one question tries whether it answers."`

	RealtimeVoice         string        `group:"assistants" placeholder:"NAME" help:"Voice of models that speak; theirs if it is not given."`
	RealtimeTranscription string        `group:"assistants" default:"gpt-4o-mini-transcribe" help:"Model that writes down what people say to models that listen."`
	RealtimeMaxAge        time.Duration `group:"assistants" default:"55m" help:"Age at which the connection of a session with such a model is replaced, before the provider ends it."`
	RealtimeIdleTimeout   time.Duration `group:"assistants" default:"2m" help:"Time after which a session that nobody uses ends; the next word begins another."`
	TranscriptTimeout     time.Duration `group:"assistants" default:"10s" help:"Longest wait until what was said is written down; past it the message has no words."`

	MaxAttempts     int           `group:"assistants" default:"3" help:"Times that an answer cut by the end of the server is begun, before it ends as interrupted."`
	CheckpointEvery time.Duration `group:"assistants" default:"1s" help:"Time between saves of the text of a running answer."`
	MaxQueuedTurns  int           `group:"assistants" default:"256" help:"Answers that may wait for their turn in one room."`

	MaxConnections  int           `group:"limits" default:"100000" help:"Most clients connected at once; others are told to come back later."`
	MaxMessageBytes Size          `group:"limits" default:"64KiB" help:"Longest message."`
	MaxAnswerBytes  Size          `group:"limits" default:"256KiB" help:"Longest answer of an assistant with its thought; past it the turn fails."`
	MaxPayload      Size          `group:"limits" default:"1000000" help:"Most bytes of one packet or poll from a client."`
	Window          int           `group:"limits" default:"128" help:"Commands of one session that may be under way at once."`
	QueueBytes      Size          `group:"limits" default:"1MiB" help:"Bytes that may wait for a slow client, pieces of answers joined, before it is cut off; it reconnects."`
	PingInterval    time.Duration `group:"limits" default:"25s" help:"Time between heartbeats."`
	PingTimeout     time.Duration `group:"limits" default:"20s" help:"Longest wait for the answer to a heartbeat."`
	ConnectTimeout  time.Duration `group:"limits" default:"45s" help:"Longest time from opening a connection to signing in."`
	RecoveryWindow  time.Duration `group:"limits" default:"2m" help:"Time in which a client that lost its connection can come back and miss nothing; 0s for none."`
	MaxSessions     int           `group:"limits" default:"100000" help:"Sessions that are remembered for clients that come back."`
	MaxReads        int           `group:"limits" default:"0" help:"Queries that read histories, lists or usage at once; 0 for as many as there are processors."`
	MaxReadsPerUser int           `group:"limits" default:"0" help:"Those of one user at once, while others of that user wait; 0 for half of them."`
	MaxWaitingReads int           `group:"limits" default:"1024" help:"Those of one user that may wait; past it another is refused."`
	MaxJoinedRooms  int           `group:"limits" default:"100" help:"Rooms that one session may have joined."`
	MaxRestarts     int           `group:"limits" default:"10" help:"Failures of a room within a minute, past which it is quarantined."`
	RoomIdleTimeout time.Duration `group:"limits" default:"5m" help:"Time after which a room that nobody uses leaves memory."`

	LogLevel  slog.Level `group:"logging" default:"info" help:"debug, info, warn or error."`
	LogFormat string     `group:"logging" default:"text" help:"text or json."`
}

// values lets main find the settings of the chosen command, whichever it is.
func (v *Values) values() *Values { return v }

// groupTitles are the headings of the settings in the help, in this order.
var groupTitles = []struct{ key, title string }{
	{"server", "Server:"},
	{"access", "Who may come in:"},
	{"assistants", "Assistants:"},
	{"limits", "Limits and connections:"},
	{"logging", "Log:"},
}

// minSecretLen is the least length of an HS256 secret, in bytes (RFC 7518 §3.2).
// Somebody who has a token could find a shorter secret by guessing.
const minSecretLen = 32

// Settings are the effective values and where they came from.
type Settings struct {
	Values
	rows []row // in the order of the fields of Values
}

// A row is a setting as people see it.
type row struct {
	name   string
	value  string // a secret is hidden
	source string // "flag", "environment NAME", "file PATH:LINE" or "default"
	list   bool   // it is a list or a mapping, so errors quote the wrong entry and not the value
}

// Development reports whether the server believes users without proof, since it
// has no secret.
func (s *Settings) Development() bool { return s.JWTSecret == "" }

// auth are the settings about tokens.
func (s *Settings) auth() auth.Options {
	return auth.Options{Secret: string(s.JWTSecret), Leeway: s.JWTLeeway, Issuer: s.JWTIssuer, Audience: s.JWTAudience}
}

// Validate returns an error if no server may run with the settings: without a
// secret a server must not be reachable from other computers.
func (s *Settings) Validate() error {
	if !s.Development() || loopback(s.Listen) {
		return nil
	}
	return fmt.Errorf(`listen: %q can be reached from other computers, but there is no secret: anyone could read every chat (from %s)
Either set a secret, for example
    export PARLOR_JWT_SECRET="$(openssl rand -hex 32)"
and give people a token each (parlor token --user NAME), or listen on this computer only:
    parlor serve --listen 127.0.0.1:8080`, s.Listen, s.row("listen").source)
}

// Warnings are about settings that are allowed but unwise, or with which serve
// will not start.
func (s *Settings) Warnings() []string {
	var warnings []string
	if err := s.Validate(); err != nil {
		warnings = append(warnings, "serve will not start: "+err.Error())
	}
	if n := len(s.JWTSecret); n > 0 && n < minSecretLen {
		warnings = append(warnings, fmt.Sprintf("jwt-secret: %d bytes can be guessed from a token, use %d or more (from %s)", n, minSecretLen, s.row("jwt-secret").source))
	}
	return warnings
}

func (s *Settings) row(name string) row {
	for _, r := range s.rows {
		if r.name == name {
			return r
		}
	}
	return row{name: name, source: fromDefault}
}

// check returns an error for each value that is wrong, with the name, value and
// source of the setting.
func (s *Settings) check() error {
	var faults []error
	for _, c := range slices.Concat(s.checksOfServer(), s.checksOfLimits()) {
		if c.why == nil {
			continue
		}
		for _, why := range split(c.why) {
			faults = append(faults, s.row(c.name).fault(why))
		}
	}
	return errors.Join(faults...)
}

// A checked setting is right unless there is a reason why not.
type checked struct {
	name string
	why  error
}

func (s *Settings) checksOfServer() []checked {
	return []checked{
		{"listen", checkListen(s.Listen)},
		{"base-path", checkBasePath(s.BasePath)},
		{"data", wantText(s.Data)},
		{"retain-for", notNegative(s.RetainFor)},
		{"jwt-leeway", notNegative(s.JWTLeeway)},
		{"jwt-audience", noneEmpty(s.JWTAudience)},
		{"cors-origins", checkOrigins(s.CORSOrigins)},
		{"providers", provider.Validate(nil, s.Providers)},
		{"models", s.checkModels()},
		{"context-window", positive(s.ContextWindow)},
		{"budgets", ledger.Validate(s.Budgets)},
		{"titles", oneOf(s.Titles, "on", "off")},
		{"openai-base-url", checkURL(s.OpenAIBaseURL)},
		{"eliza-word-delay", notNegative(s.ElizaWordDelay)},
		{"turn-timeout", positive(s.TurnTimeout)},
		{"provider-timeout", positive(s.ProviderTimeout)},
		{"first-token-timeout", positive(s.FirstTokenTimeout)},
		{"silence-timeout", positive(s.SilenceTimeout)},
		{"max-streams", positive(s.MaxStreams)},
		{"retries", notNegative(s.Retries)},
		{"retry-delay", positive(s.RetryDelay)},
		{"retry-budget", notNegative(s.RetryBudget)},
		{"breaker-failures", notNegative(s.BreakerFailures)},
		{"breaker-window", positive(s.BreakerWindow)},
		{"breaker-cool-down", positive(s.BreakerCoolDown)},
		{"realtime-transcription", wantText(s.RealtimeTranscription)},
		{"realtime-max-age", positive(s.RealtimeMaxAge)},
		{"realtime-idle-timeout", positive(s.RealtimeIdleTimeout)},
		{"transcript-timeout", positive(s.TranscriptTimeout)},
	}
}

func (s *Settings) checksOfLimits() []checked {
	return []checked{
		{"turn-policy", oneOf(s.TurnPolicy, "queue", "steer", "interrupt", "reject")},
		{"max-attempts", positive(s.MaxAttempts)},
		{"checkpoint-every", positive(s.CheckpointEvery)},
		{"max-queued-turns", positive(s.MaxQueuedTurns)},
		{"max-restarts", positive(s.MaxRestarts)},
		{"max-connections", positive(s.MaxConnections)},
		{"recovery-window", notNegative(s.RecoveryWindow)},
		{"max-sessions", positive(s.MaxSessions)},
		{"max-reads", notNegative(s.MaxReads)},
		{"max-reads-per-user", notNegative(s.MaxReadsPerUser)},
		{"max-waiting-reads", positive(s.MaxWaitingReads)},
		{"max-joined-rooms", checkJoinedRooms(s.MaxJoinedRooms)},
		{"max-message-bytes", s.checkMessageBytes()},
		{"max-answer-bytes", s.checkAnswerBytes()},
		{"max-payload", positive(s.MaxPayload)},
		{"window", positive(s.Window)},
		{"queue-bytes", positive(s.QueueBytes)},
		{"ping-interval", positive(s.PingInterval)},
		{"ping-timeout", positive(s.PingTimeout)},
		{"connect-timeout", positive(s.ConnectTimeout)},
		{"room-idle-timeout", positive(s.RoomIdleTimeout)},
		{"log-format", oneOf(s.LogFormat, "text", "json")},
	}
}

func (r row) fault(why error) error {
	if r.list {
		return fmt.Errorf("%s: %w (from %s)", r.name, why, r.source)
	}
	return fmt.Errorf("%s: %q %w (from %s)", r.name, r.value, why, r.source)
}

func checkListen(address string) error {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return errors.New("is not HOST:PORT")
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return errors.New("has no port from 0 to 65535")
	}
	return nil
}

// loopback reports whether only this computer can reach address, which is valid.
func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	return host == "localhost" || net.ParseIP(host).IsLoopback()
}

// basePathPattern allows no characters that have a meaning in URLs or in the
// patterns of an http.ServeMux.
var basePathPattern = regexp.MustCompile(`^(/[A-Za-z0-9._~-]+)+$`)

// ownPaths are the first segments of paths that are served at the top.
var ownPaths = []string{"api", "healthz", "internal", "metrics", "socket.io"}

func checkBasePath(p string) error {
	switch {
	case p == "":
		return nil
	case p == "/":
		return errors.New("must be left out to serve at the top")
	case !strings.HasPrefix(p, "/"):
		return errors.New("must start with a slash")
	case strings.HasSuffix(p, "/"):
		return errors.New("must not end with a slash")
	case path.Clean(p) != p || !basePathPattern.MatchString(p):
		return errors.New("must be made of segments of letters, digits and ._~- with single slashes between them")
	}
	if first, _, _ := strings.Cut(p[1:], "/"); slices.Contains(ownPaths, first) {
		return fmt.Errorf("must not begin with /%s, which is served at the top", first)
	}
	return nil
}

func checkOrigins(origins []string) error {
	for _, origin := range origins {
		if !validOrigin(origin) {
			return fmt.Errorf("has %q, which is not an origin as browsers send it, such as https://app.example.com (lower case, no path, no wildcard, no port that goes without saying)", origin)
		}
	}
	return nil
}

// validOrigin reports whether a browser could send origin (RFC 6454 §6.2). An
// origin that no browser sends would never match, and nobody would notice.
func validOrigin(origin string) bool {
	usualPort := map[string]string{"http": "80", "https": "443"}
	u, err := url.Parse(origin)
	switch {
	case err != nil, usualPort[u.Scheme] == "", u.Host == "", u.Port() == usualPort[u.Scheme]:
		return false
	}
	return u.Scheme+"://"+u.Host == origin && strings.ToLower(origin) == origin && !strings.Contains(origin, "*")
}

// checkModels returns what is wrong with the models, but not what is wrong with
// the providers.
func (s *Settings) checkModels() error {
	if provider.Validate(nil, s.Providers) != nil {
		return nil // models that use a wrong provider would be reported too
	}
	return provider.Validate(s.Models, s.Providers)
}

func checkURL(s string) error {
	if s == "" {
		return nil
	}
	if _, err := upstream.ParseBaseURL(s); err != nil {
		return errors.New("is not an absolute http or https URL without user and fragment")
	}
	return nil
}

func (s *Settings) checkMessageBytes() error {
	switch m := s.MaxMessageBytes; {
	case m > s.MaxPayload:
		return fmt.Errorf("must not be more than max-payload (%v), or no client could send such a message", s.MaxPayload)
	case m > s.QueueBytes:
		return fmt.Errorf("must not be more than queue-bytes (%v), or no client could receive such a message", s.QueueBytes)
	}
	return positive(s.MaxMessageBytes)
}

// maxAnswerBytes is so small that each answer fits into one commit of the event
// log, even one of control characters only, each of which takes six bytes in JSON.
const maxAnswerBytes Size = 2 << 20

func (s *Settings) checkAnswerBytes() error {
	if s.MaxAnswerBytes > maxAnswerBytes {
		return fmt.Errorf("must not be more than %v", maxAnswerBytes)
	}
	return positive(s.MaxAnswerBytes)
}

// mostJoinedRooms is how many rooms the record of a session on disk has space for.
const mostJoinedRooms = 1000

func checkJoinedRooms(n int) error {
	if n > mostJoinedRooms {
		return fmt.Errorf("must not be more than %d", mostJoinedRooms)
	}
	return positive(n)
}

func wantText(s string) error {
	if s == "" {
		return errors.New("must not be empty")
	}
	return nil
}

func noneEmpty(list []string) error {
	if slices.Contains(list, "") {
		return errors.New("has an empty entry")
	}
	return nil
}

func positive[N ~int | ~int64](n N) error {
	if n <= 0 {
		return errors.New("must be more than 0")
	}
	return nil
}

func notNegative[N ~int | ~int64](n N) error {
	if n < 0 {
		return errors.New("must not be less than 0")
	}
	return nil
}

func oneOf(s string, choices ...string) error {
	for _, c := range choices {
		if s == c {
			return nil
		}
	}
	return errors.New("must be " + strings.Join(choices, " or "))
}
