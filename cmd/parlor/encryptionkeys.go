package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"parlor/persistence"
)

// encryptionSettings are those that say where the keys of the data file are.
var encryptionSettings = []string{"encryption-key-file", "encryption-key-command", "encryption-key-timeout"}

// encryptionKeys returns the keys that the data file is encrypted with. There are none if no
// setting says where they are.
func (s *Settings) encryptionKeys() (persistence.KeyRing, error) {
	var texts []keyText
	var err error
	setting := "encryption-key-file"
	switch {
	case s.EncryptionKeyFile != "":
		texts, err = readKeyFiles(s.EncryptionKeyFile)
	case s.EncryptionKeyCommand != "":
		setting = "encryption-key-command"
		texts, err = runKeyCommand(s.EncryptionKeyCommand, s.EncryptionKeyTimeout)
	default:
		return persistence.KeyRing{}, nil
	}
	var ring persistence.KeyRing
	if err == nil {
		ring, err = parseKeys(texts)
	}
	if err != nil {
		return ring, fmt.Errorf("%s: %w (from %s)", setting, err, s.row(setting).source)
	}
	keepOutOfDumps()
	return ring, nil
}

// encrypts reports whether a setting says where keys are.
func (s *Settings) encrypts() bool { return s.EncryptionKeyFile != "" || s.EncryptionKeyCommand != "" }

// A keyText is lines with keys.
type keyText struct {
	from string // for errors
	text []byte
}

func parseKeys(texts []keyText) (persistence.KeyRing, error) {
	var all []byte
	for _, t := range texts {
		if _, err := persistence.ParseKeyRing(t.text); err != nil {
			return persistence.KeyRing{}, fmt.Errorf("%s: %w", t.from, err)
		}
		all = append(append(all, t.text...), '\n')
		clear(t.text)
	}
	defer clear(all)
	ring, err := persistence.ParseKeyRing(all)
	if err == nil && len(ring.IDs()) == 0 {
		err = errors.New("there is no key in it")
	}
	return ring, err
}

// readKeyFiles reads the files of [keyFiles].
func readKeyFiles(path string) (texts []keyText, err error) {
	names, err := keyFiles(path)
	for _, name := range names {
		text, err := readSmall(name)
		if err != nil {
			return nil, fmt.Errorf("%s %w", name, err)
		}
		texts = append(texts, keyText{name, text})
	}
	return texts, err
}

// keyFiles returns the name of a file, or those of the files in a directory, the last one first:
// with dates as names, the newest key is the first. Names that begin with a dot do not count.
func keyFiles(path string) (names []string, err error) {
	entries, err := os.ReadDir(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, err
	case err != nil:
		return []string{path}, nil
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") {
			names = append(names, filepath.Join(path, e.Name()))
		}
	}
	slices.Reverse(names)
	return names, nil
}

// maxKeyText is how much a key command may print, in bytes.
const maxKeyText = 64 << 10

// runKeyCommand returns what a command prints. Nothing of that is logged, and neither is what
// it says about errors.
func runKeyCommand(command string, timeout time.Duration) ([]keyText, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	words := strings.Fields(command)
	if len(words) == 0 {
		return nil, errors.New("is empty")
	}
	out := new(bytes.Buffer)
	c := exec.CommandContext(ctx, words[0], words[1:]...)
	c.Stdin, c.Stdout, c.Stderr, c.WaitDelay = strings.NewReader(""), &limited{out, maxKeyText}, io.Discard, time.Second
	err := c.Run()
	switch {
	case ctx.Err() != nil:
		return nil, fmt.Errorf("%s has not ended after %v (encryption-key-timeout)", words[0], timeout)
	case err != nil:
		return nil, fmt.Errorf("%s: %w; run it by hand to see why", words[0], err)
	}
	return []keyText{{"what it prints", out.Bytes()}}, nil
}

// limited refuses what is more than it has room for.
type limited struct {
	w    io.Writer
	room int
}

func (l *limited) Write(p []byte) (int, error) {
	if len(p) > l.room {
		return 0, errors.New("it prints too much")
	}
	l.room -= len(p)
	return l.w.Write(p)
}

func (s *Settings) checkEncryptionKeys() error {
	if s.EncryptionKeyFile != "" && s.EncryptionKeyCommand != "" {
		return errors.New("and encryption-key-file are both set, leave one of them out")
	}
	return nil
}

// withKeys calls open with the keys of the data file, and adds to its error what can be done
// about a missing one.
func withKeys[T any](s *Settings, open func(persistence.KeyRing) (T, error)) (opened T, err error) {
	ring, err := s.encryptionKeys()
	if err != nil {
		return opened, err
	}
	opened, err = open(ring)
	if errors.Is(err, persistence.ErrKey) {
		err = fmt.Errorf("%w; encryption-key-file or encryption-key-command must name it", err)
	}
	return opened, err
}
