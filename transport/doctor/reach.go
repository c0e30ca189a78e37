package doctor

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"parlor/transport/probe"
)

const apiPath = "/api/v1"

// expiresSoon is how long before its end a certificate should have been renewed.
const expiresSoon = 14 * 24 * time.Hour

// checkCertificate looks at the certificate of the server. If it is not valid the other
// checks go on without looking. It reports false if nobody can be reached.
func (e *examination) checkCertificate(ctx context.Context) bool {
	if e.base.Scheme != "https" {
		e.report.add(Finding{"certificate", Note, "people come without TLS: others on the way can read and change everything", ""})
		return true
	}
	host, port := e.base.Hostname(), e.base.Port()
	if port == "" {
		port = "443"
	}
	ctx, cancel := context.WithTimeout(ctx, e.Timeout)
	defer cancel()
	dialer := tls.Dialer{Config: e.tls}
	conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(host, port))
	if err == nil {
		defer conn.Close()
		e.report.add(e.certificateFound(conn.(*tls.Conn).ConnectionState().PeerCertificates[0]))
		return true
	}
	invalid, is := errors.AsType[*tls.CertificateVerificationError](err)
	if !is {
		e.report.add(Finding{"certificate", Fault, "no TLS connection to " + e.base.Host + ": " + plain(err).Error(), ""})
		return false
	}
	e.report.add(invalidCertificate(host, invalid))
	e.tls.InsecureSkipVerify = true // the person was told, and no secret is sent
	return true
}

func (e *examination) certificateFound(c *x509.Certificate) Finding {
	left := c.NotAfter.Sub(e.Now())
	until := c.NotAfter.UTC().Format("2006-01-02 15:04 UTC")
	if left < expiresSoon {
		return Finding{"certificate", Fault, "it ends soon, at " + until + ": see why it is not renewed", ""}
	}
	return Finding{"certificate", OK, "good until " + until, ""}
}

func invalidCertificate(host string, invalid *tls.CertificateVerificationError) Finding {
	leaf := invalid.UnverifiedCertificates[0]
	cure := Cure("")
	text := invalid.Err.Error()
	if name, is := errors.AsType[x509.HostnameError](invalid.Err); is {
		text = fmt.Sprintf("it is for another name: %.200q, not %s", strings.Join(name.Certificate.DNSNames, ", "), host)
	}
	if why, is := errors.AsType[x509.CertificateInvalidError](invalid.Err); is && why.Reason == x509.Expired {
		text = fmt.Sprintf("it has expired, or this clock is wrong: it is good from %s to %s", leaf.NotBefore.Format(time.DateTime), leaf.NotAfter.Format(time.DateTime))
	}
	if _, is := errors.AsType[x509.UnknownAuthorityError](invalid.Err); is {
		text, cure = fmt.Sprintf("nobody known vouches for it. It is signed by %.200q, and the server has sent %d certificate(s)", leaf.Issuer.String(), len(invalid.UnverifiedCertificates)), FullChain
		if leaf.Issuer.String() == leaf.Subject.String() {
			text, cure = "it is signed by itself, so browsers refuse it", ""
		}
	}
	return Finding{"certificate", Fault, text, cure}
}

// reach finds parlor behind the URL. It reports false if the other checks have no sense.
func (e *examination) reach(ctx context.Context) bool {
	for range maxHops {
		begun := time.Now()
		nonce := rand.Text()
		arrived, a, err := e.askProbe(ctx, http.MethodGet, "nonce="+nonce, func(r *http.Request) { r.Header.Set("Origin", e.origin()) })
		if err != nil {
			e.fault("reach", "", "%s", err)
			return false
		}
		if a.StatusCode/100 == 3 {
			if !e.followed(a) {
				return false
			}
			continue
		}
		if arrived == nil {
			return e.withoutProbe(ctx, a)
		}
		e.arrived = arrived
		e.report.add(e.reached(arrived, nonce, time.Since(begun)))
		return true
	}
	e.fault("reach", "", "redirects lead on and on: is TLS ended twice, or the path changed?")
	return false
}

func (e *examination) fault(check string, cure Cure, format string, args ...any) {
	e.report.add(Finding{check, Fault, fmt.Sprintf(format, args...), cure})
}

