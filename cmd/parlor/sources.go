package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
	"go.yaml.in/yaml/v3"
)

// envPrefix begins the variable of every setting.
const envPrefix = "PARLOR_"

// An environment holds variables by name.
type environment map[string]string

func newEnvironment(environ []string) environment {
	env := make(environment)
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		env[name] = value
	}
	return env
}

// lookup returns the first of the variables that is set. An empty variable counts
// as not set: deployment tools set one if they have no value for it.
func (e environment) lookup(names []string) (name, value string, ok bool) {
	for _, name := range names {
		if value := e[name]; value != "" {
			return name, value, true
		}
	}
	return "", "", false
}

// Two of the sources of values. The others are "environment NAME" and
// "file PATH:LINE".
const (
	fromFlag    = "flag"
	fromDefault = "default"
)

// A given is a value that the environment or the file has for a setting.
type given struct {
	value  any // text, or a list of texts
	source string
}

// A resolver gives kong the values of the environment and the file, for settings
// that are not on the command line. There is one resolver for both, since kong
// itself would prefer the file to the environment.
type resolver struct {
	given  map[string]given // by setting
	lines  map[string]int   // of the file, by the path of a part of a structured setting
	noFile bool             // no file was named, and the default one does not exist
	faults []error          // about values that cannot be read; such a setting keeps its default
}

// newResolver reads the environment, and then the file for settings that the
// environment does not have.
func newResolver(ctx *kong.Context, env environment) (*resolver, error) {
	r := &resolver{given: make(map[string]given), lines: make(map[string]int)}
	settings := settingsOf(ctx)
	for _, flag := range settings {
		if name, value, ok := env.lookup(variables(flag)); ok {
			r.given[flag.Name] = given{value, "environment " + name}
		}
	}
	file, source := r.configFile(ctx, settings)
	text, err := os.ReadFile(file)
	switch {
	case errors.Is(err, fs.ErrNotExist) && source == fromDefault:
		r.noFile = true
		return r, nil
	case err != nil:
		return nil, fmt.Errorf("config: %w (from %s)", err, source)
	}
	return r, r.readFile(file, text, settings) // an error only if no value can be read
}

// configFile returns the path of the file, and the source of that path.
func (r *resolver) configFile(ctx *kong.Context, settings []*kong.Flag) (path, source string) {
	config := settings[slices.IndexFunc(settings, isConfig)]
	if onCommandLine(ctx, config) {
		return ctx.FlagValue(config).(string), fromFlag
	}
	if g, ok := r.given[config.Name]; ok {
		return g.value.(string), g.source
	}
	return config.Default, fromDefault
}

// source returns the source of a setting's value.
func (r *resolver) source(ctx *kong.Context, flag *kong.Flag) string {
	g, ok := r.given[flag.Name]
	switch {
	case onCommandLine(ctx, flag):
		return fromFlag
	case ok:
		return g.source
	case isConfig(flag) && r.noFile:
		return fromDefault + ", no such file"
	}
	return fromDefault
}

func onCommandLine(ctx *kong.Context, flag *kong.Flag) bool {
	return slices.ContainsFunc(ctx.Path, func(p *kong.Path) bool { return p.Flag == flag && !p.Resolved })
}

func isConfig(flag *kong.Flag) bool { return flag.Name == "config" }

// settingsOf returns the settings of the selected command: its flags that are in a
// group.
func settingsOf(ctx *kong.Context) []*kong.Flag {
	return slices.DeleteFunc(ctx.Flags(), func(f *kong.Flag) bool { return f.Group == nil })
}

// variables are the environment variables of a setting. The first that is set
// counts.
func variables(flag *kong.Flag) []string {
	own := envPrefix + strings.ToUpper(strings.ReplaceAll(flag.Name, "-", "_"))
	return append([]string{own}, flag.Tag.GetAll("alsoenv")...)
}

// readFile takes from the YAML text the settings that the environment does not
// have.
func (r *resolver) readFile(path string, text []byte, settings []*kong.Flag) error {
	pairs, err := topLevel(path, text)
	if err != nil {
		return err
	}
	lines := make(map[string]int)
	for len(pairs) > 0 {
		key, value := pairs[0], pairs[1]
		pairs = pairs[2:]
		where := fmt.Sprintf("%s:%d", path, key.Line)
		i := slices.IndexFunc(settings, func(f *kong.Flag) bool { return f.Name == key.Value && !isConfig(f) })
		switch line, twice := lines[key.Value]; {
		case i < 0:
			r.faults = append(r.faults, fmt.Errorf("%s: unknown setting %q%s", where, key.Value, suggest(key.Value, settingNames(settings))))
			continue
		case twice:
			r.faults = append(r.faults, fmt.Errorf("%s: %q is in line %d already", where, key.Value, line))
			continue
		}
		lines[key.Value] = key.Line
		f := fitter{lines: r.lines}
		v, err := f.plain(settings[i], value)
		if err != nil || len(f.faults) > 0 {
			if err != nil {
				err = fmt.Errorf("%s: %w (from file %s)", key.Value, err, where)
			}
			r.faults = append(append(r.faults, err), f.errors(path)...)
			continue
		}
		if _, ok := r.given[key.Value]; !ok {
			r.given[key.Value] = given{v, "file " + where}
		}
	}
	return nil
}

