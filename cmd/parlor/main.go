// Command parlor is a server in which people and AI assistants talk in rooms
// over Socket.IO.
//
//	arguments → kong ─┐
//	environment ──────┼→ Settings → the command's Run → exit status
//	parlor.yaml ──────┘
//
// Exit status: 0 done, 1 failed, 2 the command line or a setting is wrong.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"parlor/transport/pdf"
	"parlor/transport/requests"
	"parlor/transport/tools/mcp"
)

// The exit statuses.
const (
	exitFailure = 1
	exitUsage   = 2
)

// maxHelpWidth keeps the lines of the help readable on wide terminals.
const maxHelpWidth = 100

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // so that a second signal ends the process at once
	os.Exit(run(ctx, os.Args[1:], os.Environ(), &streams{os.Stdout, os.Stderr}))
}

// streams are where a command writes: results to stdout, messages for people to
// stderr.
type streams struct{ stdout, stderr io.Writer }

// A usageError is a mistake on the command line or in the settings.
type usageError struct{ error }

type cli struct {
	ShowVersion kong.VersionFlag `name:"version" help:"Print the version."`

	env      environment `kong:"-"`
	resolver *resolver   `kong:"-"`
}

// A command is one of parlor's, with what kong fills from its arguments.
type command struct {
	name, help string
	fields     any
}

// commands returns all commands, not filled.
func commands() []command {
	return []command{
		{"serve", "Run the server.", new(serveCmd)},
		{"token", "Print a token for a user, or check one.", new(tokenCmd)},
		{"user", "Look after users who sign in with a password.", new(userCmd)},
		{"key", "Look after the API keys of programs.", new(keyCmd)},
		{"webhook", "See how webhooks fare, and deliver what they could not.", new(webhookCmd)},
		{"tools", "See which tools models may call, and how their servers are.", new(toolsCmd)},
		{"top", "See what happens in the running server.", new(topCmd)},
		{"config", "Show, check or write the settings.", new(configCmd)},
		{"doctor", "Try a deployment from outside, through its proxy.", new(doctorCmd)},
		{"health", "Ask the server of this computer whether it takes requests.", new(healthCmd)},
		{"encryption", "See how the data file is encrypted, and change that.", new(encryptionCmd)},
		{"check", "Verify the data file.", new(checkCmd)},
		{"backup", "Copy the data file, also while the server runs.", new(backupCmd)},
		{"restore", "List the backups that the server has made, or fetch one.", new(restoreCmd)},
		{"compact", "Return unused space of the data file to the system.", new(compactCmd)},
		{"export", "Write chats as JSON Lines.", new(exportCmd)},
		{"import", "Read chats from JSON Lines, or from another server's export.", new(importCmd)},
		{"release", "Let a room that was quarantined try again.", new(releaseCmd)},
		{"help", "Show the help of a command.", new(helpCmd)},
		{"version", "Print the version.", new(versionCmd)},
		{"man", "Print the manual page of a command.", new(manCmd)},
		{"completion", "Print what makes a shell complete commands and settings.", new(completionCmd)},
	}
}

// Help implements [kong.HelpProvider].
func (*cli) Help() string {
	return `A first look, with nothing to set up:

    parlor serve                       then open http://127.0.0.1:8080

With a model of OpenAI, or of anything that speaks its API:

    OPENAI_API_KEY=… parlor serve

For other computers, with a token for each user:

    export PARLOR_JWT_SECRET="$(openssl rand -hex 32)"
    parlor serve --listen :8080
    parlor token --user alice

Or with a password for each:

    parlor user add alice
    parlor serve --listen :8080 --passwords on

"parlor serve --help" lists all settings.`
}

// BeforeResolve gives kong the values of the environment and the file, if the
// command has settings.
func (c *cli) BeforeResolve(ctx *kong.Context) (err error) {
	if valuesOf(ctx) == nil {
		return nil
	}
	if c.resolver, err = newResolver(ctx, c.env); err != nil {
		return err
	}
	ctx.AddResolver(c.resolver)
	return nil
}

