package auth

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"parlor/protocol/chat"
)

// claimedUser is the user of a CONNECT in development mode.
func claimedUser(raw json.RawMessage) (chat.User, error) {
	if !present(raw) {
		suffix := strings.ToLower(rand.Text()[:guestSuffixLen])
		return chat.User{ID: Guest + "-" + chat.UserID(suffix), Guest: true, Admin: true}, nil
	}
	var id string
	if err := json.Unmarshal(raw, &id); err != nil {
		return chat.User{}, chat.Refuse(chat.CodeInvalid, "auth.user_id must be a string")
	}
	return namedUser(id, "auth.user_id")
}

func namedUser(id, where string) (chat.User, error) {
	if fault := UserFault(chat.User{ID: chat.UserID(id)}); fault != "" {
		return chat.User{}, chat.Refuse(chat.CodeInvalid, where+" "+fault)
	}
	return chat.User{ID: chat.UserID(id), Admin: true}, nil
}

// headerUser is the user of an HTTP request in development mode.
func headerUser(h http.Header) (chat.User, error) {
	values := h.Values(UserHeader)
	switch len(values) {
	case 0:
		return chat.User{ID: Guest, Admin: true}, nil
	case 1:
		return namedUser(values[0], "the header "+UserHeader)
	}
	return chat.User{}, chat.Refuse(chat.CodeInvalid, "the header "+UserHeader+" must be given once")
}

// UserFault says what is wrong with a user that is not the result of a sign-in, as
// the end of a sentence. It returns "" for one that could be.
func UserFault(u chat.User) string {
	switch fault := u.ID.Fault(); {
	case fault != "":
		return fault
	case u.ID.IsGuest():
		return "must not begin with " + chat.GuestPrefix
	case len(u.Name) > MaxNameLen || len(u.Email) > MaxEmailLen || len(u.Picture) > MaxPictureLen:
		return fmt.Sprintf("must not have a name longer than %d bytes, an email than %d or a picture than %d", MaxNameLen, MaxEmailLen, MaxPictureLen)
	case !chat.Printable(u.Name + u.Email + u.Picture):
		return "must have a printable name, email and picture"
	}
	return ""
}
