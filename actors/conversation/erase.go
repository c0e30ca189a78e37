package conversation

import (
	"reflect"
	"slices"

	"parlor/protocol/chat"
)

// Erased is what stands for the words of a user who was erased, and for the name.
const Erased = "deleted"

// ErasedPrefix begins the ids that stand for users who were erased. Nobody can sign in as a
// guest, so nobody can become one of them.
const ErasedPrefix = chat.GuestPrefix + "deleted-"

// An Eraser takes a user out of records. As stands for the user from then on.
type Eraser struct {
	User, As chat.UserID

	// Files are those of the user that messages have named so far, and Found says that a record
	// was about the user.
	Files []chat.FileID
	Found bool
}

// Erase returns the record without the user. The log stays whole: what others have said, and
// the answers of assistants, refer to the same records as before.
func (e *Eraser) Erase(r chat.Record) chat.Record {
	if said, ok := r.Event.(chat.MessageAdded); ok && said.Author.ID == e.User {
		for _, f := range said.Files {
			if f.By == e.User || f.By == "" {
				e.Files = append(e.Files, f.ID)
			}
		}
		said.Content, said.Files, said.Mentions, said.OnlyTools, said.Origin, said.ClientID = Erased, nil, nil, nil, "", ""
		r.Event = said
	}
	v := reflect.New(reflect.TypeOf(r.Event)).Elem()
	v.Set(reflect.ValueOf(r.Event))
	e.silence(v)
	e.rename(v)
	r.Event = v.Interface().(chat.Event)
	return r
}

// silence takes out the words with which the user has done something else, and the user's
// idempotency keys.
func (e *Eraser) silence(event reflect.Value) {
	by := event.FieldByName("By")
	if !by.IsValid() || by.String() != string(e.User) {
		return
	}
	for _, name := range []string{"Reason", "ClientID", "Origin"} {
		if field := event.FieldByName(name); field.IsValid() {
			field.SetZero()
		}
	}
}

// rename gives the user's place to As, wherever in v the user is named.
func (e *Eraser) rename(v reflect.Value) {
	if v.Type() == reflect.TypeFor[chat.UserID]() {
		if v.String() == string(e.User) {
			e.Found = true
			v.SetString(string(e.As))
		}
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			fresh := reflect.New(v.Type().Elem()) // the record may be shared
			fresh.Elem().Set(v.Elem())
			e.rename(fresh.Elem())
			v.Set(fresh)
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 || v.IsNil() {
			return
		}
		fresh := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
		reflect.Copy(fresh, v)
		for i := range fresh.Len() {
			e.rename(fresh.Index(i))
		}
		v.Set(fresh)
	case reflect.Struct:
		e.renameStruct(v)
	}
}

func (e *Eraser) renameStruct(v reflect.Value) {
	switch p := v.Addr().Interface().(type) {
	case *chat.User:
		if p.ID == e.User {
			*p = chat.User{ID: e.As, Name: Erased}
			e.Found = true
		}
		return
	case *chat.Member:
		if p.ID == e.User {
			p.Name = Erased
		}
	case *chat.Info:
		if p.Owner == e.User {
			p.OwnerName = Erased
		}
	}
	for i := range v.NumField() {
		if v.Type().Field(i).IsExported() {
			e.rename(v.Field(i))
		}
	}
}

// Leave returns the events by which the erased user leaves the chat. The member who has been
// there longest becomes the owner, if the user was; guests do not. It reports false if nobody
// is left to whom the chat could pass.
func (e *Eraser) Leave(info chat.Info) (events []chat.Event, ok bool) {
	gone := chat.MemberChanged{Member: chat.Member{ID: e.As}}
	if info.Owner != e.As {
		if info.RoleOf(e.As) == "" {
			return nil, true
		}
		return []chat.Event{gone}, true
	}
	for _, role := range []chat.MemberRole{chat.RoleMember, chat.RoleViewer} {
		i := slices.IndexFunc(info.Members, func(m chat.Member) bool { return m.Role == role && !m.ID.IsGuest() })
		if i >= 0 {
			heir := info.Members[i]
			heir.Role = chat.RoleOwner
			return []chat.Event{chat.MemberChanged{Member: heir}, gone}, true
		}
	}
	return nil, false
}
