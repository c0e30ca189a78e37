package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"slices"
	"strings"

	"parlor/transport/listen"
)

// minSecretLen is the least length of an HS256 secret, in bytes (RFC 7518 §3.2).
// Somebody who has a token could find a shorter secret by guessing.
const minSecretLen = 32

// Validate returns an error if no server may run with the settings: without a
// secret, or with one that can be guessed, a server must not be reachable from
// other computers.
func (s *Settings) Validate() error {
	switch {
	case listen.Local(s.Listen):
		return nil
	case s.Development():
		return fmt.Errorf(`listen: %q can be reached from other computers, but there is no secret: anyone could read every chat (from %s)
Either set a secret, for example
    export PARLOR_JWT_SECRET="$(openssl rand -hex 32)"
and give people a token each (parlor token --user NAME), or name the keys of an identity provider (jwt-jwks-url), or listen on this computer only:
    parlor serve --listen 127.0.0.1:8080`, s.Listen, s.row("listen").source)
	case s.JWTSecret != "" && len(s.JWTSecret) < minSecretLen:
		return fmt.Errorf(`%s, and %q can be reached from other computers
Either set a secret of %d bytes or more, for example
    export PARLOR_JWT_SECRET="$(openssl rand -hex 32)"
or listen on this computer only:
    parlor serve --listen 127.0.0.1:8080`, s.shortSecret(), s.Listen, minSecretLen)
	}
	return nil
}

func (s *Settings) shortSecret() string {
	return fmt.Sprintf("jwt-secret: %d bytes can be guessed from a token, use %d or more (from %s)", len(s.JWTSecret), minSecretLen, s.row("jwt-secret").source)
}

// Warnings are about settings that are allowed but unwise, or with which serve
// will not start.
func (s *Settings) Warnings() []string {
	var warnings []string
	if err := s.Validate(); err != nil {
		warnings = append(warnings, "serve will not start: "+err.Error())
	} else if n := len(s.JWTSecret); n > 0 && n < minSecretLen {
		warnings = append(warnings, s.shortSecret())
	}
	if s.Development() && len(s.TrustedProxies) > 0 {
		warnings = append(warnings, fmt.Sprintf("trusted-proxies: without jwt-secret, requests that come through a proxy are refused (from %s)", s.row("trusted-proxies").source))
	}
	if len(s.OIDCAllow) == 0 && slices.ContainsFunc(publicIssuers, func(p string) bool { return strings.HasPrefix(s.OIDCIssuer, p) }) {
		warnings = append(warnings, "oidc-allow: everybody in the world who has an account at "+s.OIDCIssuer+" may sign in: name addresses, or domains such as @example.com")
	}
	return append(warnings, s.readableByOthers()...)
}

// publicIssuers are the beginnings of providers at which anybody can get an account.
var publicIssuers = []string{
	"https://accounts.google.com", "https://appleid.apple.com", "https://gitlab.com", "https://id.twitch.tv", "https://www.facebook.com", "https://login.microsoftonline.com/common",
	"https://login.microsoftonline.com/consumers", "https://login.microsoftonline.com/organizations",
}

// readableByOthers returns a warning for each file with a secret, or with what
// people said, that other users of this computer may read.
func (s *Settings) readableByOthers() (warnings []string) {
	files := []struct{ setting, path string }{{"jwt-secret-file", s.JWTSecretFile}, {"data", s.Data}}
	keys, _ := keyFiles(s.EncryptionKeyFile)
	for _, name := range keys {
		files = append(files, struct{ setting, path string }{"encryption-key-file", name})
	}
	for _, secret := range []string{"jwt-secret", "oidc-client-secret", "openai-api-key"} {
		if strings.HasPrefix(s.row(secret).source, "file "+s.Config+":") {
			files = append(files, struct{ setting, path string }{"config", s.Config})
			break
		}
	}
	for _, f := range files {
		info, err := os.Stat(f.path)
		if err != nil || runtime.GOOS == "windows" {
			continue
		}
		if cure := cureOfMode(info.Mode(), readByGroup(info)); cure != "" {
			warnings = append(warnings, fmt.Sprintf("%s: other users of this computer can read %s: chmod %s %s", f.setting, f.path, cure, f.path))
		}
	}
	return warnings
}

// cureOfMode returns the mode that a file of ours should have, or nothing if others cannot read it.
func cureOfMode(mode fs.FileMode, byGroup bool) string {
	switch {
	case byGroup && mode&0o004 != 0:
		return "o=" // the group must go on reading it
	case !byGroup && mode&0o044 != 0:
		return "600"
	}
	return ""
}

// needData returns an error if there is no data file.
func (s *Settings) needData() error {
	_, err := os.Stat(s.Data)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("data: there is no file %s (from %s); name the one that the server uses with --data", s.Data, s.row("data").source)
	}
	return err
}
