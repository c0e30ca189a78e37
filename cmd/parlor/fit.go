package main

import (
	"encoding"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"parlor/transport/provider"
	"parlor/transport/tools"
)

// A fitter makes a YAML node fit a type: it reads numbers with units, booleans and
// times as the other settings are read, and notes what does not fit. What it
// returns can be marshalled to JSON, from which the type is decoded.
type fitter struct {
	lines   map[string]int // by path, such as models[0].provider; may be nil
	faults  []misfit
	merging int // mappings that are being merged into each other
}

// maxMerging limits how deep mappings may be merged: one may merge itself.
const maxMerging = 10

// A misfit is a place in a file and what is wrong there.
type misfit struct {
	line int
	path string
	why  string
}

// errors returns the faults. The name of the file is left out if it is empty.
func (f *fitter) errors(file string) (errs []error) {
	for _, m := range f.faults {
		err := fmt.Errorf("%s: %s", m.path, m.why)
		if file != "" {
			err = fmt.Errorf("%w (from file %s:%d)", err, file, m.line)
		}
		errs = append(errs, err)
	}
	return errs
}

func (f *fitter) refuse(n *yaml.Node, path, format string, args ...any) any {
	f.faults = append(f.faults, misfit{n.Line, path, fmt.Sprintf(format, args...)})
	return nil
}

func (f *fitter) fit(n *yaml.Node, t reflect.Type, path string) any {
	if f.lines != nil {
		f.lines[path] = n.Line
	}
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n.ShortTag() == "!!null" {
		return nil
	}
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case t == reflect.TypeFor[provider.Duration](), t == reflect.TypeFor[tools.Duration]():
		return f.scalar(n, path, func(text string) (any, error) {
			d, err := parseDuration(text)
			return time.Duration(d).String(), err
		})
	case reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()):
		return f.scalar(n, path, asText)
	}
	switch t.Kind() {
	case reflect.Struct:
		return f.structure(n, t, path)
	case reflect.Map:
		return f.mapping(n, t, path)
	case reflect.Slice:
		return f.list(n, t, path)
	case reflect.String:
		return f.scalar(n, path, asText)
	case reflect.Bool:
		return f.scalar(n, path, func(text string) (any, error) { return parseBool(text) })
	case reflect.Int, reflect.Int64:
		return f.scalar(n, path, func(text string) (any, error) { return parseCount(text) })
	}
	var v any
	if err := n.Decode(&v); err != nil {
		return f.refuse(n, path, "%v", err)
	}
	return v
}

func asText(text string) (any, error) { return text, nil }

func (f *fitter) scalar(n *yaml.Node, path string, parse func(string) (any, error)) any {
	if n.Kind != yaml.ScalarNode {
		return f.refuse(n, path, "must be a single value")
	}
	v, err := parse(n.Value)
	if err != nil {
		return f.refuse(n, path, "%v", err)
	}
	return v
}

func (f *fitter) list(n *yaml.Node, t reflect.Type, path string) any {
	if n.Kind != yaml.SequenceNode {
		return f.refuse(n, path, "must be a list, with a - before each entry")
	}
	list := []any{}
	for i, entry := range n.Content {
		list = append(list, f.fit(entry, t.Elem(), fmt.Sprintf("%s[%d]", path, i)))
	}
	return list
}

func (f *fitter) mapping(n *yaml.Node, t reflect.Type, path string) any {
	m := make(map[string]any)
	f.pairs(n, path, func(key, value *yaml.Node) {
		m[key.Value] = f.fit(value, t.Elem(), fmt.Sprintf("%s[%q]", path, key.Value))
	})
	return m
}

func (f *fitter) structure(n *yaml.Node, t reflect.Type, path string) any {
	m, types := make(map[string]any), make(map[string]reflect.Type)
	var known []string
	for _, field := range reflect.VisibleFields(t) { // also those of embedded structures
		if name, _, _ := strings.Cut(field.Tag.Get("json"), ","); name != "" && name != "-" {
			known = append(known, name)
			types[name] = field.Type
		}
	}
	f.pairs(n, path, func(key, value *yaml.Node) {
		if !slices.Contains(known, key.Value) {
			f.refuse(key, path, "unknown key %q%s", key.Value, alternatives(key.Value, known))
			return
		}
		m[key.Value] = f.fit(value, types[key.Value], path+"."+key.Value)
	})
	return m
}

