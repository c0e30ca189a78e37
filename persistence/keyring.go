package persistence

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// A KeyRing holds the keys of an operator. The first one encrypts; the others only decrypt
// what was encrypted with them. The zero value has no key. A KeyRing never changes.
type KeyRing struct{ keys []operatorKey }

type operatorKey struct {
	id  string
	key *xaes
}

// MaxKeyIDLen is the greatest length of the id of an operator's key, in bytes.
const MaxKeyIDLen = 64

// ParseKeyRing reads keys, one a line, as "id:base64" of 32 random bytes. Empty lines and
// those that begin with # do not count. Errors quote no part of a key.
func ParseKeyRing(text []byte) (KeyRing, error) {
	var r KeyRing
	var faults []error
	for i, line := range strings.Split(string(text), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		id, encoded, _ := strings.Cut(line, ":")
		key, err := base64.StdEncoding.DecodeString(encoded)
		switch {
		case !validKeyID(id):
			err = fmt.Errorf(`it is not "id:base64", with an id of letters, digits, '-', '_' and '.'`)
		case err != nil || len(key) != xaesKeyLen:
			err = fmt.Errorf("behind the first ':' is not the base64 of %d bytes", xaesKeyLen) // what is before it may be a key, too
		case bytes.Equal(key, make([]byte, xaesKeyLen)):
			err = fmt.Errorf("the key %q is all zeros", id)
		case slices.Contains(r.IDs(), id):
			err = fmt.Errorf("there are two keys %q", id)
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("line %d: %w", i+1, err))
			continue
		}
		r.keys = append(r.keys, operatorKey{id, newXAES(key)})
		clear(key)
	}
	if len(faults) > 0 {
		return KeyRing{}, errors.Join(faults...)
	}
	return r, nil
}

func validKeyID(id string) bool {
	return id != "" && len(id) <= MaxKeyIDLen && !strings.ContainsFunc(id, func(r rune) bool { return !roomRune(r) && r != '_' && r != '.' })
}

// IDs returns the names of the keys, the first one first.
func (r KeyRing) IDs() (ids []string) {
	for _, k := range r.keys {
		ids = append(ids, k.id)
	}
	return ids
}

// String implements [fmt.Stringer] without the keys.
func (r KeyRing) String() string { return strings.Join(r.IDs(), ", ") }

// GoString implements [fmt.GoStringer] without the keys.
func (r KeyRing) GoString() string { return fmt.Sprintf("KeyRing(%q)", r.IDs()) }

func (r KeyRing) find(id string) *xaes {
	for _, k := range r.keys {
		if k.id == id {
			return k.key
		}
	}
	return nil
}
