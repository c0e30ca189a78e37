package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"parlor/actors/ledger"
	wire "parlor/protocol/assistant"
	"parlor/transport/auth"
	"parlor/transport/listen"
	"parlor/transport/provider"
	"parlor/transport/tools"
	"parlor/transport/tools/mcp"
	"parlor/transport/webhook"
)

// check returns an error for each value that is wrong, with the name, value and
// source of the setting.
func (s *Settings) check() error {
	var faults []error
	for _, r := range s.rows {
		if r.choices != nil && !slices.Contains(r.choices, r.value) {
			faults = append(faults, r.fault(errors.New("must be "+strings.Join(r.choices, " or "))))
		}
	}
	for _, c := range slices.Concat(s.checksOfServer(), s.checksOfModels(), s.checksOfSignIn(), s.checksOfBackends(), s.checksOfChats(), s.checksOfClients()) {
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
		{"listen", listen.Check(s.Listen)},
		{"tls-key-file", s.checkKeyFile()},
		{"acme-hosts", s.checkACME()},
		{"acme-url", checkURL(s.ACMEURL)},
		{"acme-dir", wantText(s.ACMEDir)},
		{"drain-timeout", notNegative(s.DrainTimeout)},
		{"base-path", checkBasePath(s.BasePath)},
		{"data", wantText(s.Data)},
		{"encryption-key-command", s.checkEncryptionKeys()},
		{"encryption-key-timeout", positive(s.EncryptionKeyTimeout)},
		{"retain-for", notNegative(s.RetainFor)},
		{"backup-to", s.checkBackupTo()},
		{"backup-every", positive(s.BackupEvery)},
		{"backup-keep", notNegative(s.BackupKeep)},
		{"backup-keep-for", notNegative(s.BackupKeepFor)},
		{"backup-timeout", positive(s.BackupTimeout)},
		{"max-chats-per-user", notNegative(s.MaxChatsPerUser)},
		{"max-folders-per-user", notNegative(s.MaxFoldersPerUser)},
		{"max-pinned-per-user", notNegative(s.MaxPinnedPerUser)},
		{"cors-origins", checkOrigins(s.CORSOrigins)},
		{"trusted-proxies", checkProxies(s.TrustedProxies)},
	}
}

