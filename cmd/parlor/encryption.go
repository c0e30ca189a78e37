package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"parlor/persistence"
	"parlor/transport/control"
)

// encryptionCmd looks after the keys of the data file.
type encryptionCmd struct {
	Action string `arg:"" enum:"status,keygen,rotate,reencrypt,off" help:"status, keygen, rotate, reencrypt or off."`
	ID     string `arg:"" optional:"" help:"The id of the key that keygen makes; the date of today if it is left out."`

	Values
}

// Help implements [kong.HelpProvider].
func (*encryptionCmd) Help() string {
	return `What people say is encrypted in the data file with keys of its own, and those with the first key of encryption-key-file or encryption-key-command (docs/security.md). Works while the server runs, and without it on its data file.

    parlor encryption keygen > keys            a new key; put older ones below it
    parlor serve --encryption-key-file keys    what is said from now on is encrypted
    parlor encryption reencrypt                and what was said before

rotate takes the keys as they are now: the keys of the file are encrypted with the first one, and no value is written anew. A reload and a start do the same. reencrypt writes all values anew with a new key of the file, also those that are not encrypted yet; off writes them as they are without encryption. Both go on after a crash. A running server does that beside its work; status tells how far it is.

The old values are in free pages of the file until these are used again (parlor compact), and in older backups.`
}

// Run has the command carried out.
func (c *encryptionCmd) Run(ctx context.Context, s *Settings, out *streams) error {
	if c.Action == "keygen" {
		return c.keygen(out.stdout)
	}
	if c.ID != "" {
		return usageError{fmt.Errorf("encryption %s: %q is too much", c.Action, c.ID)}
	}
	if err := s.needData(); err != nil {
		return err
	}
	client, err := control.Dial(ctx, control.Path(s.Data))
	switch {
	case err == nil:
		defer client.Close()
		return c.ask(ctx, client, out.stdout)
	case !errors.Is(err, control.ErrNoServer):
		return err
	case c.Action == "status":
		return c.look(s, out.stdout)
	}
	return c.change(ctx, s, out)
}

// keygen prints a line for the file of keys.
func (c *encryptionCmd) keygen(w io.Writer) error {
	id := c.ID
	if id == "" {
		id = time.Now().UTC().Format(time.DateOnly)
	}
	key := make([]byte, 32)
	rand.Read(key)
	line := id + ":" + base64.StdEncoding.EncodeToString(key)
	if _, err := persistence.ParseKeyRing([]byte(line)); err != nil {
		return usageError{fmt.Errorf("encryption keygen: %w", err)}
	}
	_, err := fmt.Fprintln(w, line)
	return err
}

// ask has the running server do it.
func (c *encryptionCmd) ask(ctx context.Context, client *control.Client, w io.Writer) error {
	command, err := json.Marshal(encryptionCommand{c.Action})
	if err != nil {
		return err
	}
	answer, err := client.Encryption(ctx, command)
	if err != nil {
		return err
	}
	var e persistence.Encryption
	if err := json.Unmarshal(answer, &e); err != nil {
		return err
	}
	return printEncryption(w, e)
}

func (c *encryptionCmd) look(s *Settings, w io.Writer) error {
	r, err := withKeys(s, func(ring persistence.KeyRing) (*persistence.Reader, error) {
		return persistence.OpenReader(s.Data, persistence.Options{Keys: ring})
	})
	if err != nil {
		return err
	}
	defer r.Close()
	e, err := r.Encryption()
	if err != nil {
		return err
	}
	return printEncryption(w, e)
}

// change works on the file itself. To open it is to rotate.
func (c *encryptionCmd) change(ctx context.Context, s *Settings, out *streams) (err error) {
	store, err := openForImport(s, persistence.Quota{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	if c.Action != "rotate" {
		begun, ended := make(chan error, 1), make(chan error, 1)
		store.Reencrypt(c.Action == "off", func(err error) { begun <- err }, func(_ int, err error) { ended <- err })
		if err := <-begun; err != nil {
			return withoutKey(err)
		}
		select {
		case err = <-ended:
		case <-ctx.Done():
			err = ctx.Err()
		}
		if err != nil {
			return fmt.Errorf("encryption %s: %w; the same command, or a start of the server, goes on where this one has ended", c.Action, err)
		}
	}
	e, err := store.Encryption()
	if err != nil {
		return err
	}
	return printEncryption(out.stdout, e)
}

// withoutKey says what to do about a file that is not encrypted.
func withoutKey(err error) error {
	if errors.Is(err, persistence.ErrNotFound) {
		return fmt.Errorf("%w; encryption-key-file or encryption-key-command turns it on", err)
	}
	return err
}

func printEncryption(w io.Writer, e persistence.Encryption) error {
	said := "not encrypted; with encryption-key-file or encryption-key-command the next start, or reload, encrypts what is said from then on"
	if e.Key != "" {
		said = fmt.Sprintf("encrypted with the key %q", e.Key)
		switch {
		case e.At != "" && !e.On:
			said = fmt.Sprintf("being decrypted, now the values of the bucket %s; take the keys out of the settings when it is done", e.At)
		case e.At != "":
			said += fmt.Sprintf("; values are being written anew, now those of the bucket %s", e.At)
		case e.Plain:
			said += "; some values are not: parlor encryption reencrypt"
		}
		if e.DataKeys > 1 && e.At == "" {
			said += "; damaged values keep older keys in the file"
		}
	}
	_, err := fmt.Fprintln(w, said)
	return err
}

// An encryptionCommand goes through the control socket. Its answer is a
// [persistence.Encryption].
type encryptionCommand struct {
	Action string `json:"action"`
}

// answerEncryption carries out a command that came through the control socket.
func (s *server) answerEncryption(_ context.Context, text []byte) ([]byte, error) {
	var c encryptionCommand
	if err := json.Unmarshal(text, &c); err != nil {
		return nil, err
	}
	var err error
	switch c.Action {
	case "status":
	case "rotate":
		_, err = s.reloadEncryption(s.keysFrom.Load())
	case "reencrypt", "off":
		begun := make(chan error, 1)
		s.store.Reencrypt(c.Action == "off", func(err error) { begun <- err }, nil)
		err = withoutKey(<-begun)
	default:
		err = fmt.Errorf("there is no command %q", c.Action)
	}
	if err != nil {
		return nil, err
	}
	e, err := s.store.Encryption()
	if err != nil {
		return nil, err
	}
	return json.Marshal(e)
}

// reloadEncryption reads the keys again, and reports whether the file is encrypted with
// another one now.
func (s *server) reloadEncryption(fresh *Settings) (changed bool, err error) {
	if before := s.keysFrom.Load(); !fresh.encrypts() && (before == nil || !before.encrypts()) {
		return false, nil
	}
	ring, err := fresh.encryptionKeys()
	if err != nil {
		return false, err
	}
	done := make(chan error, 1)
	s.store.SetKeys(ring, func(is bool, err error) { changed = is; done <- err })
	if err := <-done; err != nil {
		return false, err
	}
	s.keysFrom.Store(fresh)
	return changed, nil
}
