package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"parlor/protocol/admin"
	"parlor/protocol/chat"
	"parlor/transport/control"
)

// openControl makes the server answer operators. If that fails the server runs
// without.
func (s *server) openControl() {
	options := control.Options{
		Backup: func() (b control.Backup, err error) {
			err = s.admin.Noted(context.Background(), admin.Action{Action: "backup"}, func() error {
				b, err = s.store.Backup()
				return err
			})
			return b, err
		},
		ExportUser: func(ctx context.Context, w io.Writer, user string) error {
			return s.admin.Noted(ctx, admin.Action{Action: "user export", User: chat.UserID(user)}, func() error {
				return exportUser(ctx, &s.store.Reader, w, chat.UserID(user))
			})
		},
		Export: func(ctx context.Context, w io.Writer, id string) error {
			return s.admin.Noted(ctx, admin.Action{Action: "export", Note: id}, func() error { return export(ctx, &s.store.Reader, w, id) })
		},
		Release: func(ctx context.Context, room string) (was bool, err error) {
			err = s.admin.Noted(ctx, admin.Action{Action: admin.ReleaseRoom, Room: chat.RoomID(room)}, func() error {
				was, err = s.rooms.Release(ctx, chat.RoomID(room))
				return err
			})
			return was, err
		},
		Account: s.noting("", func(ctx context.Context, command []byte) ([]byte, error) {
			return answerAccount(ctx, s.accounts, s.store, command)
		}),
		Webhook: s.noting("webhook ", func(ctx context.Context, command []byte) ([]byte, error) {
			return answerWebhook(ctx, s.hooks, command)
		}),
		Tools:      s.noting("tools ", s.answerTools),
		Encryption: s.noting("encryption ", s.answerEncryption),
		Runtime:    s.admin.Answer,
		Logger:     s.log,
	}
	c, err := control.Listen(control.Path(s.Data), options)
	if err != nil {
		s.log.Warn("parlor backup, export, release, user, key, webhook, tools, encryption and top will not reach this server", "err", err)
		return
	}
	s.parts.add("control socket", func(context.Context) error { return c.Close() })
}

// noting returns what carries out a command and notes it in the audit log, unless it only
// lists something. Of the command that is the action, and whom it is about.
func (s *server) noting(prefix string, answer func(context.Context, []byte) ([]byte, error)) func(context.Context, []byte) ([]byte, error) {
	return func(ctx context.Context, command []byte) (result []byte, err error) {
		var about struct {
			Action string      `json:"action"`
			User   chat.UserID `json:"user_id"`
			Key    string      `json:"key_id"`
			Name   string      `json:"name"`
		}
		_ = json.Unmarshal(command, &about) // answer says what is wrong with it
		if _, last, _ := strings.Cut(about.Action, " "); readsOnly[cmp.Or(last, about.Action)] {
			return answer(ctx, command)
		}
		note := cmp.Or(about.Key, about.Name)
		err = s.admin.Noted(ctx, admin.Action{Action: prefix + about.Action, User: about.User, Note: note[:min(len(note), admin.MaxNote)]}, func() error {
			result, err = answer(ctx, command)
			return err
		})
		return result, err
	}
}

// readsOnly are the last words of commands that change nothing.
var readsOnly = map[string]bool{"": true, "list": true, "links": true, "dead": true, "show": true, "status": true}

// dialServer reaches the server that runs with the data file.
func dialServer(ctx context.Context, s *Settings) (*control.Client, error) {
	client, err := control.Dial(ctx, control.Path(s.Data))
	if errors.Is(err, control.ErrNoServer) {
		return nil, fmt.Errorf("no server answers on %s: none runs with the data file %s (from %s)", control.Path(s.Data), s.Data, s.row("data").source)
	}
	return client, err
}

// releaseCmd lets a room that was quarantined try again.
type releaseCmd struct {
	Room string `arg:"" help:"The room_id, as the log of the server has it."`

	Values
}

// Help implements [kong.HelpProvider].
func (*releaseCmd) Help() string {
	return `A room that fails again and again is quarantined: it refuses all commands, and its history can still be read. The server logs why it failed, and its id. When the reason is gone, this lets it try again, with its members and the turn that it was at. A restart of the server does the same.`
}

// Run asks the server.
func (c *releaseCmd) Run(ctx context.Context, s *Settings, out *streams) error {
	if !chat.RoomID(c.Room).Valid() {
		return usageError{fmt.Errorf("<room>: %q is not a room_id, such as %s; the log of the server has it", c.Room, chat.ID("my-first-chat").Room())}
	}
	client, err := dialServer(ctx, s)
	if err != nil {
		return err
	}
	defer client.Close()
	was, err := client.Release(ctx, c.Room)
	if err != nil {
		return err
	}
	said := "released"
	if !was {
		said = "it was not quarantined"
	}
	_, err = fmt.Fprintln(out.stdout, said)
	return err
}
