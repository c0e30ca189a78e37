package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"parlor/protocol/chat"
	"parlor/transport/auth"
)

// tokenCmd prints a token for a user, or says what a token means.
type tokenCmd struct {
	Action string        `arg:"" optional:"" enum:"make,check" default:"make" help:"make a token, which is what is done if nothing is said, or check one."`
	Token  string        `arg:"" optional:"" help:"The token to check; read from the standard input if it is not given."`
	User   string        `placeholder:"ID" help:"Who the token is for: the id that chats know the user by."`
	Name   string        `placeholder:"NAME" help:"The name that others see."`
	Admin  bool          `help:"Make the user an administrator, if jwt-claim-admin is set."`
	TTL    time.Duration `name:"ttl" default:"24h" help:"How long the token is valid."`

	Values // only those about tokens are in the help
}

// tokenSettings are the settings that the command uses.
var tokenSettings = []string{
	"config", "jwt-secret", "jwt-secret-file", "jwt-key-file", "jwt-jwks-url", "jwt-algorithms", "jwt-issuer", "jwt-audience", "jwt-leeway",
	"jwt-claim-user", "jwt-claim-name", "jwt-claim-email", "jwt-claim-admin", "admins",
}

// Help implements [kong.HelpProvider].
func (*tokenCmd) Help() string {
	return `Prints a signed token and nothing else. It is accepted by servers with the same secret: as auth.token of a Socket.IO client, in the header "Authorization: Bearer TOKEN", or in the cookie access_token.

    export PARLOR_JWT_SECRET="$(openssl rand -hex 32)"
    parlor token --user alice --name Alice
    curl -H "Authorization: Bearer $(parlor token --user alice)" http://127.0.0.1:8080/api/v1/auth/me

With check it says what is in a token, who a server with these settings takes its bearer for, and if it is refused why. The exit status is then 1.

    parlor token check eyJhbGciOi…`
}

// Run does what the action says.
func (c *tokenCmd) Run(s *Settings, out *streams) error {
	if c.Action == "check" {
		return c.check(s, out)
	}
	switch {
	case c.User == "":
		return usageError{errors.New("--user: its value is missing or empty: " + "who the token is for")}
	case s.JWTSecret == "":
		return usageError{fmt.Errorf(`there is no secret to sign with. Set the one that the server uses, for example
    export PARLOR_JWT_SECRET="$(openssl rand -hex 32)"
or name the file that holds it with --jwt-secret-file; without a secret the server takes users at their word and needs no tokens, unless jwt-key-file or jwt-jwks-url is set: then who has the private key makes them`)}
	}
	token, err := auth.Sign(s.auth(), chat.User{ID: chat.UserID(c.User), Name: c.Name, Admin: c.Admin}, c.TTL)
	if err != nil {
		return usageError{err}
	}
	_, err = fmt.Fprintln(out.stdout, token)
	return err
}

// check prints what is in a token, and then whether it is accepted.
func (c *tokenCmd) check(s *Settings, out *streams) error {
	if s.Development() {
		return usageError{errors.New("there is nothing to check a token with: set jwt-secret, jwt-key-file or jwt-jwks-url as the server has it")}
	}
	token := c.Token
	if token == "" {
		text, err := io.ReadAll(io.LimitReader(os.Stdin, auth.MaxTokenLen+2))
		if err != nil {
			return err
		}
		token = string(text)
	}
	options := s.auth()
	options.Logger = newLogger(out.stderr, s, slog.LevelWarn)
	verifier := auth.New(options)
	defer verifier.Close()
	report := verifier.Explain(strings.TrimSpace(token))
	for _, line := range report.Lines {
		fmt.Fprintf(out.stdout, "%-10s %s\n", line[0], line[1])
	}
	if report.Refusal != "" {
		fmt.Fprintln(out.stdout, "refused    "+report.Refusal)
		return errTold
	}
	fmt.Fprintln(out.stdout, "accepted")
	return nil
}
