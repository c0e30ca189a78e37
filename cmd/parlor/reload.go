package main

import (
	"context"
	"log/slog"
	"os"
	"reflect"
	"slices"
	"strings"

	"parlor/persistence"
	"parlor/transport/listen"
)

// A reloader takes over at SIGHUP what can change while the server runs.
type reloader struct {
	settings *Settings // that hold
	log      *slog.Logger
	parts    []reloadable
}

// A reloadable part takes over some settings without a restart.
type reloadable struct {
	settings []string // their names
	files    bool     // it also looks at the files that these name
	does     string   // what the log says of it
	apply    func(fresh *Settings) (changed bool, err error)
}

// onHangup reads the settings again at each hangup, until ctx ends or stop is called.
func (r *reloader) onHangup(ctx context.Context, hangups <-chan os.Signal) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-hangups:
			case <-ctx.Done():
			}
			if ctx.Err() != nil {
				return
			}
			listen.Reloading()
			r.reload()
			listen.Ready()
		}
	}()
	return func() {
		cancel()
		<-done
	}
}

// reload has each part take over what has changed of its settings, and names the
// settings of no part: they take effect with a restart.
func (r *reloader) reload() {
	fresh, err := r.settings.reload()
	if err == nil {
		err = fresh.Validate()
	}
	if err != nil {
		for _, fault := range split(err) {
			r.log.Error("reload: nothing was changed, since a setting is wrong", "err", fault)
		}
		return
	}
	left := differing(r.settings, fresh)
	for _, part := range r.parts {
		left = r.apply(part, fresh, left)
	}
	if len(left) > 0 {
		r.log.Warn("reload: some settings have changed and need a restart", "settings", strings.Join(left, ", "))
		return
	}
	r.log.Info("reload: nothing else has changed")
}

// apply has one part take over its settings, if one of those that differ is among
// them. It returns the others.
func (r *reloader) apply(part reloadable, fresh *Settings, differ []string) (others []string) {
	others = slices.DeleteFunc(slices.Clone(differ), func(name string) bool { return slices.Contains(part.settings, name) })
	if len(others) == len(differ) && !part.files {
		return differ
	}
	changed, err := part.apply(fresh)
	switch {
	case err != nil:
		r.log.Error("reload: what was before is used on", "settings", strings.Join(part.settings, ", "), "err", err)
		return others
	case changed:
		r.log.Info("reload: "+part.does, "settings", strings.Join(part.settings, ", "))
	}
	for _, name := range part.settings {
		r.settings.take(fresh, name)
	}
	return others
}

// take takes over the value of one setting.
func (s *Settings) take(fresh *Settings, name string) {
	for i, row := range s.rows {
		if row.name == name {
			reflect.ValueOf(&s.Values).Elem().Field(i).Set(reflect.ValueOf(fresh.Values).Field(i))
			s.rows[i] = fresh.rows[i]
		}
	}
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

// reloadable returns the parts of the server that take over settings while it runs.
func (s *server) reloadable(listener *listen.Listener) []reloadable {
	return []reloadable{
		{
			settings: []string{"log-level"}, does: "the log has another level",
			apply: func(fresh *Settings) (bool, error) { s.level.Set(fresh.LogLevel); return true, nil },
		},
		{
			settings: []string{"tls-cert-file", "tls-key-file"}, files: true, does: "another certificate is used",
			apply: func(fresh *Settings) (bool, error) { return listener.Reload(fresh.TLSCertFile, fresh.TLSKeyFile) },
		},
		{settings: []string{"jwt-secret", "jwt-secret-file", "jwt-key-file"}, files: true, does: "tokens are verified with other keys", apply: s.reloadKeys},
		{settings: encryptionSettings, files: true, does: "the data file is encrypted with another key", apply: s.reloadEncryption},
		{settings: modelSettings, does: "other models can be asked", apply: s.reloadModels},
		{settings: []string{"budgets"}, does: "other budgets hold", apply: s.reloadBudgets},
	}
}

// modelSettings are those of [server.modelOptions] that are taken over.
var modelSettings = []string{
	"models", "providers", "models-only", "discover", "discover-every", "discover-timeout", "discover-limit", "openai-api-key", "openai-base-url",
}

func (s *server) reloadModels(fresh *Settings) (bool, error) {
	v := s.Settings // what else models depend on stays as it was
	v.rows = slices.Clone(v.rows)
	for _, name := range modelSettings {
		v.take(fresh, name)
	}
	if err := s.models.Replace(s.modelOptions(&v)); err != nil {
		return false, err
	}
	s.setModelTools(fresh.Models)
	s.warnOfModels(fresh)
	return true, nil
}

func (s *server) reloadBudgets(fresh *Settings) (bool, error) {
	s.warnOfModels(fresh)
	return true, s.budgets.Replace(named(fresh.Budgets), s.store.Charges(0, persistence.EndOfHours))
}

func (s *server) reloadKeys(fresh *Settings) (bool, error) {
	return s.verifier.SetKeys(string(fresh.JWTSecret), fresh.keys)
}
