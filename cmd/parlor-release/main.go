// Command parlor-release builds what is published of a version. It is run by make release,
// from the top of the repository.
//
//	source at one commit → program for each target ─┬→ archive, with manual pages and completions
//	                                                ├→ Debian package (nfpm)
//	                                                └→ list of what is in it (SBOM, cyclonedx-gomod)
//	all files → SHA256SUMS
//
// Nothing in the files depends on the time, the place or the user of the build: with the same
// version of Go, two builds of one commit are equal byte by byte.
package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
)

type cli struct {
	Out     string   `default:"bin/release" help:"Where the files go; what is there is removed."`
	Version string   `default:"" help:"Such as 1.2.3; of git describe if it is not given."`
	Targets []string `default:"linux/amd64,linux/arm64,darwin/amd64,darwin/arm64,windows/amd64,windows/arm64" help:"Systems and processors."`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	command := kong.Parse(new(cli), kong.Name("parlor-release"), kong.Description("Builds what is published of a version."),
		kong.UsageOnError(), kong.BindTo(ctx, (*context.Context)(nil)))
	command.FatalIfErrorf(command.Run())
}

// Run builds everything.
func (c *cli) Run(ctx context.Context) error {
	b := &build{cli: *c}
	if err := b.identify(ctx); err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "parlor-release-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	b.work = work
	if err := b.begin(); err != nil {
		return err
	}
	if err := b.prepare(ctx); err != nil {
		return err
	}
	for _, target := range c.Targets {
		system, processor, ok := strings.Cut(target, "/")
		if !ok {
			return fmt.Errorf("target %q: want it as linux/amd64", target)
		}
		if _, err := os.Stat(b.finished(system, processor)); err == nil {
			fmt.Fprintln(os.Stderr, "there already:", target)
			continue
		}
		fmt.Fprintln(os.Stderr, "building", target)
		err := b.publish(ctx, system, processor)
		if err == nil {
			err = os.WriteFile(b.finished(system, processor), nil, 0o644)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", target, err)
		}
	}
	return b.sum()
}

// changed is the end of the name of a commit whose files have been changed since.
const changed = "-changed"

// A build is what all targets share.
type build struct {
	cli
	commit string
	time   time.Time // of the commit
	work   string    // a folder for what is not published
}

// identify finds out which version is built, and from when it is.
func (b *build) identify(ctx context.Context) error {
	commit, err := output(ctx, "git", "rev-parse", "--short=12", "HEAD")
	if err != nil {
		return err
	}
	seconds, err := output(ctx, "git", "log", "-1", "--format=%ct")
	if err != nil {
		return err
	}
	unix, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		return err
	}
	b.commit, b.time = commit, time.Unix(unix, 0).UTC()
	if status, err := output(ctx, "git", "status", "--porcelain", "--untracked-files=no"); err != nil || status != "" {
		b.commit += changed
	}
	if b.Version != "" {
		return nil
	}
	if tag, err := output(ctx, "git", "describe", "--tags", "--abbrev=0"); err == nil {
		b.Version = strings.TrimPrefix(tag, "v")
		return nil
	}
	b.Version = "0.0.0-" + b.time.Format("20060102150405") + "." + b.commit
	return nil
}

// begin makes the folder for the files. Targets that a build of the same source has finished there
// before it was interrupted are kept.
func (b *build) begin() error {
	source := fmt.Sprintf("%s %s %s\n", b.Version, b.commit, runtime.Version())
	mark := filepath.Join(b.Out, ".source")
	before, err := os.ReadFile(mark)
	if err == nil && string(before) == source && !strings.HasSuffix(b.commit, changed) {
		return nil
	}
	if err := os.RemoveAll(b.Out); err != nil {
		return err
	}
	if err := os.MkdirAll(b.Out, 0o755); err != nil {
		return err
	}
	return os.WriteFile(mark, []byte(source), 0o644)
}

// finished is the file that says that all files of a target are there.
func (b *build) finished(system, processor string) string {
	return filepath.Join(b.Out, ".finished-"+system+"-"+processor)
}