type serveCmd struct{ Values }

// Help implements [kong.HelpProvider].
func (*serveCmd) Help() string {
	return `Every setting below is a flag, an environment variable and a key of the configuration file. Flags win over the environment, and that over the file:

    parlor serve --base-path /assistant
    PARLOR_BASE_PATH=/assistant parlor serve

or, in parlor.yaml:

    base-path: /assistant
    models:
      - model_id: claude
        provider: mine
        upstream_model: claude-sonnet
        fallbacks: [openai:gpt-4o-mini, eliza]
    providers:
      mine:
        base_url: https://llm.example.com/v1  # speaks the API of OpenAI
        key_var: MY_KEY                       # the variable that holds the key

Times are written as 30s, 10m, 24h or 30d, sizes as 64KiB or 10G, other numbers as 5000, 5k or 2M, and what is on or off as that, or as true and false.

Any model of a provider that can be reached may be asked as PROVIDER:MODEL, for example groq:llama-3.3-70b-versatile with GROQ_API_KEY set. Known are anthropic, azure, deepseek, gemini, groq, mistral, openai, openrouter and xai, and on this computer llamacpp, lmstudio, ollama and vllm.

Without a way to sign in (jwt-secret, jwt-key-file, jwt-jwks-url, oidc-issuer or passwords) the server believes everybody who says who they are, so it then serves this computer only.`
}

// Run serves until ctx ends.
func (*serveCmd) Run(ctx context.Context, s *Settings, out *streams) error {
	if err := s.Validate(); err != nil {
		return usageError{err}
	}
	level := new(slog.LevelVar)
	level.Set(s.LogLevel)
	log := newLogger(out.stderr, s, level)
	return serve(ctx, s, level, log)
}

func newLogger(w io.Writer, s *Settings, level slog.Leveler) *slog.Logger {
	o := &slog.HandlerOptions{Level: level}
	if s.LogFormat == "json" {
		return slog.New(requests.Logs(slog.NewJSONHandler(w, o)))
	}
	return slog.New(requests.Logs(slog.NewTextHandler(w, o)))
}

// run carries out a command line and returns the exit status.
func run(ctx context.Context, args, environ []string, out *streams) int {
	switch {
	case len(args) == 0:
		args = []string{"--help"}
	case args[0] == completeWords:
		return report(out, complete(args[1:], out))
	case args[0] == mcp.GuardCommand:
		return mcp.Guard(args[1:])
	case args[0] == pdf.Command:
		return pdf.Extract(args[1:])
	}
	command, s, err := load(args, environ, out)
	switch {
	case err != nil:
		return report(out, err)
	case command == nil:
		return 0
	}
	command.BindTo(ctx, (*context.Context)(nil))
	if s == nil {
		return report(out, command.Run(out))
	}
	s.reload = func() (*Settings, error) {
		_, fresh, err := load(args, environ, out)
		return fresh, err
	}
	return report(out, command.Run(s, out))
}

// newParser returns the parser of a command line, which fills c. It knows the flags
// of the command that args name and of no other, since each has all settings and
// kong takes its time to read their tags.
func newParser(c *cli, args []string, more ...kong.Option) (*kong.Kong, error) {
	options := append(parserOptions(), more...)
	chosen := slices.IndexFunc(args, func(arg string) bool { return !strings.HasPrefix(arg, "-") })
	for _, command := range commands() {
		if chosen < 0 || args[chosen] != command.name {
			command.fields = &struct{}{}
		}
		options = append(options, kong.DynamicCommand(command.name, command.help, "", command.fields))
	}
	return kong.New(c, options...)
}

// load returns the command that args name and its settings, if it has any. It
// returns no command if args ask for help or the version, which it prints.
func load(args, environ []string, out *streams) (*kong.Context, *Settings, error) {
	c, helped := &cli{env: newEnvironment(environ)}, false
	parser, err := newParser(c, args, kong.Writers(out.stdout, out.stderr), kong.Exit(func(int) { helped = true }))
	if err != nil {
		return nil, nil, err
	}
	command, err := parser.Parse(args)
	switch {
	case helped: // errors of later arguments do not matter
		return nil, nil, nil
	case err != nil:
		return nil, nil, usageError{explain(err)}
	}
	v := valuesOf(command)
	if v == nil {
		return command, nil, nil
	}
	s, err := loadSettings(command, c.resolver, v, c.env)
	if err != nil {
		return nil, nil, usageError{err}
	}
	return command, s, nil
}

