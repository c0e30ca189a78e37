package listen

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"
)

// lookEvery is the least time between two looks at whether the files of a certificate
// have changed. A look is made when somebody connects.
const lookEvery = 10 * time.Second

// ACME says which certificates to get from an authority (RFC 8555). The authority asks
// for the proof at port 443 of each host, in a TLS handshake (tls-alpn-01, RFC 8737), so
// that port must lead here.
type ACME struct {
	Hosts []string // none: no certificates are got
	Email string   // where the authority can write to; may be empty
	URL   string   // the authority's directory
	Dir   string   // where keys and certificates are kept
}

// tls returns nil for a listener without TLS. Only HTTP/1.1 is spoken: WebSocket needs
// it, and the limits for those who have not signed in count connections.
func (o Options) tls(log *slog.Logger) (*tls.Config, *files, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}
	switch {
	case o.CertFile != "":
		f := &files{log: log}
		if _, err := f.reload(o.CertFile, o.KeyFile); err != nil {
			return nil, nil, err
		}
		config.GetCertificate = f.certificate
		return config, f, nil
	case len(o.ACME.Hosts) > 0:
		manager := &autocert.Manager{
			Prompt: autocert.AcceptTOS, Cache: autocert.DirCache(o.ACME.Dir), Email: o.ACME.Email,
			HostPolicy: autocert.HostWhitelist(o.ACME.Hosts...), Client: &acme.Client{DirectoryURL: o.ACME.URL},
		}
		config.GetCertificate = logged(o.ACME.Hosts, manager.GetCertificate, log)
		config.NextProtos = append(config.NextProtos, acme.ALPNProto)
		return config, nil, nil
	}
	return nil, nil, nil
}

// complainEvery is the least time between two complaints about the certificate of one host:
// anybody can ask for it.
const complainEvery = time.Minute

// logged logs when no certificate can be got for one of our hosts. That others ask for names
// that are not ours is no fault.
func logged(hosts []string, get func(*tls.ClientHelloInfo) (*tls.Certificate, error), log *slog.Logger) func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	var mu sync.Mutex
	last := make(map[string]time.Time)
	due := func(host string) bool {
		mu.Lock()
		defer mu.Unlock()
		if at, told := last[host]; told && time.Since(at) < complainEvery {
			return false
		}
		last[host] = time.Now()
		return true
	}
	return func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		c, err := get(hello)
		host := strings.ToLower(strings.TrimSuffix(hello.ServerName, "."))
		if err != nil && slices.ContainsFunc(hosts, func(ours string) bool { return strings.EqualFold(ours, host) }) && due(host) {
			log.Error("no certificate could be got", "host", host, "err", err)
		}
		return c, err
	}
}

// files are a certificate and its key on disk.
type files struct {
	cert, key string
	log       *slog.Logger

	mu     sync.Mutex
	now    *tls.Certificate
	stamp  [2]stamp // of the files that now was read from
	looked time.Time
}

// A stamp changes when a file does.
type stamp struct {
	size int64
	time time.Time
}

// certificate implements [tls.Config.GetCertificate].
func (f *files) certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if time.Since(f.looked) >= lookEvery {
		if changed, err := f.look(); err != nil {
			f.log.Error("the certificate's files have changed, and the one before is used on", "err", err)
		} else if changed {
			f.log.Info("another certificate is used from now on", "file", f.cert)
		}
	}
	return f.now, nil
}

// reload takes the certificate from other files, or reads its own again, also if they seem to be
// as they were: what replaces them may have their size and time.
func (f *files) reload(cert, key string) (changed bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	before, beforeKey := f.cert, f.key
	f.cert, f.key, f.stamp = cert, key, [2]stamp{}
	if changed, err = f.look(); err != nil {
		f.cert, f.key = before, beforeKey
	}
	return changed, err
}

// look reads the files if they have changed.
func (f *files) look() (changed bool, err error) {
	f.looked = time.Now()
	stamps, err := f.stamps()
	if err != nil || stamps == f.stamp {
		return false, err
	}
	pair, err := tls.LoadX509KeyPair(f.cert, f.key)
	if err != nil {
		return false, fmt.Errorf("certificate %s with key %s: %w", f.cert, f.key, err)
	}
	changed = f.now == nil || !slices.EqualFunc(f.now.Certificate, pair.Certificate, bytes.Equal)
	f.now, f.stamp = &pair, stamps
	return changed, nil
}

func (f *files) stamps() (stamps [2]stamp, err error) {
	for i, name := range []string{f.cert, f.key} {
		info, err := os.Stat(name)
		if err != nil {
			return stamps, err
		}
		stamps[i] = stamp{info.Size(), info.ModTime()}
	}
	return stamps, nil
}