// topLevel returns the keys and values of a YAML mapping: key, value, key, and so
// on. An empty file has none.
func topLevel(path string, text []byte) ([]*yaml.Node, error) {
	var doc yaml.Node
	d := yaml.NewDecoder(bytes.NewReader(text))
	switch err := d.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return nil, nil
	case err != nil:
		return nil, yamlFault(path, text, err)
	}
	if err := d.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: must hold one YAML document", path)
	}
	root := doc.Content[0]
	switch {
	case root.ShortTag() == "!!null":
		return nil, nil
	case root.Kind != yaml.MappingNode:
		return nil, fmt.Errorf("%s:%d: must be a mapping of settings, such as\n    listen: 127.0.0.1:8080", path, root.Line)
	}
	return root.Content, nil
}

// plain turns the value of a key into what kong would get from the command line,
// so that one piece of code reads a setting, whatever its source.
func (f *fitter) plain(flag *kong.Flag, n *yaml.Node) (any, error) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	switch {
	case n.ShortTag() == "!!null":
		return nil, errors.New("has no value")
	case structured[flag.Target.Type()] != nil:
		text, err := json.Marshal(f.fit(n, flag.Target.Type(), flag.Name))
		return string(text), err
	case flag.IsSlice() && n.Kind == yaml.SequenceNode:
		return f.texts(n.Content, flag.Name)
	case n.Kind != yaml.ScalarNode:
		return nil, errors.New("must be a single value")
	}
	return n.Value, nil
}

func (f *fitter) texts(nodes []*yaml.Node, setting string) ([]any, error) {
	list := []any{}
	for _, n := range nodes {
		if n.Kind != yaml.ScalarNode {
			return nil, fmt.Errorf("has an entry in line %d that is not a single value", n.Line)
		}
		f.lines[fmt.Sprintf("%s[%q]", setting, n.Value)] = n.Line
		list = append(list, n.Value)
	}
	return list, nil
}

// Resolve implements [kong.Resolver]. It decodes each value once before kong does,
// because kong's errors do not name the source of a value.
func (r *resolver) Resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	g, ok := r.given[flag.Name]
	if !ok || flag.Group == nil {
		return nil, nil
	}
	scan := kong.Scan().PushTyped(g.value, kong.FlagValueToken)
	trial := reflect.New(flag.Target.Type()).Elem()
	if err := flag.Mapper.Decode(&kong.DecodeContext{Value: flag.Value, Scan: scan}, trial); err != nil {
		for _, why := range split(err) {
			if !strings.HasPrefix(why.Error(), flag.Name+"[") { // it names the place
				why = fmt.Errorf("%s: %w", flag.Name, why)
			}
			r.faults = append(r.faults, fmt.Errorf("%w (from %s)", why, g.source))
		}
		return nil, nil
	}
	return g.value, nil
}

// Validate implements [kong.Resolver].
func (r *resolver) Validate(*kong.Application) error { return nil }

// unknownVariables returns an error that names the variables that begin like a
// setting but are none. Others are the variables that hold keys of models and
// providers.
func unknownVariables(env environment, settings []*kong.Flag, others []string) error {
	known := slices.Clone(others)
	for _, flag := range settings {
		known = append(known, variables(flag)...)
	}
	var faults []error
	for name := range env {
		if strings.HasPrefix(name, envPrefix) && !fromKubernetes(name) && !slices.Contains(known, name) {
			faults = append(faults, fmt.Errorf("unknown environment variable %s%s", name, suggest(name, known)))
		}
	}
	slices.SortFunc(faults, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errors.Join(faults...)
}

// fromKubernetes reports whether a variable is one of those that Kubernetes
// sets in every container for a service that is named parlor.
func fromKubernetes(name string) bool {
	rest := strings.TrimPrefix(name, envPrefix)
	return rest == "SERVICE_HOST" || rest == "PORT" || strings.HasPrefix(rest, "PORT_") ||
		rest == "SERVICE_PORT" || strings.HasPrefix(rest, "SERVICE_PORT_")
}

func settingNames(settings []*kong.Flag) []string {
	var names []string
	for _, flag := range settings {
		if !isConfig(flag) {
			names = append(names, flag.Name)
		}
	}
	return names
}

// alternatives returns suggest's question, and all names that are known.
func alternatives(name string, known []string) string {
	question, all := suggest(name, known), strings.Join(known, ", ")
	if question == "" {
		return "; known are " + all
	}
	return question + " Known are " + all
}

// suggest returns a question with the known name that is most like name, or "" if
// none is like it.
func suggest(name string, known []string) string {
	const typos = 2
	best, distance := "", typos+1
	for _, k := range known {
		if d := editDistance(strings.ReplaceAll(name, "_", "-"), strings.ReplaceAll(k, "_", "-")); d < distance {
			best, distance = k, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(", did you mean %s?", best)
}

// editDistance is the number of letters to insert, delete or change to make a
// into b (Levenshtein).
func editDistance(a, b string) int {
	above := make([]int, len(b)+1)
	for j := range above {
		above[j] = j
	}
	for i := range len(a) {
		left, corner := i+1, i
		above[0] = left
		for j := range len(b) {
			change := corner
			if a[i] != b[j] {
				change++
			}
			corner = above[j+1]
			left = min(left+1, corner+1, change)
			above[j+1] = left
		}
	}
	return above[len(b)]
}
