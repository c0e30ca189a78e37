package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"parlor/transport/doctor"
)

// doctorCmd tries a deployment from outside in.
type doctorCmd struct {
	URL     string        `arg:"" help:"Where people open the page, for example https://chat.example.com."`
	Proxy   string        `enum:"nginx,caddy,traefik,haproxy,apache," default:"" placeholder:"NAME" help:"Show the lines for nginx, caddy, traefik, haproxy or apache; if it is not given, for the one that names itself, or for all."`
	Timeout time.Duration `default:"10s" help:"Longest wait for an answer."`
}

// Help implements [kong.HelpProvider].
func (*doctorCmd) Help() string {
	return `Run it on another computer than the server's, where people are. It does what a browser does, through all proxies, and says what does not work and which lines mend it: certificate, redirects, Host, X-Forwarded-…, the upgrade to WebSocket, polls and time-outs, server-sent events that are held back, large bodies, cookies, long tokens, compression, and the clock.

    parlor doctor https://chat.example.com
    parlor doctor https://chat.example.com/assistant --proxy nginx

It takes as long as the server's ping-interval, 25 s by default, needs no account, and changes nothing. If the proxy asks for a password of its own: https://USER:PASSWORD@…. SSL_CERT_FILE names certificate authorities of your own.

The exit status is 1 if there is a fault.`
}

// Run prints the report to stdout.
func (c *doctorCmd) Run(ctx context.Context, out *streams) error {
	url := c.URL
	if !strings.Contains(url, "://") {
		url = "https://" + url
	}
	report, err := doctor.Examine(ctx, doctor.Options{URL: url, Timeout: c.Timeout})
	switch {
	case err == doctor.ErrURL:
		return usageError{fmt.Errorf("<url>: %w, not %q", err, c.URL)}
	case err != nil:
		return fmt.Errorf("try %s: %w", c.URL, err)
	}
	if err := report.Write(out.stdout, c.Proxy); err != nil {
		return err
	}
	if report.Faults() > 0 {
		return errTold
	}
	return nil
}
