package main

import (
	"bufio"
	"context"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
)

// The drill: a server that runs makes backups in a directory and in a bucket; one is fetched,
// is sound, and has what was said. The keys of the bucket are in no log.
func TestRestoreDrill(t *testing.T) {
	backend := s3mem.New()
	if err := backend.CreateBucket("backups"); err != nil {
		t.Fatal(err)
	}
	bucket := httptest.NewServer(gofakes3.New(backend).Server())
	defer bucket.Close()
	for _, to := range []string{t.TempDir(), "s3://backups/of/parlor"} {
		if testing.Short() && strings.HasPrefix(to, "s3:") {
			continue
		}
		dir := t.TempDir()
		data := filepath.Join(dir, "parlor.db")
		storeOf(t, data, talks()...)
		_, want, _ := runIn(t, nil, "export", "--data="+data)
		env := []string{"PARLOR_BACKUP_TO=" + to, "PARLOR_BACKUP_S3_ENDPOINT=" + bucket.URL, "PARLOR_BACKUP_S3_REGION=us-east-1",
			"AWS_ACCESS_KEY_ID=my-id", "AWS_SECRET_ACCESS_KEY=very-secret"}
		log := serveUntil(t, env, data, "msg=backup ")
		if strings.Contains(log, "very-secret") || strings.Contains(log, "my-id") {
			t.Errorf("%s: the log has a key: %s", to, log)
		}
		env = append(env, "GO_TEST_RUN_PARLOR=1") // of the process that verifies
		t.Setenv("GO_TEST_RUN_PARLOR", "1")
		if status, out, errs := runIn(t, env, "restore"); status != 0 || strings.Count(out, "parlor-") != 1 {
			t.Fatalf("%s: list: status %d, %q, %q", to, status, out, errs)
		}
		restored := filepath.Join(dir, "restored.db")
		if status, out, errs := runIn(t, env, "restore", "latest", restored); status != 0 {
			t.Fatalf("%s: status %d, %q, %q", to, status, out, errs)
		}
		if _, got, _ := runIn(t, nil, "export", "--data="+restored); got != want {
			t.Errorf("%s: what was restored says something else", to)
		}
		if status, _, errs := runIn(t, env, "restore", "latest", restored); status != 1 || !strings.Contains(errs, "exists") {
			t.Errorf("%s: over a file that is there: status %d, %q", to, status, errs)
		}
		if left, _ := filepath.Glob(filepath.Join(dir, ".*")); len(left) > 0 {
			t.Errorf("%s: left behind %v", to, left)
		}
	}
}

// serveUntil runs a server until its log says something, stops it, and returns the log.
func serveUntil(t *testing.T, env []string, data, says string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := parlorCmd(ctx, "serve", "--listen=127.0.0.1:0", "--drain-timeout=0s", "--discover=off", "--data="+data)
	cmd.Env = append(cmd.Env, env...)
	out, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	found := false
	for lines := bufio.NewScanner(out); lines.Scan(); {
		log.WriteString(lines.Text() + "\n")
		if !found && strings.Contains(lines.Text(), says) {
			found = true
			_ = cmd.Process.Signal(os.Interrupt)
		}
	}
	if err := cmd.Wait(); err != nil || !found {
		t.Fatalf("%v, the log: %s", err, log.String())
	}
	return log.String()
}

// A backup that cannot be made is refused at the start.
func TestBackupSettings(t *testing.T) {
	for says, env := range map[string][]string{
		"must be s3://BUCKET":     {"PARLOR_BACKUP_TO=ftp://x"},
		"AWS_ACCESS_KEY_ID and A": {"PARLOR_BACKUP_TO=s3://x"},
		"backup-every":            {"PARLOR_BACKUP_EVERY=0s"},
	} {
		if status, _, errs := runIn(t, env, "config", "check"); status == 0 || !strings.Contains(errs, says) {
			t.Errorf("%v: status %d, %q, want %q in it", env, status, errs, says)
		}
	}
	if status, _, errs := runIn(t, nil, "restore"); status != exitUsage || !strings.Contains(errs, "backup-to does not say") {
		t.Errorf("restore without a target: status %d, %q", status, errs)
	}
}
