package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"

	"parlor/actors/conversation"
	"parlor/actors/recovery"
	"parlor/persistence"
)

// checkCmd verifies a data file.
type checkCmd struct {
	InProcess bool `hidden:"" help:"Check in this process, which a damaged file may end."`

	Values
}

// Help implements [kong.HelpProvider].
func (*checkCmd) Help() string {
	return `Reads all of the file and never writes to it: its pages, the checksum of every record, that each chat's records have no gap and lead to what is listed of it. Prints a line for each fault, and what the file holds. The exit status is 0 if there is no fault.

No server may be running on the file. To check while one runs, check a backup:

    parlor backup copy.db && parlor check --data copy.db`
}

// Run checks in a process of its own, since reading a damaged file can end the
// process.
func (c *checkCmd) Run(ctx context.Context, s *Settings, out *streams) error {
	if err := s.needData(); err != nil {
		return err
	}
	if c.InProcess {
		return check(s, out.stdout)
	}
	return checkApart(ctx, s, s.Data, out)
}

// checkApart checks a data file in a process of its own.
func checkApart(ctx context.Context, s *Settings, data string, out *streams) error {
	exe, err := os.Executable()
	if err != nil { // there is no /proc in an empty root directory
		exe, err = exec.LookPath(os.Args[0])
	}
	if err != nil {
		return fmt.Errorf("check: find this program: %w", err)
	}
	args := []string{"check", "--in-process", "--data=" + data}
	if source := s.row("config").source; !strings.HasPrefix(source, fromDefault) {
		args = append(args, "--config="+s.Config)
	}
	for _, name := range encryptionSettings {
		if s.row(name).source == fromFlag { // else the child finds it where this process has
			args = append(args, "--"+name+"="+s.row(name).value)
		}
	}
	words := &beginning{limit: 4 << 10}
	child := exec.CommandContext(ctx, exe, args...)
	child.Stdin, child.Stdout, child.Stderr = strings.NewReader(""), out.stdout, words // without a Stdin it needs /dev/null
	err = child.Run()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit) && exit.ExitCode() == exitFailure:
		out.stderr.Write(words.Bytes())
		return errTold
	case errors.As(err, &exit) && ctx.Err() == nil:
		first, _, _ := strings.Cut(words.String(), "\n")
		return fmt.Errorf("check database %s: it is damaged: reading it ends the process with %q", data, first)
	case err != nil:
		return fmt.Errorf("check: %w", errors.Join(ctx.Err(), err))
	}
	return nil
}

// errTold is a failure that has been printed already.
var errTold = errors.New("told")

// A beginning keeps the first bytes that are written to it.
type beginning struct {
	bytes.Buffer
	limit int
}

func (b *beginning) Write(p []byte) (int, error) {
	b.Buffer.Write(p[:min(len(p), max(0, b.limit-b.Len()))])
	return len(p), nil
}

func check(s *Settings, out io.Writer) error {
	faults := 0
	sum, err := withKeys(s, func(ring persistence.KeyRing) (persistence.Summary, error) {
		return persistence.Check(s.Data, checkingOf(ring, func(f persistence.Fault) {
			faults++
			fmt.Fprintln(out, faultLine(f))
		}))
	})
	if err != nil {
		return whatToDo(err)
	}
	fmt.Fprintf(out, "%d chats, %d records, %d sessions, %d bytes\n", sum.Chats, sum.Records, sum.Sessions, sum.Bytes)
	if faults > 0 {
		return fmt.Errorf("check database %s: %d faults", s.Data, faults)
	}
	return nil
}

// checkingOf returns how files are checked: their pages and checksums, and also
// what their rows mean.
func checkingOf(ring persistence.KeyRing, report func(persistence.Fault)) persistence.Checking {
	return persistence.Checking{
		Options: persistence.Options{Charges: conversation.Charges, MessageID: conversation.MessageID, Keys: ring},
		Report:  report,
		Room:    conversation.Audit,
		Session: func(_ string, value []byte) error {
			return json.Unmarshal(value, new(recovery.Seat))
		},
	}
}

func faultLine(f persistence.Fault) string {
	line := ""
	if f.Room != "" {
		line = fmt.Sprintf("room %s: ", f.Room)
	}
	if f.Seq > 0 {
		line += fmt.Sprintf("record %d: ", f.Seq)
	}
	return line + f.What
}

// whatToDo adds to an error about a data file what an operator can do.
func whatToDo(err error) error {
	if errors.Is(err, persistence.ErrLocked) {
		return fmt.Errorf("%w; stop the server first, or use a copy: parlor backup FILE", err)
	}
	return err
}
