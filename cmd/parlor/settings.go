package main

import (
	"crypto"
	"log/slog"
	"time"

	"parlor/actors/ledger"
	"parlor/persistence"
	"parlor/protocol/chat"
	"parlor/transport/auth"
	"parlor/transport/provider"
	"parlor/transport/webhook"
)

// Values are the settings, which are defined only here. A field is a flag, the
// environment variable PARLOR_… of the same name, and a key of the configuration
// file. Its tags are its default and its help.
//
// The tag choices lists the values that it may have.
//
// The tag alsoenv names another environment variable for the field, which is used
// if its own is not set.
type Values struct {
	Config   string `group:"server" default:"parlor.yaml" help:"Configuration file. May be missing unless you name it."`
	Listen   string `group:"server" default:"127.0.0.1:8080" help:"Address and port, where port 0 picks a free one; unix:/PATH for a Unix socket; or systemd for the one that a .socket unit has opened."`
	BasePath string `group:"server" placeholder:"/PATH" help:"Serve below this path too, for example /assistant."`
	Data     string `group:"server" default:"./parlor.db" help:"The file that keeps everything said. Made if missing."`

	EncryptionKeyFile    string        `group:"server" placeholder:"FILE" help:"A file of keys, one a line as id:base64 of 32 bytes; or a directory of such files, the last name first. What people say is encrypted in the data file, with the first one (docs/security.md). Read again at a reload."`
	EncryptionKeyCommand string        `group:"server" placeholder:"COMMAND" help:"A command that prints them instead, run at the start and at a reload. Its words are separated by spaces; no shell reads them."`
	EncryptionKeyTimeout time.Duration `group:"server" default:"30s" help:"How long that command may take."`

	TLSCertFile string   `name:"tls-cert-file" group:"server" placeholder:"FILE" help:"A PEM file with the server's certificate and those that vouch for it: with it the server speaks TLS. Read again when it changes."`
	TLSKeyFile  string   `name:"tls-key-file" group:"server" placeholder:"FILE" help:"The key of that certificate."`
	ACMEHosts   []string `name:"acme-hosts" group:"server" placeholder:"HOST" help:"Names of this server for which it gets certificates by itself. Port 443 of each must lead to listen, and the terms of the authority are agreed to."`
	ACMEEmail   string   `name:"acme-email" group:"server" placeholder:"ADDRESS" help:"Where the authority can write to."`
	ACMEURL     string   `name:"acme-url" group:"server" default:"https://acme-v02.api.letsencrypt.org/directory" help:"The directory of the authority, Let's Encrypt's if it is not given."`
	ACMEDir     string   `name:"acme-dir" group:"server" default:"./parlor-acme" help:"Where keys and certificates that were got are kept."`

	DrainTimeout time.Duration `group:"server" default:"5s" help:"How long running answers may take to end when the server is stopped; those that have not begin again with the next start."`

	RetainFor   time.Duration `group:"server" default:"0s" help:"Delete chats in which nothing was said for so long; 0s keeps them for ever."`
	RetainBytes Size          `group:"server" default:"0" help:"While more of the file than this is in use, for example 10GiB, delete chats of those users whose chats take most, idle longest first; 0 for no limit. Chats that somebody is in stay."`

	BackupTo         string        `group:"server" placeholder:"TARGET" help:"Where backups are kept that the server makes by itself: a directory, or s3://BUCKET/PREFIX. None are made if it is not given."`
	BackupEvery      time.Duration `group:"server" default:"24h" help:"Time between two such backups."`
	BackupKeep       int           `group:"server" default:"7" help:"How many of them are kept, the newest; 0 for any number."`
	BackupKeepFor    time.Duration `group:"server" default:"0s" help:"Age at which one is removed; 0s for none. The newest one always stays."`
	BackupTimeout    time.Duration `group:"server" default:"1h" help:"How long one may take; then it has failed."`
	BackupS3Endpoint string        `name:"backup-s3-endpoint" group:"server" placeholder:"URL" help:"What speaks S3, if it is not Amazon's."`
	BackupS3Region   string        `name:"backup-s3-region" group:"server" placeholder:"NAME" help:"The region of the bucket; it is asked for if it is not given."`
	BackupS3Key      string        `name:"backup-s3-key" group:"server" alsoenv:"AWS_ACCESS_KEY_ID" placeholder:"ID" help:"Who asks there. Also taken from AWS_ACCESS_KEY_ID."`
	BackupS3Secret   Secret        `name:"backup-s3-secret" group:"server" alsoenv:"AWS_SECRET_ACCESS_KEY" placeholder:"SECRET" help:"What proves that. Also taken from AWS_SECRET_ACCESS_KEY."`

	MaxChatsPerUser int  `group:"server" default:"10000" help:"Chats that one user may have; another is refused as quota_exceeded. 0 for no limit."`
	MaxBytesPerUser Size `group:"server" default:"1GiB" help:"Bytes of the file that the chats of one user may take; what is said past it is refused as quota_exceeded. 0 for no limit."`

	MaxFoldersPerUser int `group:"server" default:"100" help:"Folders that one user may put chats in; another is refused as quota_exceeded. 0 for no limit."`
	MaxPinnedPerUser  int `group:"server" default:"100" help:"Chats that one user may pin; another is refused as quota_exceeded. 0 for no limit."`

	Metrics bool `group:"server" help:"Serve numbers for Prometheus at /metrics, to whoever can reach the server."`

	JWTSecret        Secret        `name:"jwt-secret" group:"access" placeholder:"SECRET" help:"What users' tokens are signed with (HS256). Better not given as a flag: other users of this computer can see those."`
	JWTSecretFile    string        `name:"jwt-secret-file" group:"access" placeholder:"FILE" help:"A file that holds the secret instead."`
	JWTKeyFile       string        `name:"jwt-key-file" group:"access" placeholder:"FILE" help:"A PEM file of public keys or certificates, whose private keys sign users' tokens (RS, PS, ES or EdDSA)."`
	JWTJWKSURL       string        `name:"jwt-jwks-url" group:"access" placeholder:"URL" help:"Where an identity provider publishes the public keys of its tokens (JWKS)."`
	JWTAlgorithms    []string      `name:"jwt-algorithms" group:"access" placeholder:"NAME" help:"The only algorithms that tokens may be signed with, for example ES256. If none is given, HS256 for the secret and all that fit for public keys."`
	JWTIssuer        string        `name:"jwt-issuer" group:"access" placeholder:"NAME" help:"What tokens must have in iss. If it is not given nobody looks at iss."`
	JWTAudience      []string      `name:"jwt-audience" group:"access" placeholder:"NAME" help:"What tokens must have in aud, one of these. If none is given nobody looks at aud."`
	JWTLeeway        time.Duration `name:"jwt-leeway" group:"access" default:"10s" help:"How much the clocks of this server and of the one that signs tokens may differ."`
	JWTJWKSRefresh   time.Duration `name:"jwt-jwks-refresh" group:"access" default:"1h" help:"Age at which the keys of jwt-jwks-url are fetched again. While that fails, the last ones go on."`
	JWTJWKSPause     time.Duration `name:"jwt-jwks-pause" group:"access" default:"10s" help:"Least time between two fetches. A token of a key that is not known yet has them fetched at once, if it has passed."`
	JWTClaimUser     string        `name:"jwt-claim-user" group:"access" default:"sub" help:"The claim of a token that holds the user's id."`
	JWTClaimName     string        `name:"jwt-claim-name" group:"access" default:"name" help:"The one that holds the name; a.b is b in the object a."`
	JWTClaimEmail    string        `name:"jwt-claim-email" group:"access" default:"email" help:"The one that holds the address."`
	JWTClaimAdmin    string        `name:"jwt-claim-admin" group:"access" default:"role=admin" placeholder:"CLAIM=VALUE" help:"What administrators have in their tokens, alone or in a list; empty for no such claim."`
	Admins           []string      `name:"admins" group:"access" placeholder:"ID" help:"Users who are administrators, whatever their tokens say. It opens no chat to them."`
	Passwords        Toggle        `name:"passwords" group:"access" default:"off" choices:"on,off" help:"on or off: people sign in on the page with the passwords that parlor user add gives them."`
	LoginRate        int           `name:"login-rate" group:"access" default:"10" help:"Passwords that may be tried in a minute, for one user and from one address."`
	OIDCIssuer       string        `name:"oidc-issuer" group:"access" placeholder:"URL" help:"An OpenID Connect provider that people sign in with on the page."`
	OIDCClientID     string        `name:"oidc-client-id" group:"access" placeholder:"ID" help:"What this server is called there."`
	OIDCClientSecret Secret        `name:"oidc-client-secret" group:"access" placeholder:"SECRET" help:"What it proves that with; none for a public client."`
	OIDCRedirectURL  string        `name:"oidc-redirect-url" group:"access" placeholder:"URL" help:"Where the provider sends browsers back to, as it was told there; if it is not given, …/api/v1/auth/oidc/callback of the address that the browser came to."`
	OIDCReturnURL    string        `name:"oidc-return-url" group:"access" placeholder:"URL" help:"Where browsers go then, with a temp_token, for example https://app.example.com/login-success of the assistant SPA; if it is not given, to the page of this server."`
	OIDCAllow        []string      `name:"oidc-allow" group:"access" placeholder:"ADDRESS" help:"Verified addresses that may sign in with it, or whole domains such as @example.com; everybody whom it knows if none is given."`
	Guests           Toggle        `name:"guests" group:"access" default:"off" choices:"on,off" help:"on or off: people without an account may come by an invitation to its chat, under a name that they choose."`
	GuestRate        int           `name:"guest-rate" group:"access" default:"10" help:"Guests that may come in a minute from one address."`
	LinkIssuers      []string      `name:"link-issuers" group:"access" placeholder:"URL" help:"Issuers that are trusted to verify addresses: oidc-issuer, jwt-issuer, or both. Users with the same verified address are one person then; without it only parlor user link makes two users one."`
	SessionTTL       time.Duration `name:"session-ttl" group:"access" default:"720h" help:"How long somebody who has signed in with a browser stays signed in without coming back."`
	AccessTTL        time.Duration `name:"access-ttl" group:"access" default:"15m" help:"How long the token of such a session is good; a page gets the next by itself."`
	MaxSignIns       int           `name:"max-sign-ins" group:"access" default:"50" help:"Browsers in which one user may be signed in; past it the oldest is signed out."`
	CORSOrigins      []string      `name:"cors-origins" group:"access" placeholder:"ORIGIN" help:"Other origins whose pages may use this server, for example https://app.example.com."`

	TrustedProxies []string `name:"trusted-proxies" group:"access" placeholder:"ADDRESS" help:"Addresses or ranges of proxies, for example 127.0.0.1 or 10.0.0.0/8, whose X-Forwarded-For, -Host and -Proto count (docs/proxies.md)."`

	Models            []provider.Config `group:"assistants" sep:"none" placeholder:"JSON" help:"Models to offer, a list of {\"model_id\", \"provider\", …}. Easier to write in the file."`
	Providers         providers         `group:"assistants" mapsep:"none" placeholder:"JSON" help:"Providers to add or to change, by name: {\"base_url\", \"key_var\", \"key_header\", \"api\", \"discover\", …}. Easier to write in the file."`
	Tools             httpTools         `name:"tools" group:"assistants" mapsep:"none" placeholder:"JSON" help:"Tools behind URLs, by name: {\"url\", \"description\", \"parameters\", \"headers\", \"secret_var\", \"approval\", \"guide\"}, or {\"openapi\", \"operations\"} for those of a document. Easier to write in the file."`
	MCPServers        mcpServers        `name:"mcp_servers" group:"assistants" mapsep:"none" placeholder:"JSON" help:"Servers of the Model Context Protocol, by name: {\"command\", \"args\", \"env\"} or {\"url\", \"headers\"}, and \"approval\". Easier to write in the file (docs/tools.md)."`
	ToolSettings      toolSettings      `name:"tool_settings" group:"assistants" mapsep:"none" placeholder:"JSON" help:"How tools run, by name: {\"approval\", \"idempotent\", \"timeout\", \"guide\", \"users\"}. Easier to write in the file."`
	Discover          bool              `group:"assistants" default:"true" help:"Offer the models that providers with a key, and Ollama, vLLM, llama.cpp and LM Studio on this computer, say they have; --discover=false for not."`
	DiscoverEvery     time.Duration     `group:"assistants" default:"10m" help:"Time between two looks at which models those with a key have."`
	DiscoverTimeout   time.Duration     `group:"assistants" default:"10s" help:"Longest wait for a provider's list of models. The start does not wait."`
	DiscoverLimit     int               `group:"assistants" default:"200" help:"Models that are offered of one provider, unless it has a discover_limit."`
	ModelsOnly        bool              `group:"assistants" help:"Let nobody ask another model than those of models, and eliza. Without it any user may ask any model of every provider that can be reached, on your keys."`
	OpenAIAPIKey      Secret            `name:"openai-api-key" group:"assistants" alsoenv:"OPENAI_API_KEY" placeholder:"KEY" help:"Key for OpenAI, or for what --openai-base-url names. Also taken from OPENAI_API_KEY."`
	OpenAIBaseURL     string            `name:"openai-base-url" group:"assistants" alsoenv:"OPENAI_BASE_URL" placeholder:"URL" help:"Where an OpenAI-compatible API answers. Also taken from OPENAI_BASE_URL."`
	FileShare         int               `group:"assistants" default:"50" help:"How much of what a model can read the files of a conversation may take, in percent; what is more is left out, and said to be."`
	ContextWindow     int               `group:"assistants" default:"32768" help:"Tokens that a model can read whose context_window is not set; what is older is left out of its prompts."`
	Budgets           []ledger.Budget   `group:"assistants" sep:"none" placeholder:"JSON" help:"Limits of what may be used, a list of {\"user\", \"chat\", \"model\", \"provider\", \"period\", \"tokens\"}. Easier to write in the file."`
	Currency          string            `group:"assistants" default:"USD" placeholder:"CODE" help:"Currency of the prices in models, by its three letters."`
	Titles            Toggle            `group:"assistants" default:"on" choices:"on,off" help:"on or off: give a chat a title when its first answer is there, unless somebody has."`
	TitleModel        chat.ModelID      `group:"assistants" placeholder:"ID" help:"Model that is asked for titles, instead of each chat's own. Without a model the first words are the title."`
	SystemPrompt      string            `group:"assistants" placeholder:"TEXT" help:"What assistants are told before every conversation."`
	ElizaWordDelay    time.Duration     `group:"assistants" default:"40ms" help:"Pause between the words of eliza, the embedded assistant; 0s for none."`
	TurnTimeout       time.Duration     `group:"assistants" default:"10m" help:"Longest time for a whole answer."`
	ProviderTimeout   time.Duration     `group:"assistants" default:"10s" help:"Longest time to open a connection to a provider."`
	FirstTokenTimeout time.Duration     `group:"assistants" default:"60s" help:"Longest wait for an answer's first word, and for a provider that says it is busy."`
	ThinkingTimeout   time.Duration     `group:"assistants" default:"5m" help:"Longest wait for the first word of models that are known to think in silence, such as o3, and of all models of DeepSeek and OpenRouter."`
	KeepAliveTimeout  time.Duration     `group:"assistants" default:"5m" help:"Longest wait for a first word while the provider goes on showing that it is there, by comments in its stream."`
	SilenceTimeout    time.Duration     `group:"assistants" default:"60s" help:"Longest pause within an answer."`
	TurnPolicy        string            `group:"assistants" default:"queue" choices:"queue,steer,interrupt,reject,merge,rollback" help:"What becomes of a message while an answer is being given, unless its chat or its sender says otherwise: queue, steer (it joins the answer where that pauses), interrupt, reject, merge (it is answered with what its author last said and still waits) or rollback (it takes the place of the question, if that is its author's)."`
	MaxStreams        int               `group:"assistants" default:"1000" help:"Answers of one provider at once, of one user three quarters of them; others wait, as long as for a first word."`
	Retries           int               `group:"assistants" default:"2" help:"Times that a provider is asked again when it failed before the first word. One that says it is busy (429, 529, some 503) is waited for instead, unless the model has fallbacks."`
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

	MaxConnections     int           `group:"limits" default:"100000" help:"Most clients connected at once; others are told to come back later."`
	MaxMessageBytes    Size          `group:"limits" default:"64KiB" help:"Longest message."`
	MaxAnswerBytes     Size          `group:"limits" default:"256KiB" help:"Longest answer of an assistant with its thought; past it the turn fails."`
	MaxFileBytes       Size          `group:"limits" default:"10MiB" help:"Largest file that can be uploaded to a chat."`
	MaxImageBytes      Size          `group:"limits" default:"4MiB" help:"Largest image among those; providers take no larger ones."`
	PDFTimeout         time.Duration `name:"pdf-timeout" group:"limits" default:"30s" help:"Longest time to read the text of a PDF file, and to wait for its turn; 0s refuses PDF files."`
	PDFMemory          Size          `name:"pdf-memory" group:"limits" default:"256MiB" help:"Most memory for one PDF file that is read."`
	MaxPDFReaders      int           `name:"max-pdf-readers" group:"limits" default:"1" help:"PDF files that are read at once; others wait, and users take turns."`
	MaxImportBytes     Size          `group:"limits" default:"16MiB" help:"Largest file of one chat that a user can import."`
	MaxFilesPerChat    int           `group:"limits" default:"500" help:"Files that a chat may have."`
	MaxMessageFiles    int           `group:"limits" default:"10" help:"Files that a message, or an upload, may bring."`
	MaxPayload         Size          `group:"limits" default:"1000000" help:"Most bytes of one packet or poll from a client."`
	Window             int           `group:"limits" default:"128" help:"Commands of one session that may be under way at once, at most half of window-per-user."`
	WindowPerUser      int           `group:"limits" default:"32" help:"Those of all sessions of one user, besides one for each; what more they send waits. 0 for no limit."`
	QueueBytes         Size          `group:"limits" default:"1MiB" help:"Bytes that may wait for a slow client, pieces of answers joined, before it is cut off; it reconnects."`
	UIMaxBody          Size          `name:"ui-max-body" group:"limits" default:"4MiB" help:"Most bytes of one request of the AI SDK's useChat, which sends the whole conversation unless the app says otherwise."`
	UIMaxRequests      int           `name:"ui-max-requests" group:"limits" default:"16" help:"Requests of useChat that go on at once on one WebSocket."`
	UIReplayWindow     time.Duration `name:"ui-replay-window" group:"limits" default:"2m" help:"How long after its end an answer is told again to a useChat that comes back; 0s for not at all."`
	UIKeepAlive        time.Duration `name:"ui-keep-alive" group:"limits" default:"15s" help:"Time between signs of life in a stream for useChat."`
	PingInterval       time.Duration `group:"limits" default:"25s" help:"Time between heartbeats."`
	PingTimeout        time.Duration `group:"limits" default:"20s" help:"Longest wait for the answer to a heartbeat."`
	ConnectTimeout     time.Duration `group:"limits" default:"45s" help:"Longest time from opening a connection to signing in."`
	RecoveryWindow     time.Duration `group:"limits" default:"24h" help:"Time in which a client that lost its connection can come back and miss nothing; 0s for none."`
	MaxSessions        int           `group:"limits" default:"100000" help:"Sessions that are remembered for clients that come back."`
	MaxSessionsPerUser int           `group:"limits" default:"0" help:"Those of one user, of which the oldest are forgotten first; 0 for a hundredth of them, but at least 16."`
	MaxReads           int           `group:"limits" default:"0" help:"Queries that read histories, lists or usage at once; 0 for as many as there are processors."`
	MaxReadsPerUser    int           `group:"limits" default:"0" help:"Those of one user at once, while others of that user wait; 0 for half of them."`
	MaxSearchBytes     Size          `group:"limits" default:"8MiB" help:"Bytes of a user's chats that one page of a search looks through; the next page goes on there."`
	MaxWaitingReads    int           `group:"limits" default:"1024" help:"Those of one user that may wait; past it another is refused."`
	MaxJoinedRooms     int           `group:"limits" default:"100" help:"Rooms that one session may have joined."`
	MaxRoomsPerUser    int           `group:"limits" default:"1000" help:"Rooms that one user may have in memory; past half of it those not in use leave at once, and past it no more are woken. 0 for no limit."`
	MaxBranches        int           `group:"limits" default:"20000" help:"Branches of one chat: edits, answers given anew, and selections with something said behind them."`
	MaxMembers         int           `group:"limits" default:"100" help:"Members of one chat, with its owner."`
	MaxListedMembers   int           `group:"limits" default:"100" help:"People in one room of whom the others are told that they are there; of more only the number."`
	MaxRestarts        int           `group:"limits" default:"10" help:"Failures of a room within a minute, past which it is quarantined."`
	RoomIdleTimeout    time.Duration `group:"limits" default:"5m" help:"Time after which a room that nobody uses leaves memory."`

	Webhooks           []webhook.Config `group:"server" sep:"none" placeholder:"JSON" help:"Where other backends are told what is recorded, a list of {\"name\", \"url\", \"secret_var\", \"events\", \"chats\", \"users\"} (docs/backends.md). Easier to write in the file."`
	WebhookTimeout     time.Duration    `group:"server" default:"15s" help:"Longest time for one delivery of a webhook, or for one push."`
	WebhookRetryDelay  time.Duration    `group:"server" default:"5s" help:"Pause before a delivery that has failed is made again; each is about twice the one before, up to an hour."`
	WebhookRetryFor    time.Duration    `group:"server" default:"24h" help:"How long it is made again, before it becomes a dead letter (parlor webhook dead); 0s for not."`
	WebhookConcurrency int              `group:"server" default:"8" help:"Deliveries of one webhook at once, each of another chat."`
	MaxDeadLetters     int              `group:"server" default:"10000" help:"Deliveries that were given up and are kept; the oldest is dropped for one more."`
	FetchHosts         []string         `group:"assistants" placeholder:"HOST" help:"Hosts whose pages the tool fetch may read: names, *.NAME for all below one, or * for all. None: there is no such tool (docs/tools.md)."`
	PrivateTargets     []string         `group:"access" placeholder:"ADDRESS" help:"Private addresses or ranges that webhooks, pushes and sign-ins to MCP servers may go to, also in plain HTTP, for example 10.0.0.0/8; others are refused."`

	PushContact          string        `group:"server" placeholder:"CONTACT" help:"Whom push services can turn to, mailto:… or https://…: with it people who left are told by Web Push when a long answer ends (docs/backends.md)."`
	VAPIDPrivateKey      Secret        `name:"vapid-private-key" group:"server" placeholder:"KEY" help:"The key that pushes are signed with, 32 bytes in base64url; one that is made and kept in the file if it is not given."`
	PushAfter            time.Duration `group:"server" default:"10s" help:"How long an answer takes at least, to be told of by push."`
	PushContent          Toggle        `group:"server" default:"off" choices:"on,off" help:"on or off: a push holds the title of the chat and the beginning of the answer, encrypted for the browser."`
	MaxPushSubscriptions int           `group:"limits" default:"10" help:"Browsers of one user that are told by push; past it the oldest is forgotten."`

	MaxClientTools     int           `group:"limits" default:"32" help:"Tools that one page may offer in a room (docs/tools.md)."`
	MaxClientToolBytes Size          `group:"limits" default:"32KiB" help:"Bytes that these may take: names, descriptions and parameters."`
	ClientToolTimeout  time.Duration `group:"limits" default:"5m" help:"Longest time in which a page has to answer a call, unless tool_settings says otherwise."`
	ClientToolGrace    time.Duration `group:"limits" default:"30s" help:"How long a call waits for another page that offers its tool, when the one that ran it has closed."`
	FetchMaxBytes      Size          `group:"limits" default:"2MiB" help:"Bytes of a page that the tool fetch reads."`
	FetchTimeout       time.Duration `group:"limits" default:"20s" help:"Longest time in which it reads a page."`
	ApprovalExpiry     time.Duration `group:"limits" default:"168h" help:"How long a call waits for a member to approve it; then it is denied."`

	MaxEmitBytes   Size          `group:"limits" default:"64KiB" help:"Longest arguments of an event that another backend sends to clients (docs/backends.md); at most half of queue-bytes."`
	MaxEmitTargets int           `group:"limits" default:"100" help:"Rooms, users or sessions that one such event may be for."`
	MaxEmitRate    int           `group:"limits" default:"10000" help:"Such events, and calls, in a second for each API key's user; 0 for no limit."`
	MaxCalls       int           `group:"limits" default:"1000" help:"Calls of other backends that wait for a client at once."`
	MaxCallTimeout time.Duration `group:"limits" default:"1m" help:"Longest time that such a call may wait."`

	MaxPromptBytes        Size `group:"limits" default:"1MiB" help:"Longest request of OpenAI's API (docs/openai.md), which may bring a whole conversation."`
	MaxCompletionsPerUser int  `group:"limits" default:"32" help:"Answers of that API that belong to no chat and that one user may have at once; past it another is refused."`

	MaxMCPWait   time.Duration `name:"max-mcp-wait" group:"limits" default:"55s" help:"Longest time for which an agent waits for news in one call (docs/mcp.md); many give up after a minute."`
	MaxMCPResult Size          `name:"max-mcp-result" group:"limits" default:"48KiB" help:"About how many bytes an agent is told by one call."`

	MaxConnectionsPerAddress int  `group:"limits" default:"0" help:"Clients of one address, or of one IPv6 network of 64 bits; 0 for a quarter of max-connections. Behind a proxy it needs trusted-proxies."`
	MaxConnectionsPerUser    int  `group:"limits" default:"1000" help:"Clients of one user; 0 for no limit."`
	MaxUserRate              int  `group:"limits" default:"200" help:"Events and HTTP requests of one user in a second, ten times as many after ten seconds of silence; a long one counts once for each 4 KiB. 0 for no limit."`
	MaxEventRate             int  `group:"limits" default:"100" help:"Those of one user and one kind; 0 for no limit."`
	MaxGuestRate             int  `group:"limits" default:"5" help:"Events and HTTP requests of one guest in a second, on average over ten; 0 for no limit."`
	MaxAddressRate           int  `group:"limits" default:"5000" help:"Those from one address, or one IPv6 network of 64 bits; 0 for no limit. Behind a proxy it needs trusted-proxies."`
	MaxStrangerPayload       Size `group:"limits" default:"64KiB" help:"Most bytes of one packet or poll from a client that has not signed in yet."`
	MaxStrangerBytes         Size `group:"limits" default:"32MiB" help:"Bytes of such packets and polls that are kept while they arrive, of all those clients together; past it the slowest are cut off."`
	MaxAuthBytes             Size `group:"limits" default:"16KiB" help:"Longest auth that a client may sign in with."`
	MaxRefusals              int  `group:"limits" default:"5" help:"Times that one connection may fail to sign in before it is closed."`
	MaxProbes                int  `group:"limits" default:"8" help:"Streams and bodies that are served at once to parlor doctor, which anybody may run; 0 answers it nothing."`

	MaxAuditEntries int `group:"limits" default:"10000" help:"Entries of the audit log of administrators that are kept; the oldest is dropped for one more."`

	LogLevel   slog.Level `group:"logging" default:"info" choices:"debug,info,warn,error" help:"debug, info, warn or error."`
	Traces     bool       `group:"logging" help:"Send an OpenTelemetry span for each turn, each request to a model and each call of a tool to where the OTEL_… variables say, by OTLP over HTTP, and the header traceparent to providers and HTTP tools (docs/operations.md)."`
	RequestLog bool       `group:"logging" help:"Log a line for each HTTP request, each event of a Socket.IO client, and each turn that ends: ids and numbers, nobody's words (docs/operations.md)."`

	LogFormat string `group:"logging" default:"text" choices:"text,json" help:"text or json."`
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

// Settings are the effective values and where they came from.
type Settings struct {
	Values
	keys   []crypto.PublicKey        // of jwt-key-file
	rows   []row                     // in the order of the fields of Values
	reload func() (*Settings, error) // reads the same sources again
}

// A row is a setting as people see it.
type row struct {
	name    string
	value   string         // a secret is hidden
	source  string         // "flag", "environment NAME", "file PATH:LINE" or "default"
	list    bool           // it is a list or a mapping, so errors quote the wrong entry and not the value
	choices []string       // the only values that it may have, if there are any
	lines   map[string]int // of the file, by the path of what is in a list or a mapping
}

// Development reports whether the server believes users without proof, since it
// has no key to verify tokens with.
func (s *Settings) Development() bool {
	return s.JWTSecret == "" && s.JWTKeyFile == "" && s.JWTJWKSURL == "" && s.OIDCIssuer == "" && s.Passwords != "on"
}

// accounts are the settings about those who sign in here.
func (s *Settings) accounts(store *persistence.Store, log *slog.Logger) auth.AccountOptions {
	hasChats := func(user string) bool {
		_, n, err := store.Chats(user, 0, 0)
		return err != nil || n > 0
	}
	return auth.AccountOptions{Store: store, SessionTTL: s.SessionTTL, AccessTTL: s.AccessTTL, MaxSignIns: s.MaxSignIns, Logger: log, HasChats: hasChats}
}

// auth are the settings about tokens.
func (s *Settings) auth() auth.Options {
	o := auth.Options{
		Secret: string(s.JWTSecret), Keys: s.keys, JWKSURL: s.JWTJWKSURL, JWKSRefresh: s.JWTJWKSRefresh, JWKSPause: s.JWTJWKSPause,
		Algorithms: s.JWTAlgorithms, Leeway: s.JWTLeeway, Issuer: s.JWTIssuer, Audience: s.JWTAudience, LinkIssuers: s.LinkIssuers,
		Claims: auth.Claims{User: s.JWTClaimUser, Name: s.JWTClaimName, Email: s.JWTClaimEmail, Admin: s.JWTClaimAdmin},
	}
	o.Passwords, o.LoginRate = s.Passwords == "on", s.LoginRate
	o.Guests, o.GuestRate = s.Guests == "on", s.GuestRate
	o.Provider = auth.ProviderOptions{
		Issuer: s.OIDCIssuer, ClientID: s.OIDCClientID, ClientSecret: string(s.OIDCClientSecret),
		RedirectURL: s.OIDCRedirectURL, ReturnURL: s.OIDCReturnURL, Allow: s.OIDCAllow,
	}
	for _, id := range s.Admins {
		o.Admins = append(o.Admins, chat.UserID(id))
	}
	return o
}

func (s *Settings) row(name string) row {
	for _, r := range s.rows {
		if r.name == name {
			return r
		}
	}
	return row{name: name, source: fromDefault}
}