// prepare makes the tools, and what is the same for all targets.
func (b *build) prepare(ctx context.Context) error {
	tools := exec.CommandContext(ctx, "go", "-C", "cmd/parlor-release/tools", "build", "-trimpath", "-buildvcs=false", "-ldflags=-buildid=", "-o", filepath.Join(b.work, "tools")+string(filepath.Separator), "tool")
	if err := run(tools); err != nil {
		return fmt.Errorf("build the tools: %w", err)
	}
	program, err := b.compile(ctx, runtime.GOOS, runtime.GOARCH)
	if err != nil {
		return err
	}
	shared := filepath.Join(b.work, "shared")
	for _, dir := range []string{"man", "completions"} {
		if err := os.MkdirAll(filepath.Join(shared, dir), 0o755); err != nil {
			return err
		}
	}
	for _, shell := range []string{"bash", "zsh", "fish"} {
		script, err := output(ctx, program, "completion", shell)
		if err != nil {
			return err
		}
		if shell == "zsh" { // the file is the body of the function at its first call
			script = "#compdef parlor\n" + script + "\n_parlor \"$@\""
		}
		if err := os.WriteFile(filepath.Join(shared, "completions", "parlor."+shell), []byte(script+"\n"), 0o644); err != nil {
			return err
		}
	}
	return b.manuals(ctx, program, filepath.Join(shared, "man"))
}

// manuals writes the manual pages, of the program and of each of its commands.
func (b *build) manuals(ctx context.Context, program, dir string) error {
	commands, err := output(ctx, program, "__complete", "")
	if err != nil {
		return err
	}
	for _, command := range append([]string{""}, strings.Fields(commands)...) {
		args, name := []string{"man"}, "parlor.1"
		if command != "" {
			args, name = append(args, command), "parlor-"+command+".1"
		}
		page, err := output(ctx, program, args...)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(page+"\n"), 0o644); err != nil {
			return err
		}
	}
	_, err = output(ctx, program, "config", "init", filepath.Join(b.work, "shared", "parlor.yaml"))
	return err
}

// compile builds the program for a target, and returns where it is.
func (b *build) compile(ctx context.Context, system, processor string) (string, error) {
	name := filepath.Join(b.work, system+"-"+processor, "parlor")
	if system == "windows" {
		name += ".exe"
	}
	if _, err := os.Stat(name); err == nil {
		return name, nil
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false",
		"-ldflags", fmt.Sprintf("-s -w -buildid= -X 'main.release=%s %s'", b.Version, b.commit), "-o", name, "./cmd/parlor")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+system, "GOARCH="+processor, "GOAMD64=v1", "GOARM64=v8.0", "GOFLAGS=")
	return name, run(cmd)
}

// publish makes the files of a target.
func (b *build) publish(ctx context.Context, system, processor string) error {
	program, err := b.compile(ctx, system, processor)
	if err != nil {
		return err
	}
	name := filepath.Join(b.Out, fmt.Sprintf("parlor_%s_%s_%s", b.Version, system, processor))
	if err := b.archive(name, program, system); err != nil {
		return err
	}
	sbom := exec.CommandContext(ctx, filepath.Join(b.work, "tools", "cyclonedx-gomod"), "bin", "-json", "-noserial", "-notimestamp",
		"-version", b.Version, "-output", name+".cdx.json", program)
	if err := run(sbom); err != nil {
		return fmt.Errorf("list what is in it: %w", err)
	}
	if system != "linux" {
		return nil
	}
	return b.debian(ctx, program, processor)
}

// sum writes the checksums of all files, and ends what [build.begin] has begun.
func (b *build) sum() error {
	entries, err := os.ReadDir(b.Out)
	if err != nil {
		return err
	}
	var sums []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			if err := os.Remove(filepath.Join(b.Out, e.Name())); err != nil {
				return err
			}
			continue
		}
		content, err := os.ReadFile(filepath.Join(b.Out, e.Name()))
		if err != nil {
			return err
		}
		sums = append(sums, fmt.Sprintf("%x  %s\n", sha256.Sum256(content), e.Name()))
	}
	slices.SortFunc(sums, func(a, b string) int { return strings.Compare(a[66:], b[66:]) })
	return os.WriteFile(filepath.Join(b.Out, "SHA256SUMS"), []byte(strings.Join(sums, "")), 0o644)
}

// output returns what a command prints, without blanks at its ends.
func output(ctx context.Context, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	text, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s", filepath.Base(name), strings.Join(args, " "), err, &stderr)
	}
	return strings.TrimSpace(string(text)), nil
}

// run runs a command, and shows what it prints if it fails.
func run(cmd *exec.Cmd) error {
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, text)
	}
	return nil
}
