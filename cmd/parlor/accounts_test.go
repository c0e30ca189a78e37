package main

import (
	"regexp"
	"strings"
	"testing"
)

func TestUserAndKeyCommands(t *testing.T) {
	data := "--data=" + t.TempDir() + "/parlor.db"
	try := func(want int, says string, args ...string) string {
		t.Helper()
		status, out, errs := runIn(t, nil, append(args, data)...)
		if status != want || !strings.Contains(out+errs, says) {
			t.Errorf("%q: status %d, stdout %q, stderr %q, want %d and %q", args, status, out, errs, want, says)
		}
		return strings.TrimSpace(out)
	}
	if password := try(0, "", "user", "add", "alice", "--name=Alice", "--admin"); !regexp.MustCompile(`^[a-z2-7]{20}$`).MatchString(password) {
		t.Errorf("password %q", password)
	}
	try(1, `there is a user "alice" already`, "user", "add", "alice")
	try(0, "done", "user", "disable", "bob")
	try(2, "<id> is missing", "user", "add")
	try(2, "<action> is missing", "user")
	try(2, "must be add or passwd", "user", "drop", "alice")
	if list := try(0, "alice  Alice", "user", "list"); strings.Contains(list, "argon2") || strings.Count(list, "\n") != 2 {
		t.Errorf("listed\n%s", list)
	}
	key := try(0, "pk_", "key", "add", "--user=alice", "--scope=read", "--name=report")
	try(2, "--user", "key", "add")
	list := try(0, "read", "key", "list")
	id := strings.Split(key, "_")[1]
	if !strings.Contains(list, id+"  alice") || strings.Contains(list, key) {
		t.Errorf("listed\n%s", list)
	}
	try(0, "revoked", "key", "revoke", id)
	try(1, "no such key", "key", "revoke", id)
	try(2, "<key> is missing", "key", "revoke")
	try(0, "done", "user", "link", "google-1", "--to=alice")
	try(0, "google-1  alice   admin", "user", "links")
	try(1, "unlink it first", "user", "link", "google-1", "--to=bob")
	try(2, "--to", "user", "link", "google-2")
	try(0, "done", "user", "unlink", "google-1")
	try(0, "after", "compact")
	try(0, "alice", "user", "list")
	if status, _, errs := runIn(t, nil, "check", data); status != 0 {
		t.Errorf("check: %s", errs)
	}
}