// pairs calls fn for each key of a mapping, and for those that it merges (<<) and
// does not have itself.
func (f *fitter) pairs(n *yaml.Node, path string, fn func(key, value *yaml.Node)) {
	if n.Kind != yaml.MappingNode {
		given := map[yaml.Kind]string{yaml.SequenceNode: "a list", yaml.ScalarNode: "a single value"}[n.Kind]
		f.refuse(n, path, "must be a mapping of keys to values, not %s", given)
		return
	}
	lines, merged := make(map[string]int), []*yaml.Node(nil)
	for i := 0; i < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		switch line, twice := lines[key.Value]; {
		case key.ShortTag() == "!!merge":
			merged = append(merged, value)
		case key.Kind != yaml.ScalarNode:
			f.refuse(key, path, "has a key that is not a word")
		case twice:
			f.refuse(key, path, "has %q in line %d already", key.Value, line)
		default:
			lines[key.Value] = key.Line
			fn(key, value)
		}
	}
	for _, m := range merged {
		if m.Kind != yaml.AliasNode || m.Alias.Kind != yaml.MappingNode || f.merging == maxMerging {
			f.refuse(m, path, "has a << that is not the name of another mapping (*name)")
			continue
		}
		f.merging++
		f.pairs(m.Alias, path, func(key, value *yaml.Node) {
			if _, own := lines[key.Value]; !own {
				lines[key.Value] = key.Line
				fn(key, value)
			}
		})
		f.merging--
	}
}

// entryPattern finds in a fault the entry of a list that it names: has "…".
var entryPattern = regexp.MustCompile(`^has ("(?:[^"\\]|\\.)*")`)

// placePattern finds in a fault the place that it names, such as
// models[0] ("id"): fallbacks[1] or providers["mine"]: base_url.
var placePattern = regexp.MustCompile(`^(\w+\[(?:\d+|"(?:[^"\\]|\\.)*")\])(?: \("(?:[^"\\]|\\.)*"\))?: (\w+)?(\[\d+\])?`)

// lineOf returns the line of the place that a fault of a setting names.
func lineOf(setting, fault string, lines map[string]int) (int, bool) {
	if entry := entryPattern.FindStringSubmatch(fault); entry != nil {
		line, ok := lines[setting+"["+entry[1]+"]"]
		return line, ok
	}
	part := placePattern.FindStringSubmatch(fault)
	if part == nil {
		return 0, false
	}
	for _, path := range []string{part[1] + "." + part[2] + part[3], part[1] + "." + part[2], part[1]} {
		if line, ok := lines[path]; ok {
			return line, true
		}
	}
	return 0, false
}

// yamlFault is err, of YAML that cannot be read, with its line. The parser's own
// line is often that of the block around the fault. So the first line is taken for
// wrong up to which the file can be read, unless the file is so long that to find
// it would take its time.
func yamlFault(path string, text []byte, err error) error {
	const long = 16 << 10
	lines, bad := strings.SplitAfter(string(text), "\n"), 1
	part := yamlPrefix.FindStringSubmatch(err.Error())
	if n, err := strconv.Atoi(part[1]); err == nil {
		bad = min(max(n, 1), len(lines))
	}
	for k := len(lines); k > 0 && len(text) < long; k-- {
		if yaml.Unmarshal([]byte(strings.Join(lines[:k-1], "")), new(yaml.Node)) == nil {
			bad = k
			break
		}
	}
	why := strings.TrimPrefix(err.Error(), part[0])
	switch line := lines[bad-1]; {
	case strings.HasPrefix(strings.TrimLeft(line, " "), "\t"):
		why += " (indent with spaces, not with tabs)"
	case strings.Contains(why, "mapping values are not allowed"):
		why += ` (a value that has ": " in it needs quotes; entries of the same kind are indented alike)`
	case strings.Contains(why, "cannot start any token"):
		why += " (a value that begins with a special character needs quotes)"
	}
	return fmt.Errorf("%s:%s: is not YAML: %s", path, strconv.Itoa(bad), why)
}

var yamlPrefix = regexp.MustCompile(`^(?:yaml: )?(?:line (\d+): )?`)
