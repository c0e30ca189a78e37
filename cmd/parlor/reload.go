package main

import (
	"log/slog"
	"os"
	"os/signal"
	"reflect"
	"strings"
	"syscall"
)

// reloadOnHangup reads the settings again at each SIGHUP, until stop is called.
func reloadOnHangup(s *Settings, level *slog.LevelVar, log *slog.Logger) (stop func()) {
	hangups, done := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(hangups, syscall.SIGHUP)
	go func() {
		defer close(done)
		for range hangups {
			reload(s, level, log)
		}
	}()
	return func() {
		signal.Stop(hangups)
		close(hangups)
		<-done
	}
}

// reload takes over the level of the log. All other settings are what the parts of
// the server were made with: those that have changed are named, and take effect
// with a restart.
func reload(s *Settings, level *slog.LevelVar, log *slog.Logger) {
	fresh, err := s.reload()
	if err == nil {
		err = fresh.Validate()
	}
	if err != nil {
		for _, fault := range split(err) {
			log.Error("reload: nothing was changed, since a setting is wrong", "err", fault)
		}
		return
	}
	if s.LogLevel != fresh.LogLevel {
		level.Set(fresh.LogLevel)
		log.Info("reload: the log has another level", "level", fresh.row("log-level").value)
		s.LogLevel = fresh.LogLevel
	}
	if changed := differing(s, fresh); len(changed) > 0 {
		log.Warn("reload: some settings have changed and need a restart", "settings", strings.Join(changed, ", "))
		return
	}
	log.Info("reload: nothing else has changed")
}

// differing returns the names of the settings that have another value in b than
// in a.
func differing(a, b *Settings) (names []string) {
	before, after := reflect.ValueOf(a.Values), reflect.ValueOf(b.Values)
	for i, row := range a.rows {
		if !reflect.DeepEqual(before.Field(i).Interface(), after.Field(i).Interface()) {
			names = append(names, row.name)
		}
	}
	return names
}
