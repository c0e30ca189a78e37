package auth

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"runtime"
	"strings"

	"golang.org/x/crypto/argon2"
)

// The cost of a password (argon2id), as OWASP recommends it. A hash names its own cost, so
// older ones stay good when these change.
const (
	hashMemory = 19 << 10 // KiB
	hashTime   = 2
	hashLen    = 32
	saltLen    = 16
)

// Limits of a password, in bytes.
const (
	MinPasswordLen = 8
	MaxPasswordLen = 256
)

// hashing limits how many passwords are hashed at once: each takes memory and time.
var hashing = make(chan struct{}, max(2, runtime.NumCPU()))

// nobody is the hash of no password. To try one for a user who does not exist takes as
// long as for one who does.
var nobody = fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=1$%s$%s", argon2.Version, hashMemory, hashTime,
	base64.RawStdEncoding.EncodeToString(make([]byte, saltLen)), base64.RawStdEncoding.EncodeToString(make([]byte, hashLen)))

// passwordFault says what is wrong with a new password, as the end of a sentence.
func passwordFault(password string) string {
	switch {
	case len(password) < MinPasswordLen:
		return fmt.Sprintf("must have %d characters or more", MinPasswordLen)
	case len(password) > MaxPasswordLen:
		return fmt.Sprintf("must not be longer than %d bytes", MaxPasswordLen)
	}
	return ""
}

// hashPassword returns the hash of a password with a new salt.
func hashPassword(ctx context.Context, password string) (string, error) {
	salt := make([]byte, saltLen)
	_, _ = rand.Read(salt) // it never fails
	sum, err := sumOf(ctx, password, salt, hashTime, hashMemory, 1, hashLen)
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=1$%s$%s", argon2.Version, hashMemory, hashTime,
		base64.RawStdEncoding.EncodeToString(salt), base64.RawStdEncoding.EncodeToString(sum)), err
}

func sumOf(ctx context.Context, password string, salt []byte, time, memory uint32, threads uint8, n int) ([]byte, error) {
	select {
	case hashing <- struct{}{}:
		defer func() { <-hashing }()
		return argon2.IDKey([]byte(password), salt, time, memory, threads, uint32(n)), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

var errHash = errors.New("the hash of a password cannot be read")

// samePassword reports whether hash is that of the password.
func samePassword(ctx context.Context, password, hash string) (bool, error) {
	const mostMemory, mostTime = 1 << 20, 64 // of hashes that another program has made
	parts := strings.Split(hash, "$")
	var version, memory, time, threads int
	if len(parts) != 6 || parts[1] != "argon2id" {
		return false, errHash
	}
	if _, err := fmt.Sscanf(parts[2]+" "+parts[3], "v=%d m=%d,t=%d,p=%d", &version, &memory, &time, &threads); err != nil {
		return false, errHash
	}
	salt, saltErr := base64.RawStdEncoding.DecodeString(parts[4])
	want, err := base64.RawStdEncoding.DecodeString(parts[5])
	if saltErr != nil || err != nil || version != argon2.Version || memory < 8 || memory > mostMemory || time < 1 || time > mostTime || threads < 1 || threads > 16 || len(want) < 16 || len(want) > 64 {
		return false, errHash
	}
	got, err := sumOf(ctx, password, salt, uint32(time), uint32(memory), uint8(threads), len(want))
	return err == nil && subtle.ConstantTimeCompare(got, want) == 1, err
}
