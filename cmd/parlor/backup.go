package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"syscall"

	"parlor/persistence"
	"parlor/protocol/chat"
	"parlor/transport/control"
)

// backupCmd copies the data file.
type backupCmd struct {
	To string `arg:"" name:"file" help:"The file to make. It must not exist."`

	Values
}

// Help implements [kong.HelpProvider].
func (*backupCmd) Help() string {
	return `Copies the data file as it is at one moment, also while the server runs and is in use: then the server does the reading, and nobody waits for it. What was deleted is not in the copy. The copy appears under its name when it is complete; it is a data file like the first:

    parlor backup /backups/parlor-$(date +%F).db
    parlor serve --data /backups/parlor-2026-01-31.db`
}

// Run asks the running server, or reads the file if no server runs.
func (c *backupCmd) Run(ctx context.Context, s *Settings, out *streams) error {
	if c.To == "" || c.To == "-" {
		return usageError{fmt.Errorf("<file>: %q is not the name of a file", c.To)}
	}
	source, err := openSource(ctx, s)
	if err != nil {
		return err
	}
	defer source.close()
	var size int64
	err = persistence.WriteBackup(c.To, func(w io.Writer) error {
		counted := &counter{w: w}
		err := source.backup(ctx, counted)
		size = counted.n
		return err
	})
	switch {
	case errors.Is(err, fs.ErrExist):
		return fmt.Errorf("backup: %w; choose another name or remove it", err)
	case errors.Is(err, syscall.ENOSPC):
		return fmt.Errorf("backup: %w; nothing was left there", err)
	case err != nil:
		return fmt.Errorf("backup: %w", err)
	}
	_, err = fmt.Fprintf(out.stdout, "%d bytes in %s\n", size, c.To)
	return err
}

type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

// A source is where commands read the data: the running server that has the file
// open, or the file itself.
type source struct {
	backup func(ctx context.Context, w io.Writer) error
	export func(ctx context.Context, w io.Writer, chat string) error
	close  func()

	exportUser func(ctx context.Context, w io.Writer, user string) error
}

func openSource(ctx context.Context, s *Settings) (source, error) {
	if err := s.needData(); err != nil {
		return source{}, err
	}
	data := s.Data
	client, err := control.Dial(ctx, control.Path(data))
	switch {
	case err == nil:
		return source{client.Backup, client.Export, client.Close, client.ExportUser}, nil
	case !errors.Is(err, control.ErrNoServer):
		return source{}, err
	}
	r, err := withKeys(s, func(ring persistence.KeyRing) (*persistence.Reader, error) {
		return persistence.OpenReader(data, persistence.Options{Keys: ring})
	})
	if errors.Is(err, persistence.ErrLocked) {
		return source{}, fmt.Errorf("%w, and nobody answers on %s", err, control.Path(data))
	}
	if err != nil {
		return source{}, err
	}
	return source{
		backup: func(_ context.Context, w io.Writer) error {
			b, err := r.Backup()
			if err != nil {
				return err
			}
			defer b.Close()
			_, err = b.WriteTo(w)
			return err
		},
		export: func(ctx context.Context, w io.Writer, chat string) error { return export(ctx, r, w, chat) },
		close:  func() { r.Close() },
		exportUser: func(ctx context.Context, w io.Writer, user string) error {
			return exportUser(ctx, r, w, chat.UserID(user))
		},
	}, nil
}
