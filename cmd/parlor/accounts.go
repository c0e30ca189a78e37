package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"parlor/persistence"
	"parlor/protocol/chat"
	"parlor/transport/auth"
	"parlor/transport/control"
)

// userCmd looks after those who sign in with a password of this server.
type userCmd struct {
	Action        string `arg:"" enum:"add,passwd,disable,enable,list,link,unlink,links,export,delete" help:"add, passwd, disable, enable, list, link, unlink, links, export or delete."`
	ID            string `arg:"" optional:"" help:"The id that chats know the user by, and that the user signs in with."`
	Name          string `placeholder:"NAME" help:"The name that others see."`
	Email         string `placeholder:"ADDRESS" help:"The user's address."`
	Admin         bool   `help:"Make the user an administrator."`
	To            string `placeholder:"ID" help:"The user whom link makes the same person."`
	Yes           bool   `help:"Let delete begin."`
	PasswordStdin bool   `name:"password-stdin" help:"Read the password from the standard input; otherwise one is made up and printed, this once."`

	Values
}

// Help implements [kong.HelpProvider].
func (*userCmd) Help() string {
	return `Works while the server runs, and without it on its data file. People sign in on the page if the setting passwords is on.

    parlor user add alice --name "Alice A." --admin
    parlor user passwd alice --password-stdin < file

link makes two users one person: whoever signs in as the first is the second from then on, and the second has the chats of both. What was said stays under the id under which it was said. unlink takes the link away, and the chats stay where they are. links lists them.

    parlor user link google-1234 --to alice

export prints what is kept of a user as JSON Lines: account, the user's own chats, what the user has said in others, usage. delete takes the user out of the data file (docs/operations.md); no server may be running on it.

    parlor user export alice > alice.jsonl
    parlor user delete alice --yes

passwd signs the user out everywhere. disable does too, and shuts the user out in whatever way they sign in, also with tokens of an identity provider.`
}

// Run has the command carried out.
func (c *userCmd) Run(ctx context.Context, s *Settings, out *streams) error {
	switch {
	case c.ID == "" && c.Action != "list" && c.Action != "links":
		return usageError{fmt.Errorf("user %s: <id> is missing: which user", c.Action)}
	case c.To == "" && c.Action == "link":
		return usageError{errors.New("--to: its value is missing: whom the user is the same person as")}
	case c.Action == "export":
		return c.export(ctx, s, out)
	case c.Action == "delete":
		return c.delete(ctx, s, out)
	}
	command := auth.Command{Action: "user " + c.Action, User: chat.UserID(c.ID), Name: c.Name, Email: c.Email, Admin: c.Admin, Person: chat.UserID(c.To)}
	if c.PasswordStdin {
		text, err := io.ReadAll(io.LimitReader(os.Stdin, auth.MaxPasswordLen+2))
		if err != nil {
			return err
		}
		if command.Password = strings.TrimRight(string(text), "\r\n"); command.Password == "" {
			return errors.New("there is no password on the standard input")
		}
	}
	result, err := doAccount(ctx, s, out, command)
	if err != nil {
		return err
	}
	switch {
	case c.Action == "list":
		return printUsers(out.stdout, result.Users)
	case c.Action == "links":
		return printLinks(out.stdout, result.Links)
	case result.Secret != "":
		_, err = fmt.Fprintln(out.stdout, result.Secret)
		return err
	}
	_, err = fmt.Fprintln(out.stdout, "done")
	return err
}

func printUsers(w io.Writer, users []auth.LocalUser) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "USER\tNAME\tEMAIL\tPASSWORD\tADMIN\tDISABLED\tSINCE")
	for _, u := range users {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", cell(string(u.ID)), cell(u.Name), cell(u.Email), yes(u.Hash != ""), yes(u.Admin), yes(u.Disabled), u.Created.UTC().Format(time.DateOnly))
	}
	return table.Flush()
}

func printLinks(w io.Writer, links []auth.Link) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "USER\tPERSON\tBY\tSINCE")
	for _, l := range links {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", cell(string(l.ID)), cell(string(l.Person)), l.By, l.Since.UTC().Format(time.DateOnly))
	}
	return table.Flush()
}

func yes(is bool) string {
	if is {
		return "yes"
	}
	return "-"
}

