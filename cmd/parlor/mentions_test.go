package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"parlor/actors/chats"
	"parlor/actors/queries"
	"parlor/actors/room"
	"parlor/actors/system"
	"parlor/persistence"
	"parlor/protocol/chat"
	"parlor/transport/provider"
)

// BenchmarkMentions has a room take messages of the greatest length that are
// nothing but mentions, in a server that lists 200 models: of one name, and of
// ever other ones. Nobody is called by any.
func BenchmarkMentions(b *testing.B) {
	const size = 64 << 10
	var options provider.Options
	for i := range 200 {
		options.Models = append(options.Models, provider.Config{ModelID: fmt.Sprint("model-", i), Provider: "eliza", Name: fmt.Sprint("name-", i)})
	}
	models, err := provider.New(options)
	if err != nil {
		b.Fatal(err)
	}
	defer models.Close()
	store, err := persistence.Open(filepath.Join(b.TempDir(), "parlor.db"), persistence.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer store.Close()
	r, err := chats.Start(system.New(nil), store, room.Options{Models: models, Provider: models}, queries.Reads{})
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close(context.Background())
	alice := chat.User{ID: "alice"}
	info, err := r.Create(b.Context(), alice, "model-0")
	if err != nil {
		b.Fatal(err)
	}
	var distinct strings.Builder
	for i := 0; distinct.Len() < size; i++ {
		fmt.Fprintf(&distinct, "@b%d ", i)
	}
	for name, text := range map[string]string{"none": strings.Repeat("a ", size/2), "one": strings.Repeat("@a ", size/3), "distinct": distinct.String()[:size]} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				replies := make(replies, 1)
				r.Tell(info.Room, &room.Send{Caller: room.Caller{User: alice, Address: r.Open(replies)}, Content: text, Quiet: true})
				if reply := <-replies; reply.Err != nil {
					b.Fatal(reply.Err)
				}
			}
		})
	}
}

// replies is a recipient that keeps the replies.
type replies chan room.Reply

func (r replies) Deliver(d room.Delivery) {
	if reply, ok := d.(room.Reply); ok {
		r <- reply
	}
}
