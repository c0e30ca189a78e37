package queries_test

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"

	"parlor/actors/actortest"
	"parlor/actors/chats"
	"parlor/actors/queries"
	"parlor/actors/room"
	"parlor/actors/system"
	"parlor/persistence"
	"parlor/protocol/chat"
)

// The models of a user's chats are read once, and known from then on.
func TestUsedModelsAreKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, err := persistence.Open(filepath.Join(t.TempDir(), "parlor.db"), persistence.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer store.Close()
		log, models := &actortest.ReadLog{Store: store}, new(actortest.Assistant)
		r, err := chats.Start(system.New(nil), log, room.Options{Models: models, Provider: models}, queries.Reads{})
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close(context.WithoutCancel(t.Context()))
		alice := chat.User{ID: "alice"}
		used := func() (ids []chat.ModelID) {
			t.Helper()
			models, err := r.Used(context.Background(), alice)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range models {
				ids = append(ids, m.ID)
			}
			return ids
		}
		create := func(model chat.ModelID) {
			t.Helper()
			models.Describe(chat.Model{ID: model, APISource: "aisuite"})
			if _, err := r.Create(t.Context(), alice, model); err != nil {
				t.Fatal(err)
			}
		}
		create("before")
		if got := used(); !slices.Equal(got, []chat.ModelID{"before"}) {
			t.Errorf("got %v", got)
		}
		read := log.Entries.Load()
		create("later")
		create("before")
		if got := log.Entries.Load() - read; got != 0 {
			t.Errorf("%d reads", got)
		}
		if got := used(); !slices.Equal(got, []chat.ModelID{"before", "later"}) {
			t.Errorf("got %v", got)
		}
		if models, err := r.Used(t.Context(), chat.User{ID: "bob"}); err != nil || len(models) > 0 {
			t.Errorf("of another user: %v, %v", models, err)
		}
		read = log.Entries.Load()
		for i := range 150 {
			create(chat.ModelID(fmt.Sprint("model-", i)))
		}
		if got := used(); len(got) != 100 || got[0] != "model-149" {
			t.Errorf("%d models, the latest is %s", len(got), got[0])
		}
		if got := log.Entries.Load() - read; got != 0 {
			t.Errorf("%d reads", got)
		}
	})
}