func (e *examination) reached(a *probe.Arrived, nonce string, took time.Duration) Finding {
	switch {
	case a.Nonce == "":
		return Finding{"reach", Fault, "the query of the URL (what is behind ?) does not reach parlor", NoCache}
	case a.Nonce != nonce:
		return Finding{"reach", Fault, "an old answer came from a cache, although parlor has forbidden that (Cache-Control: no-store)", NoCache}
	}
	return Finding{"reach", OK, fmt.Sprintf("parlor answers in %d ms", took.Milliseconds()), ""}
}

// followed goes to where a redirect leads, if it is another address of the same server.
func (e *examination) followed(a *answer) bool {
	to, err := a.Location()
	if err != nil {
		e.fault("reach", "", "a redirect that leads nowhere: %s", a.said())
		return false
	}
	path, ours := strings.CutSuffix(to.Path, apiPath+probe.Path)
	if !ours || to.Scheme != "http" && to.Scheme != "https" || e.base.Scheme == "https" && to.Scheme == "http" {
		e.fault("reach", "", "requests are redirected to %.200q: it is a page for people to sign in, or another address", to.String())
		return false
	}
	next := &url.URL{Scheme: to.Scheme, Host: to.Host, Path: path}
	if next.Host == e.base.Host {
		next.User = e.base.User
	}
	level, advice := Fault, "name that address to clients: a redirected POST loses its body, and WebSockets follow none"
	if next.Hostname() == e.base.Hostname() && next.Scheme == "https" && e.base.Scheme == "http" {
		level, advice = Note, "it is tried from here on"
	}
	e.report.add(Finding{"reach", level, fmt.Sprintf("redirected to %.200q: %s", next.Redacted(), advice), ""})
	if next.Scheme != e.base.Scheme || next.Host != e.base.Host || next.Path != e.base.Path {
		e.base = next
	}
	return true
}

// withoutProbe says what it is that has answered, if it is not the probe of parlor. It
// reports true if it is parlor nevertheless.
func (e *examination) withoutProbe(ctx context.Context, a *answer) bool {
	if e.elsewhere(ctx, a) {
		return false
	}
	switch {
	case a.StatusCode == http.StatusUnauthorized && a.Header.Get("WWW-Authenticate") != "":
		e.fault("reach", "", "the proxy asks for a password of its own: give it as %s://USER:PASSWORD@%s", e.base.Scheme, e.base.Host)
	case a.StatusCode == http.StatusForbidden && bytes.HasPrefix(a.body, []byte("development mode")):
		e.fault("reach", "", "parlor answers, and %s", strings.TrimSpace(string(a.body[:min(len(a.body), 300)])))
	case a.StatusCode == http.StatusBadGateway || a.StatusCode == http.StatusGatewayTimeout || a.StatusCode == http.StatusServiceUnavailable:
		e.fault("reach", "", "the proxy answers, and does not reach parlor: %s. Does parlor run, and listen where the proxy asks?", a.said())
	case problem(a) && a.StatusCode == http.StatusNotFound:
		e.report.add(Finding{"reach", Note, "parlor answers, and does not help doctors: it is of an older version, or max-probes is 0. So only a part can be tried", ""})
		return true
	default:
		e.fault("reach", "", "no parlor answers here: %s", a.said())
	}
	return false
}

// elsewhere reports whether parlor answers at the top, where the URL has a path.
func (e *examination) elsewhere(ctx context.Context, a *answer) bool {
	if e.base.Path == "" || a.StatusCode != http.StatusNotFound {
		return false
	}
	top := *e
	top.base = &url.URL{Scheme: e.base.Scheme, Host: e.base.Host, User: e.base.User}
	arrived, _, err := top.askProbe(ctx, http.MethodGet, "", nil)
	if err != nil || arrived == nil && !problem(a) {
		return false
	}
	e.fault("reach", PathPrefix, "parlor does not know the path %.100q: neither does the proxy take it away, nor does base-path name it", e.base.Path)
	return true
}

// problem reports whether an answer is an error of parlor.
func problem(a *answer) bool {
	var p struct{ Code string }
	return strings.HasPrefix(a.Header.Get("Content-Type"), "application/problem+json") && json.Unmarshal(a.body, &p) == nil && p.Code != ""
}

// arrivedIn returns what an answer of the probe says, nil if it is none.
func arrivedIn(a *answer) *probe.Arrived {
	var arrived probe.Arrived
	if a.StatusCode != http.StatusOK || json.Unmarshal(a.body, &arrived) != nil || arrived.Server != "parlor" {
		return nil
	}
	return &arrived
}

func readSome(r io.Reader) ([]byte, error) { return io.ReadAll(io.LimitReader(r, maxAnswer)) }
