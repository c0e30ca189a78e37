package main

import (
	"fmt"
	"time"

	"parlor/protocol/chat"
	"parlor/transport/auth"
)

// tokenCmd prints a token for a user.
type tokenCmd struct {
	User string        `required:"" placeholder:"ID" help:"Who the token is for: the id that chats know the user by."`
	Name string        `placeholder:"NAME" help:"The name that others see."`
	TTL  time.Duration `name:"ttl" default:"24h" help:"How long the token is valid."`

	Values // only those about the secret are in the help
}

// tokenSettings are the settings that the command uses.
var tokenSettings = []string{"config", "jwt-secret", "jwt-secret-file", "jwt-issuer", "jwt-audience"}

// Help implements [kong.HelpProvider].
func (*tokenCmd) Help() string {
	return `Prints a signed token and nothing else. It is accepted by servers with the same secret: as auth.token of a Socket.IO client, in the header "Authorization: Bearer TOKEN", or in the cookie access_token.

    export PARLOR_JWT_SECRET="$(openssl rand -hex 32)"
    parlor token --user alice --name Alice
    curl -H "Authorization: Bearer $(parlor token --user alice)" http://127.0.0.1:8080/api/v1/auth/me`
}

// Run prints the token to stdout.
func (c *tokenCmd) Run(s *Settings, out *streams) error {
	if s.Development() {
		return usageError{fmt.Errorf(`there is no secret to sign with. Set the one that the server uses, for example
    export PARLOR_JWT_SECRET="$(openssl rand -hex 32)"
or name the file that holds it with --jwt-secret-file; without a secret the server takes users at their word and needs no tokens`)}
	}
	token, err := auth.Sign(s.auth(), chat.User{ID: chat.UserID(c.User), Name: c.Name}, c.TTL)
	if err != nil {
		return usageError{err}
	}
	_, err = fmt.Fprintln(out.stdout, token)
	return err
}
