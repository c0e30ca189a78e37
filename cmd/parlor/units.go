package main

import (
	"fmt"
	"log/slog"
	"math"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"
)

// A Size is a number of bytes. It is written with a unit if that is exact, as in
// 64KiB.
type Size int64

// A unit follows a number.
type unit struct {
	name string
	size int64
}

// sizes end in the units without B, as people write them: 10G is 10GB.
var sizes = []unit{
	{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10},
	{"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}, {"B", 1},
	{"Ti", 1 << 40}, {"Gi", 1 << 30}, {"Mi", 1 << 20}, {"Ki", 1 << 10},
	{"T", 1e12}, {"G", 1e9}, {"M", 1e6}, {"k", 1e3},
}

// shownSizes are the units in which sizes are shown, if one is exact.
var shownSizes = []unit{{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"TB", 1e12}, {"GB", 1e9}, {"MiB", 1 << 20}, {"KiB", 1 << 10}}

// counts are the units of everything else that is counted. There is no m, which
// could mean minutes.
var counts = []unit{{"G", 1e9}, {"M", 1e6}, {"k", 1e3}, {"K", 1e3}}

// scaled returns the whole number that text is, with one of the units or none. cut
// takes the name of a unit away.
func scaled(text string, units []unit, cut func(text, name string) (string, bool)) (int64, bool) {
	number, factor := strings.TrimSpace(text), int64(1)
	for _, u := range units {
		if head, ok := cut(number, u.name); ok {
			number, factor = head, u.size
			break
		}
	}
	number = strings.ReplaceAll(strings.TrimSpace(number), "_", "") // as YAML has 10_000
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n > math.MaxInt64/factor || n < math.MinInt64/factor {
		return 0, false
	}
	return n * factor, true
}

func cutSuffixFold(s, suffix string) (head string, ok bool) {
	at := len(s) - len(suffix)
	if at < 0 || !strings.EqualFold(s[at:], suffix) {
		return s, false
	}
	return s[:at], true
}

// UnmarshalText implements [encoding.TextUnmarshaler].
func (s *Size) UnmarshalText(text []byte) error {
	n, ok := scaled(string(text), sizes, cutSuffixFold)
	if !ok || n < 0 {
		return fmt.Errorf("%q must be a number of bytes such as 65536, 64KiB, 1MB or 10G", text)
	}
	*s = Size(n)
	return nil
}

// String implements [fmt.Stringer].
func (s Size) String() string {
	for _, u := range shownSizes {
		if s > 0 && int64(s)%u.size == 0 {
			return strconv.FormatInt(int64(s)/u.size, 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

func parseCount(text string) (int64, error) {
	n, ok := scaled(text, counts, strings.CutSuffix)
	if !ok {
		return 0, fmt.Errorf("%q must be a whole number such as 5000, 5k or 2M", text)
	}
	return n, nil
}

// daysPattern finds the weeks and days of a duration, which [time.ParseDuration]
// does not know.
var daysPattern = regexp.MustCompile(`^([+-]?)(?:([0-9]{1,6})w)?(?:([0-9]{1,6})d)?(.*)$`)

func parseDuration(text string) (time.Duration, error) {
	wrong := fmt.Errorf("%q must be a time with its unit, such as 500ms, 30s, 10m, 24h or 30d", text)
	part := daysPattern.FindStringSubmatch(strings.TrimSpace(text))
	if part == nil {
		return 0, wrong
	}
	weeks, _ := strconv.ParseInt("0"+part[2], 10, 64)
	days, _ := strconv.ParseInt("0"+part[3], 10, 64)
	rest := part[4]
	if part[2]+part[3] != "" && rest == "" {
		rest = "0s"
	}
	d, err := time.ParseDuration(rest)
	const day = 24 * time.Hour
	days += 7 * weeks
	if err != nil || days > 0 && d < 0 || days > int64((math.MaxInt64-d)/day) {
		return 0, wrong
	}
	d += time.Duration(days) * day
	if part[1] == "-" {
		d = -d
	}
	return d, nil
}

func parseBool(text string) (bool, error) {
	switch strings.ToLower(text) {
	case "on", "true", "yes", "1":
		return true, nil
	case "off", "false", "no", "0":
		return false, nil
	}
	return false, fmt.Errorf("%q must be on or off (or true or false, or yes or no)", text)
}

func parseLevel(text string) (slog.Level, error) {
	switch strings.ToLower(text) {
	case "debug":
		return slog.LevelDebug, nil
	case "info":
		return slog.LevelInfo, nil
	case "warn", "warning":
		return slog.LevelWarn, nil
	case "error":
		return slog.LevelError, nil
	}
	return 0, fmt.Errorf("%q must be debug, info, warn or error", text)
}

// A Toggle is on or off. Unlike a bool, as a flag it must have a value.
type Toggle string

// UnmarshalText implements [encoding.TextUnmarshaler].
func (t *Toggle) UnmarshalText(text []byte) error {
	on, err := parseBool(string(text))
	*t = "off"
	if on {
		*t = "on"
	}
	return err
}

// unitOptions tell kong how to read times, numbers, booleans and levels.
func unitOptions() []kong.Option {
	return []kong.Option{
		kong.TypeMapper(reflect.TypeFor[time.Duration](), mapper(parseDuration)),
		kong.TypeMapper(reflect.TypeFor[slog.Level](), mapper(parseLevel)),
		kong.TypeMapper(reflect.TypeFor[int](), mapper(func(text string) (int, error) {
			n, err := parseCount(text)
			return int(n), err
		})),
		kong.TypeMapper(reflect.TypeFor[bool](), boolMapper{}),
	}
}

func mapper[T any](parse func(string) (T, error)) kong.MapperFunc {
	return func(ctx *kong.DecodeContext, target reflect.Value) error {
		var text string
		if err := ctx.Scan.PopValueInto("value", &text); err != nil {
			return err
		}
		v, err := parse(text)
		if err == nil {
			target.Set(reflect.ValueOf(v).Convert(target.Type()))
		}
		return err
	}
}

// A boolMapper reads a flag that may stand alone: --metrics is --metrics=on.
type boolMapper struct{}

// IsBool implements [kong.BoolMapper].
func (boolMapper) IsBool() bool { return true }

// Decode implements [kong.Mapper].
func (boolMapper) Decode(ctx *kong.DecodeContext, target reflect.Value) error {
	if ctx.Scan.Peek().Type != kong.FlagValueToken {
		target.SetBool(true)
		return nil
	}
	return mapper(parseBool)(ctx, target)
}
