package main

import (
	"errors"
	"fmt"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"parlor/protocol/chat"
	"parlor/transport/origin"
	"parlor/transport/provider"
	"parlor/transport/provider/upstream"
	"parlor/transport/push"
	"parlor/transport/tools"
)

// checkModels returns what is wrong with the models, but not what is wrong with
// the providers.
func (s *Settings) checkModels() error {
	if provider.Validate(nil, s.Providers) != nil {
		return nil // models that use a wrong provider would be reported too
	}
	return provider.Validate(s.Models, s.Providers)
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

// checkStrangerPayload leaves space for what is around auth in a packet.
func (s *Settings) checkStrangerPayload() error {
	const around = 1 << 10
	if s.MaxStrangerPayload < s.MaxAuthBytes+around {
		return fmt.Errorf("must be %v more than max-auth-bytes (%v), or no client could sign in with such an auth", Size(around), s.MaxAuthBytes)
	}
	return nil
}

func (s *Settings) checkStrangerBytes() error {
	if s.MaxStrangerBytes < s.MaxStrangerPayload {
		return fmt.Errorf("must not be less than max-stranger-payload (%v)", s.MaxStrangerPayload)
	}
	return nil
}

func (s *Settings) checkAnswerBytes() error {
	if s.MaxAnswerBytes > maxAnswerBytes {
		return fmt.Errorf("must not be more than %v", maxAnswerBytes)
	}
	return positive(s.MaxAnswerBytes)
}

func (s *Settings) checkEmitBytes() error {
	if s.MaxEmitBytes > s.QueueBytes/2 {
		return errors.New("must be at most half of queue-bytes: a client that is sent more is cut off")
	}
	return positive(s.MaxEmitBytes)
}

func checkContact(contact string) error {
	address, mail := strings.CutPrefix(contact, "mailto:")
	if contact == "" || mail && strings.Contains(address, "@") || strings.HasPrefix(contact, "https://") {
		return nil
	}
	return errors.New("must be mailto: and an address, or an https:// URL")
}

func checkVAPID(key Secret) error {
	if key == "" {
		return nil
	}
	_, err := push.ParseKey(string(key))
	return err
}

func (s *Settings) checkKeyFile() error {
	if (s.TLSCertFile == "") != (s.TLSKeyFile == "") {
		return errors.New("must be given together with tls-cert-file")
	}
	return nil
}

func (s *Settings) checkACME() error {
	switch i := slices.IndexFunc(s.ACMEHosts, func(host string) bool { return !hostPattern.MatchString(host) }); {
	case i >= 0:
		return fmt.Errorf("has %q, which is not the name of a host, such as chat.example.com (lower case, no port, no wildcard)", withoutSecrets(s.ACMEHosts[i]))
	case len(s.ACMEHosts) > 0 && s.TLSCertFile != "":
		return errors.New("cannot be given together with tls-cert-file")
	}
	return nil
}

// hostPattern is of the names that an authority gives certificates for.
var hostPattern = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z0-9]([a-z0-9-]*[a-z0-9])?$`)

// basePathPattern allows no characters that have a meaning in URLs or in the
// patterns of an http.ServeMux.
var basePathPattern = regexp.MustCompile(`^(/[A-Za-z0-9._~-]+)+$`)

// ownPaths are the first segments of paths that are served at the top.
var ownPaths = []string{"api", "healthz", "internal", "metrics", "readyz", "socket.io"}

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
			return fmt.Errorf("has %q, which is not an origin as browsers send it, such as https://app.example.com (lower case, no path, no wildcard)", withoutSecrets(origin))
		}
	}
	return nil
}

// validOrigin reports whether a browser could send origin (RFC 6454 §6.2). An
// origin that no browser sends would never match, and nobody would notice.
func validOrigin(origin string) bool {
	u, err := url.Parse(origin)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return false
	}
	return u.Scheme+"://"+u.Host == origin && strings.ToLower(origin) == origin && !strings.Contains(origin, "*")
}

func checkProxies(proxies []string) error {
	if _, err := origin.ParseProxies(proxies); err != nil {
		return fmt.Errorf("has %w", err)
	}
	return nil
}

// checkSecret refuses a public key as secret, which some frameworks ask for: everybody
// has it, and could sign tokens.
func (s *Settings) checkSecret() error {
	if strings.Contains(string(s.JWTSecret), "-----BEGIN") {
		return errors.New("is a key in PEM form and no secret: name a file of public keys with jwt-key-file")
	}
	return nil
}

func optionalURL(text string, check func(string) error) error {
	if text == "" {
		return nil
	}
	return check(text)
}

func (s *Settings) checkClientID() error {
	if s.OIDCIssuer != "" && s.OIDCClientID == "" {
		return errors.New("is missing: it goes with oidc-issuer")
	}
	return nil
}

// checkFileShare leaves space for what people say.
func (s *Settings) checkFileShare() error {
	if s.FileShare > 90 {
		return errors.New("must not be more than 90")
	}
	return positive(s.FileShare)
}

// checkLinkIssuers refuses issuers whose tokens are not known to be theirs.
func (s *Settings) checkLinkIssuers() error {
	for _, issuer := range s.LinkIssuers {
		if issuer == "" || issuer != s.OIDCIssuer && issuer != s.JWTIssuer {
			return fmt.Errorf("has %q, which is neither oidc-issuer nor jwt-issuer", issuer)
		}
	}
	return nil
}

func checkAddresses(list []string) error {
	for _, a := range list {
		if name, domain, ok := strings.Cut(a, "@"); !ok || domain == "" || strings.ContainsAny(name+domain, "@ ") {
			return fmt.Errorf("has %q, which is not an address such as ann@example.com or a domain such as @example.com", a)
		}
	}
	return nil
}

func checkAdminClaim(claim string) error {
	name, value, _ := strings.Cut(claim, "=")
	if claim != "" && (name == "" || value == "") {
		return errors.New("is not CLAIM=VALUE, such as role=admin")
	}
	return nil
}

func checkUsers(ids []string) error {
	for _, id := range ids {
		if fault := chat.UserID(id).Fault(); fault != "" {
			return fmt.Errorf("has %q, which %s", id, fault)
		}
	}
	return nil
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

// maxAnswerBytes is so small that each answer fits into one commit of the event
// log, even one of control characters only, each of which takes six bytes in JSON.
const maxAnswerBytes Size = 2 << 20

// mostJoinedRooms is how many rooms the record of a session on disk has space for.
const mostJoinedRooms = 1000

func checkJoinedRooms(n int) error {
	if n > mostJoinedRooms {
		return fmt.Errorf("must not be more than %d", mostJoinedRooms)
	}
	return positive(n)
}

// mostLeeway keeps tokens that have expired from being good for long.
const mostLeeway = 5 * time.Minute

func checkLeeway(d time.Duration) error {
	if d > mostLeeway {
		return fmt.Errorf("must not be more than %s", showDuration(mostLeeway))
	}
	return notNegative(d)
}

func wantText(s string) error {
	if s == "" {
		return errors.New("must not be empty")
	}
	return nil
}

func checkCurrency(code string) error {
	if len(code) != 3 || strings.Trim(code, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
		return errors.New("must be three capital letters, for example EUR")
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

func atLeast(d, least time.Duration) error {
	if d < least {
		return fmt.Errorf("must not be less than %s", showDuration(least))
	}
	return nil
}

// checkPDFTimeout refuses more than an upload may wait.
func checkPDFTimeout(d time.Duration) error {
	if d < 0 || d > time.Minute {
		return errors.New("must be between 0s and 1m")
	}
	return nil
}

// checkPDFMemory refuses memory in which PDFium cannot begin, or that WebAssembly cannot name.
func checkPDFMemory(bytes Size) error {
	if bytes < 32<<20 || bytes > 4<<30 {
		return errors.New("must be between 32MiB and 4GiB")
	}
	return nil
}

func notNegative[N ~int | ~int64](n N) error {
	if n < 0 {
		return errors.New("must not be less than 0")
	}
	return nil
}

// checkServerNames keeps the names by which models are offered the tools of pages, of
// documents and of servers apart.
func (s *Settings) checkServerNames() error {
	for name, t := range s.Tools {
		if _, taken := s.MCPServers[name]; t.OpenAPI != "" && (taken || name == tools.PageServer) {
			return fmt.Errorf("mcp_servers[%q]: NAME/* would stand for other tools too: tools[%q] has this name", name, name)
		}
	}
	if _, taken := s.MCPServers[tools.PageServer]; taken {
		return fmt.Errorf("mcp_servers[%q]: this name stands for the pages of members", tools.PageServer)
	}
	return nil
}
