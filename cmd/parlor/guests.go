package main

import (
	"context"

	"parlor/actors/chats"
	"parlor/protocol/chat"
	"parlor/transport/api"
	"parlor/transport/auth"
)

// letIn returns who lets guests in, or nil if they are off.
func letIn(s Settings, v *auth.Verifier) api.Guests {
	if s.Guests != "on" {
		return nil
	}
	return v.SignIns()
}

// endStrays ends the sessions of guests who have left just before the server ended.
func endStrays(ctx context.Context, accounts *auth.Accounts, rooms *chats.Chats) {
	for _, guest := range accounts.Guests() {
		if _, err := rooms.Members(ctx, guest, guest.Only); err != nil && chat.AsError(err).Code == chat.CodeNotFound {
			accounts.EndGuest(guest.ID)
		}
	}
}
