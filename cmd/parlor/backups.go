package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"parlor/persistence"
	"parlor/transport/backups"
)

// backupTarget returns where backups are kept, or nil if they are kept nowhere.
func (s *Settings) backupTarget() (backups.Target, error) {
	switch {
	case s.BackupTo == "":
		return nil, nil
	case strings.Contains(s.BackupTo, "://"):
		return backups.NewS3(backups.S3Options{
			URL: s.BackupTo, Endpoint: s.BackupS3Endpoint, Region: s.BackupS3Region, Key: s.BackupS3Key, Secret: string(s.BackupS3Secret),
		})
	}
	return backups.Directory(s.BackupTo), nil
}

func (s *Settings) checkBackupTo() error {
	_, err := s.backupTarget()
	return err
}

// startBackups begins nothing if no target is named.
func (s *server) startBackups() error {
	target, err := s.backupTarget()
	if err != nil || target == nil {
		return err
	}
	keeper := backups.Start(backups.Options{
		Target: target, Dir: filepath.Dir(s.Data), Every: s.BackupEvery, Keep: s.BackupKeep, KeepFor: s.BackupKeepFor, Timeout: s.BackupTimeout,
		Begin:  func() (backups.Copy, error) { return s.store.Backup() },
		Verify: s.verifyBackup, Told: s.backups.Told, Logger: s.log,
	})
	s.backups.Last = keeper.Last
	s.parts.add("backups", keeper.Close)
	return nil
}

// verifyBackup opens a backup and reads all of it, in a process of its own.
func (s *Settings) verifyBackup(ctx context.Context, file string) error {
	var told bytes.Buffer
	err := checkApart(ctx, s, file, &streams{io.Discard, &told})
	if errors.Is(err, errTold) {
		return errors.New(inShort(told.String()))
	}
	return err
}

// inShort returns the beginning of a text as one line.
func inShort(text string) string {
	return fmt.Sprintf("%.500s", strings.Join(strings.Fields(text), " "))
}

// restoreCmd fetches a backup that the server has made.
type restoreCmd struct {
	Name string `arg:"" optional:"" help:"The backup to fetch, or latest. Without one, they are listed."`
	To   string `arg:"" name:"file" optional:"" help:"The data file to make. It must not exist."`

	Values
}

// Help implements [kong.HelpProvider].
func (*restoreCmd) Help() string {
	return `Lists the backups that are in backup-to, or fetches one: it is verified, and appears under its name when it is complete. It is a data file like any other:

    parlor restore
    parlor restore latest restored.db
    parlor serve --data restored.db`
}

// Run lists backups, or fetches one.
func (c *restoreCmd) Run(ctx context.Context, s *Settings, out *streams) error {
	target, err := s.backupTarget()
	switch {
	case err != nil:
		return usageError{s.row("backup-to").fault(err)}
	case target == nil:
		return usageError{errors.New("restore: backup-to does not say where backups are")}
	case c.Name != "" && c.To == "":
		return usageError{errors.New("restore: <file> is missing: the data file to make")}
	}
	made, err := backups.List(ctx, target)
	if err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	if c.Name == "" {
		return printBackups(out.stdout, made)
	}
	return c.fetch(ctx, s, target, made, out)
}

func printBackups(w io.Writer, made []backups.Item) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "BACKUP\tMADE\tBYTES")
	for _, i := range made {
		at, _ := i.Made()
		fmt.Fprintf(table, "%s\t%s\t%d\n", i.Name, at.Format(time.RFC3339), i.Size)
	}
	return table.Flush()
}

func (c *restoreCmd) fetch(ctx context.Context, s *Settings, target backups.Target, made []backups.Item, out *streams) error {
	name := c.Name
	if name == "latest" && len(made) > 0 {
		name = made[0].Name
	}
	found := false
	for _, i := range made {
		found = found || i.Name == name
	}
	if !found {
		return fmt.Errorf("restore: there is no backup %q in %s", c.Name, s.BackupTo)
	}
	if _, err := os.Lstat(c.To); err == nil {
		return fmt.Errorf("restore: %s exists; choose another name or remove it", c.To)
	}
	dir, err := os.MkdirTemp(filepath.Dir(c.To), ".restore-")
	if err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	defer os.RemoveAll(dir)
	fetched := filepath.Join(dir, name)
	err = persistence.WriteBackup(fetched, func(w io.Writer) error { return target.Get(ctx, name, w) })
	if err == nil {
		err = s.verifyBackup(ctx, fetched)
	}
	if err == nil {
		err = os.Link(fetched, c.To) // fails if somebody has made that name meanwhile
	}
	if err != nil {
		return fmt.Errorf("restore %s: %w", name, err)
	}
	_, err = fmt.Fprintf(out.stdout, "%s is %s\n", c.To, name)
	return err
}