// keyCmd looks after the keys of programs.
type keyCmd struct {
	Action string        `arg:"" enum:"add,list,revoke" help:"add, list or revoke."`
	Key    string        `arg:"" optional:"" help:"The key_id to revoke, as list shows it."`
	User   string        `placeholder:"ID" help:"Whom the program acts as."`
	Scope  string        `enum:"read,write,emit" default:"write" help:"read, write, or emit: whether it may change anything, or only send events to clients (docs/backends.md)."`
	Name   string        `placeholder:"TEXT" help:"What the key is for."`
	TTL    time.Duration `name:"ttl" default:"0s" help:"How long the key is valid; 0s for ever."`

	Values
}

// Help implements [kong.HelpProvider].
func (*keyCmd) Help() string {
	return `Works while the server runs, and without it on its data file. A key is printed when it is made, and never again: only a digest of it is kept. Programs send it in the header "Authorization: Bearer pk_…", or as auth.token of a Socket.IO client. Whoever is connected with a key is cut off when it is revoked.

    parlor key add --user alice --scope read --name "nightly report"
    parlor key revoke kxy3m2a7wq4b`
}

// Run has the command carried out.
func (c *keyCmd) Run(ctx context.Context, s *Settings, out *streams) error {
	switch {
	case c.Action == "add" && c.User == "":
		return usageError{errors.New("--user: its value is missing: whom the program acts as")}
	case c.Action == "revoke" && c.Key == "":
		return usageError{errors.New("key revoke: <key> is missing: the key_id, as parlor key list shows it")}
	}
	result, err := doAccount(ctx, s, out, auth.Command{
		Action: "key " + c.Action, User: chat.UserID(c.User), Name: c.Name, Scope: c.Scope, TTL: c.TTL, Key: c.Key,
	})
	if err != nil {
		return err
	}
	switch c.Action {
	case "list":
		return printKeys(out.stdout, result.Keys)
	case "add":
		_, err = fmt.Fprintln(out.stdout, result.Secret)
		return err
	}
	_, err = fmt.Fprintln(out.stdout, "revoked")
	return err
}

func printKeys(w io.Writer, keys []auth.APIKey) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "KEY\tUSER\tSCOPE\tFOR\tSINCE\tUNTIL")
	for _, k := range keys {
		until := "-"
		if !k.Expires.IsZero() {
			until = k.Expires.UTC().Format(time.RFC3339)
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", k.ID, cell(string(k.User)), k.Scope, cell(k.Name), k.Created.UTC().Format(time.DateOnly), until)
	}
	return table.Flush()
}

// doAccount has the running server carry out a command, or carries it out on the data file
// if no server runs.
func doAccount(ctx context.Context, s *Settings, out *streams, c auth.Command) (result auth.Result, err error) {
	client, err := control.Dial(ctx, control.Path(s.Data))
	switch {
	case err == nil:
		defer client.Close()
		text, err := json.Marshal(c)
		if err != nil {
			return result, err
		}
		answer, err := client.Account(ctx, text)
		if err != nil {
			return result, err
		}
		return result, json.Unmarshal(answer, &result)
	case !errors.Is(err, control.ErrNoServer):
		return result, err
	}
	log := newLogger(out.stderr, s, slog.LevelWarn)
	store, err := openStore(s, log, nil, nil)
	if errors.Is(err, persistence.ErrLocked) {
		return result, fmt.Errorf("%w, but does not answer on %s", err, control.Path(s.Data))
	}
	if err != nil {
		return result, err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	accounts, err := auth.OpenAccounts(s.accounts(store, log))
	if err != nil {
		return result, err
	}
	return doCommand(ctx, accounts, store, c)
}

// doCommand carries out a command. A user who is let in again is not deleted any more.
func doCommand(ctx context.Context, accounts *auth.Accounts, store *persistence.Store, c auth.Command) (auth.Result, error) {
	if c.Action == "user enable" {
		for _, id := range []chat.UserID{c.User, accounts.Person(c.User)} { // who may have been linked since
			if err := keepUser(ctx, store, id); err != nil {
				return auth.Result{}, err
			}
		}
	}
	return accounts.Do(ctx, c)
}

// answerAccount carries out a command that came through the control socket.
func answerAccount(ctx context.Context, accounts *auth.Accounts, store *persistence.Store, text []byte) ([]byte, error) {
	var c auth.Command
	if err := json.Unmarshal(text, &c); err != nil {
		return nil, err
	}
	result, err := doCommand(ctx, accounts, store, c)
	if err != nil {
		return nil, err
	}
	return json.Marshal(result)
}
