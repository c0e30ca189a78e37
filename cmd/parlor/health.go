package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// healthTimeout is how long the server may take to say how it is.
const healthTimeout = 5 * time.Second

// healthCmd asks the server of these settings whether it takes requests.
type healthCmd struct{ Values }

// Help implements [kong.HelpProvider].
func (*healthCmd) Help() string {
	return `For health checks of containers, where there is no curl. Asks /readyz at listen, takes the same settings as serve, and has the exit status 0 if the server takes requests and 1 if not.

    parlor health
    parlor health --listen unix:/run/parlor/parlor.sock`
}

// Run prints what the server says.
func (*healthCmd) Run(ctx context.Context, s *Settings, out *streams) error {
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	network, address, err := s.ownAddress()
	if err != nil {
		return err
	}
	scheme := "http"
	if s.TLSCertFile != "" || len(s.ACMEHosts) > 0 {
		scheme = "https"
	}
	// The certificate is not for this address, and the connection stays on this computer.
	config := &tls.Config{InsecureSkipVerify: true}
	if len(s.ACMEHosts) > 0 {
		config.ServerName = s.ACMEHosts[0]
	}
	client := http.Client{Transport: &http.Transport{
		TLSClientConfig: config, DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, address)
		},
	}}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://localhost/readyz", nil)
	if err != nil {
		return err
	}
	response, err := client.Do(r)
	if err != nil {
		return fmt.Errorf("nobody answers at %s (from %s): %w", s.Listen, s.row("listen").source, errors.Unwrap(err))
	}
	defer response.Body.Close()
	said, err := io.ReadAll(io.LimitReader(response.Body, 1<<10))
	if err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	fmt.Fprintln(out.stdout, strings.TrimSpace(string(said)))
	if response.StatusCode != http.StatusOK {
		return errTold
	}
	return nil
}

// ownAddress is where this computer reaches the server.
func (s *Settings) ownAddress() (network, address string, err error) {
	if path, is := strings.CutPrefix(s.Listen, "unix:"); is {
		return "unix", path, nil
	}
	host, port, err := net.SplitHostPort(s.Listen)
	if err != nil || port == "0" {
		return "", "", usageError{fmt.Errorf("listen: %q says nothing of where the server can be reached (from %s): name its address with --listen", s.Listen, s.row("listen").source)}
	}
	if ip := net.ParseIP(host); host == "" || ip.IsUnspecified() {
		host = "localhost"
	}
	return "tcp", net.JoinHostPort(host, port), nil
}
