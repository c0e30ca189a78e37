package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"parlor/protocol/chat"
	"parlor/transport/control"
)

// openControl makes the server answer operators. If that fails the server runs
// without.
func (s *server) openControl() {
	options := control.Options{
		Backup: func() (control.Backup, error) { return s.store.Backup() },
		Export: func(ctx context.Context, w io.Writer, chat string) error {
			return export(ctx, &s.store.Reader, w, chat)
		},
		ExportUser: func(ctx context.Context, w io.Writer, user string) error {
			return exportUser(ctx, &s.store.Reader, w, chat.UserID(user))
		},
		Release: func(ctx context.Context, room string) (bool, error) {
			return s.rooms.Release(ctx, chat.RoomID(room))
		},
		Account: func(ctx context.Context, command []byte) ([]byte, error) {
			return answerAccount(ctx, s.accounts, command)
		},
		Webhook: func(ctx context.Context, command []byte) ([]byte, error) {
			return answerWebhook(ctx, s.hooks, command)
		},
		Tools:  s.answerTools,
		Logger: s.log,
	}
	c, err := control.Listen(control.Path(s.Data), options)
	if err != nil {
		s.log.Warn("parlor backup, export, release, user, key, webhook and tools will not reach this server", "err", err)
		return
	}
	s.parts.add("control socket", func(context.Context) error { return c.Close() })
}

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