// valuesOf returns the settings of the chosen command, or nil if it has none.
func valuesOf(ctx *kong.Context) *Values {
	command := ctx.Selected()
	if command == nil {
		return nil
	}
	if with, ok := command.Target.Addr().Interface().(interface{ values() *Values }); ok {
		return with.values()
	}
	return nil
}

// report prints err, and returns the exit status for it.
func report(out *streams, err error) int {
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errTold):
		return exitFailure
	}
	for _, fault := range split(err) {
		fmt.Fprintf(out.stderr, "parlor: %v\n", fault)
	}
	if !errors.As(err, new(usageError)) {
		return exitFailure
	}
	fmt.Fprintln(out.stderr, `Run "parlor --help" or "parlor COMMAND --help" for more.`)
	return exitUsage
}

// split returns the errors that [errors.Join] has joined.
func split(err error) []error {
	switch e := err.(type) {
	case usageError:
		return split(e.error)
	case *kong.ParseError:
		return split(e.Unwrap())
	case interface{ Unwrap() []error }:
		var all []error
		for _, part := range e.Unwrap() {
			all = append(all, split(part)...)
		}
		return all
	}
	return []error{err}
}

func parserOptions() []kong.Option {
	var groups []kong.Group
	for _, g := range groupTitles {
		groups = append(groups, kong.Group{Key: g.key, Title: g.title})
	}
	return append(valueOptions(),
		kong.Name("parlor"),
		kong.Description("People and AI assistants talk in rooms, over Socket.IO."),
		kong.Vars{"version": version()},
		kong.ExplicitGroups(groups),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: maxHelpWidth}),
		kong.PostBuild(tidyHelp),
	)
}

// fileSettings are the settings of commands that work on the data file.
var fileSettings = append([]string{"config", "data"}, encryptionSettings...)

// restoreSettings are those that say where backups are.
var restoreSettings = append([]string{"config", "backup-to", "backup-s3-endpoint", "backup-s3-region", "backup-s3-key", "backup-s3-secret"}, encryptionSettings...)

// importSettings are those of an import: attachments have the limits of uploads.
var importSettings = append([]string{"config", "data", "max-file-bytes", "max-image-bytes", "max-files-per-chat", "max-bytes-per-user", "pdf-timeout", "pdf-memory"}, encryptionSettings...)

// usedSettings are the settings that a command uses, for commands that do not use
// all of them.
var usedSettings = map[string][]string{
	"token": tokenSettings, "release": fileSettings, "user": fileSettings, "key": fileSettings, "encryption": fileSettings,
	"health": {"config", "listen", "tls-cert-file", "tls-key-file", "acme-hosts"},
	"check":  fileSettings, "restore": restoreSettings, "backup": fileSettings, "compact": fileSettings, "export": fileSettings, "import": importSettings,
}

// tidyHelp makes the help show defaults without quotes, and for each command only
// the settings that it uses.
func tidyHelp(k *kong.Kong) error {
	k.Model.HelpFlag.Help = "Show this help."
	for _, command := range k.Model.Children {
		used, some := usedSettings[command.Name]
		for _, flag := range command.Flags {
			if flag.Default != "" {
				flag.PlaceHolder = flag.Default
			}
			flag.Hidden = flag.Hidden || some && flag.Group != nil && !slices.Contains(used, flag.Name)
		}
	}
	return nil
}

// release is the version of a program that make release has built.
var release string

func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "parlor (unknown version)"
	}
	if release != "" {
		return "parlor " + release + " " + info.GoVersion
	}
	v := "parlor " + info.Main.Version
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			v += " " + s.Value
		}
	}
	return v + " " + info.GoVersion
}
