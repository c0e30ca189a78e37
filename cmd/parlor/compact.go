package main

import (
	"errors"
	"fmt"

	"parlor/persistence"
)

// compactCmd returns unused space to the system.
type compactCmd struct{ Values }

// Help implements [kong.HelpProvider].
func (*compactCmd) Help() string {
	return `Writes what the data file holds into a new one, checks that, and puts it in place of the old. Space that deleted chats have left goes back to the system, and nothing of them is in the file any more; before that it is reused for what is said later. No server may be running on the file. A file of an older format is brought to the current one.`
}

// Run replaces the file.
func (*compactCmd) Run(s *Settings, out *streams) error {
	if err := s.needData(); err != nil {
		return err
	}
	size, err := withKeys(s, func(ring persistence.KeyRing) (size [2]int64, err error) {
		size[0], size[1], err = persistence.Compact(s.Data, checkingOf(ring, func(f persistence.Fault) { fmt.Fprintln(out.stdout, faultLine(f)) }))
		return size, err
	})
	if errors.Is(err, persistence.ErrLocked) {
		return fmt.Errorf("%w; stop the server first", err)
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out.stdout, "%d bytes before, %d after\n", size[0], size[1])
	return err
}