// checksOfModels are of providers, models and what they cost.
func (s *Settings) checksOfModels() []checked {
	return []checked{
		{"providers", provider.Validate(nil, s.Providers)},
		{"tools", tools.Validate(s.Tools)},
		{"mcp_servers", errors.Join(mcp.Validate(s.MCPServers), s.checkServerNames())},
		{"tool_settings", tools.ValidateSettings(s.ToolSettings)},
		{"models", s.checkModels()},
		{"context-window", positive(s.ContextWindow)},
		{"file-share", s.checkFileShare()},
		{"budgets", ledger.Validate(s.Budgets)},
		{"currency", checkCurrency(s.Currency)},
		{"openai-base-url", checkURL(s.OpenAIBaseURL)},
		{"eliza-word-delay", notNegative(s.ElizaWordDelay)},
		{"turn-timeout", positive(s.TurnTimeout)},
		{"provider-timeout", positive(s.ProviderTimeout)},
		{"first-token-timeout", positive(s.FirstTokenTimeout)},
		{"discover-every", positive(s.DiscoverEvery)},
		{"discover-timeout", positive(s.DiscoverTimeout)},
		{"discover-limit", positive(s.DiscoverLimit)},
		{"thinking-timeout", positive(s.ThinkingTimeout)},
		{"keep-alive-timeout", positive(s.KeepAliveTimeout)},
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

func (s *Settings) checksOfSignIn() []checked {
	return []checked{
		{"jwt-leeway", checkLeeway(s.JWTLeeway)},
		{"jwt-secret", s.checkSecret()},
		{"jwt-jwks-url", optionalURL(s.JWTJWKSURL, auth.CheckKeysURL)},
		{"jwt-algorithms", s.auth().CheckAlgorithms()},
		{"jwt-jwks-refresh", positive(s.JWTJWKSRefresh)},
		{"jwt-jwks-pause", positive(s.JWTJWKSPause)},
		{"jwt-claim-user", wantText(s.JWTClaimUser)},
		{"jwt-claim-name", wantText(s.JWTClaimName)},
		{"jwt-claim-email", wantText(s.JWTClaimEmail)},
		{"jwt-claim-admin", checkAdminClaim(s.JWTClaimAdmin)},
		{"oidc-issuer", optionalURL(s.OIDCIssuer, auth.CheckKeysURL)},
		{"oidc-client-id", s.checkClientID()},
		{"oidc-redirect-url", optionalURL(s.OIDCRedirectURL, auth.CheckKeysURL)},
		{"oidc-return-url", optionalURL(s.OIDCReturnURL, auth.CheckKeysURL)},
		{"oidc-allow", checkAddresses(s.OIDCAllow)},
		{"link-issuers", s.checkLinkIssuers()},
		{"login-rate", positive(s.LoginRate)},
		{"guest-rate", positive(s.GuestRate)},
		{"session-ttl", atLeast(s.SessionTTL, time.Minute)},
		{"access-ttl", atLeast(s.AccessTTL, time.Second)},
		{"max-sign-ins", positive(s.MaxSignIns)},
		{"admins", checkUsers(s.Admins)},
		{"jwt-audience", noneEmpty(s.JWTAudience)},
	}
}

// checksOfBackends are of what goes to and comes from other backends.
func (s *Settings) checksOfBackends() []checked {
	return []checked{
		{"webhooks", webhook.Validate(s.Webhooks, wire.HookEvents)},
		{"webhook-timeout", positive(s.WebhookTimeout)},
		{"webhook-retry-delay", positive(s.WebhookRetryDelay)},
		{"webhook-retry-for", notNegative(s.WebhookRetryFor)},
		{"webhook-concurrency", positive(s.WebhookConcurrency)},
		{"max-dead-letters", positive(s.MaxDeadLetters)},
		{"private-targets", checkProxies(s.PrivateTargets)},
		{"push-contact", checkContact(s.PushContact)},
		{"vapid-private-key", checkVAPID(s.VAPIDPrivateKey)},
		{"push-after", notNegative(s.PushAfter)},
		{"max-push-subscriptions", positive(s.MaxPushSubscriptions)},
		{"max-client-tools", positive(s.MaxClientTools)},
		{"max-client-tool-bytes", positive(s.MaxClientToolBytes)},
		{"client-tool-timeout", positive(s.ClientToolTimeout)},
		{"client-tool-grace", positive(s.ClientToolGrace)},
		{"fetch-hosts", tools.ValidateHosts(s.FetchHosts)},
		{"fetch-max-bytes", positive(s.FetchMaxBytes)},
		{"fetch-timeout", positive(s.FetchTimeout)},
		{"approval-expiry", positive(s.ApprovalExpiry)},
		{"max-emit-bytes", s.checkEmitBytes()},
		{"max-emit-targets", positive(s.MaxEmitTargets)},
		{"max-emit-rate", notNegative(s.MaxEmitRate)},
		{"max-calls", positive(s.MaxCalls)},
		{"max-call-timeout", positive(s.MaxCallTimeout)},
	}
}

// checksOfChats are of rooms, queries and files.
func (s *Settings) checksOfChats() []checked {
	return []checked{
		{"max-attempts", positive(s.MaxAttempts)},
		{"checkpoint-every", positive(s.CheckpointEvery)},
		{"max-queued-turns", positive(s.MaxQueuedTurns)},
		{"max-branches", positive(s.MaxBranches)},
		{"max-members", positive(s.MaxMembers)},
		{"max-listed-members", positive(s.MaxListedMembers)},
		{"max-restarts", positive(s.MaxRestarts)},
		{"max-prompt-bytes", positive(s.MaxPromptBytes)},
		{"max-completions-per-user", positive(s.MaxCompletionsPerUser)},
		{"max-reads", notNegative(s.MaxReads)},
		{"max-reads-per-user", notNegative(s.MaxReadsPerUser)},
		{"max-waiting-reads", positive(s.MaxWaitingReads)},
		{"max-search-bytes", positive(s.MaxSearchBytes)},
		{"max-rooms-per-user", notNegative(s.MaxRoomsPerUser)},
		{"max-joined-rooms", checkJoinedRooms(s.MaxJoinedRooms)},
		{"max-message-bytes", s.checkMessageBytes()},
		{"max-answer-bytes", s.checkAnswerBytes()},
		{"max-file-bytes", positive(s.MaxFileBytes)},
		{"max-image-bytes", positive(s.MaxImageBytes)},
		{"max-import-bytes", positive(s.MaxImportBytes)},
		{"pdf-timeout", checkPDFTimeout(s.PDFTimeout)},
		{"pdf-memory", checkPDFMemory(s.PDFMemory)},
		{"max-pdf-readers", positive(s.MaxPDFReaders)},
		{"max-files-per-chat", positive(s.MaxFilesPerChat)},
		{"max-message-files", positive(s.MaxMessageFiles)},
		{"room-idle-timeout", positive(s.RoomIdleTimeout)},
	}
}

// checksOfClients are of connections and requests.
func (s *Settings) checksOfClients() []checked {
	return []checked{
		{"max-connections", positive(s.MaxConnections)},
		{"max-connections-per-address", notNegative(s.MaxConnectionsPerAddress)},
		{"max-connections-per-user", notNegative(s.MaxConnectionsPerUser)},
		{"max-user-rate", notNegative(s.MaxUserRate)},
		{"max-event-rate", notNegative(s.MaxEventRate)},
		{"max-guest-rate", notNegative(s.MaxGuestRate)},
		{"max-address-rate", notNegative(s.MaxAddressRate)},
		{"max-stranger-payload", s.checkStrangerPayload()},
		{"max-stranger-bytes", s.checkStrangerBytes()},
		{"max-auth-bytes", positive(s.MaxAuthBytes)},
		{"max-refusals", positive(s.MaxRefusals)},
		{"max-probes", notNegative(s.MaxProbes)},
		{"recovery-window", notNegative(s.RecoveryWindow)},
		{"max-sessions", positive(s.MaxSessions)},
		{"max-sessions-per-user", notNegative(s.MaxSessionsPerUser)},
		{"max-mcp-wait", atLeast(s.MaxMCPWait, time.Second)},
		{"max-mcp-result", positive(s.MaxMCPResult)},
		{"max-audit-entries", positive(s.MaxAuditEntries)},
		{"max-payload", positive(s.MaxPayload)},
		{"window", positive(s.Window)},
		{"window-per-user", notNegative(s.WindowPerUser)},
		{"queue-bytes", positive(s.QueueBytes)},
		{"ui-max-body", positive(s.UIMaxBody)},
		{"ui-max-requests", positive(s.UIMaxRequests)},
		{"ui-replay-window", notNegative(s.UIReplayWindow)},
		{"ui-keep-alive", positive(s.UIKeepAlive)},
		{"ping-interval", positive(s.PingInterval)},
		{"ping-timeout", positive(s.PingTimeout)},
		{"connect-timeout", positive(s.ConnectTimeout)},
	}
}

func (r row) fault(why error) error {
	switch {
	case strings.HasPrefix(why.Error(), r.name+"["): // it names the place
		return fmt.Errorf("%w (from %s)", why, r.place(why))
	case r.list:
		return fmt.Errorf("%s: %w (from %s)", r.name, why, r.place(why))
	}
	return fmt.Errorf("%s: %q %w (from %s)", r.name, r.value, why, r.source)
}

// place is the source of the value, with the line of the part of it that why names.
func (r row) place(why error) string {
	line, ok := lineOf(r.name, why.Error(), r.lines)
	if colon := strings.LastIndex(r.source, ":"); ok && strings.HasPrefix(r.source, "file ") {
		return fmt.Sprintf("%s:%d", r.source[:colon], line)
	}
	return r.source
}
