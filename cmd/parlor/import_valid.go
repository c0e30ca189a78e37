package main

import (
	"fmt"
	"reflect"
	"strings"

	"parlor/protocol/chat"
	"parlor/transport/auth"
)

// checkRecord returns an error if a record has a user or an id that the server
// would have refused: what is imported must not get around what clients may do.
func checkRecord(seq uint64, data []byte) error {
	record, err := chat.DecodeRecord(seq, data)
	if err != nil {
		return err
	}
	if fault := nameFault(reflect.ValueOf(record.Event)); fault != "" {
		return fmt.Errorf("record %d: %s", seq, fault)
	}
	e, ok := record.Event.(chat.Created)
	owner := chat.Member{ID: e.Chat.Owner, Name: e.Chat.OwnerName}
	switch {
	case ok && e.Chat.Owner == "":
		return fmt.Errorf("record %d: chat %q has no owner", seq, e.Chat.ID)
	case ok && e.Chat.ID.MadeForOther(e.Chat.Owner):
		return fmt.Errorf("record %d: the id of chat %q was made for another owner than %q", seq, e.Chat.ID, e.Chat.Owner)
	case ok && owner.Fault() != "":
		return fmt.Errorf("record %d: the owner of chat %q: %s", seq, e.Chat.ID, owner.Fault())
	case ok && len(e.Chat.Members) > 0: // nobody checks that each of them is there once
		return fmt.Errorf("record %d: chat %q is created with members, who come by records of their own", seq, e.Chat.ID)
	}
	return nil
}

// nameFault says what is wrong with the first wrong name in v, which is an event
// or a part of one. It returns "" if there is none.
func nameFault(v reflect.Value) string {
	if v.Type().PkgPath() == reflect.TypeFor[chat.ID]().PkgPath() && v.Kind() == reflect.String {
		return wrongName(v.Interface())
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			return nameFault(v.Elem())
		}
	case reflect.Struct:
		if u, ok := v.Interface().(chat.User); ok {
			if fault := userFault(u); fault != "" && u != (chat.User{}) {
				return fmt.Sprintf("the user %.200q %s", u.ID, fault)
			}
			return ""
		}
		if m, ok := v.Interface().(chat.Member); ok {
			return m.Fault()
		}
		for i := range v.NumField() {
			if !v.Type().Field(i).IsExported() {
				continue
			}
			if fault := nameFault(v.Field(i)); fault != "" {
				return fault
			}
		}
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			if fault := nameFault(v.Index(i)); fault != "" {
				return fault
			}
		}
	}
	return ""
}

// wrongName says what is wrong with a name of one of the types of chat. An empty one
// stands for none.
func wrongName(name any) string {
	valid, text := true, fmt.Sprint(name)
	switch id := name.(type) {
	case chat.UserID:
		if fault := userFault(chat.User{ID: id}); id != "" && fault != "" {
			return fmt.Sprintf("the user %.200q %s", text, fault)
		}
	case chat.ID:
		valid = id.Valid()
	case chat.ClientID:
		valid = id.Valid()
	case chat.MessageID, chat.TurnID, chat.InviteID:
		valid = chat.ClientID(text).Valid() // the same form
	case chat.ModelID:
		valid = len(text) <= maxModelIDLen && chat.Printable(text)
	}
	if text == "" || valid {
		return ""
	}
	return fmt.Sprintf("%.200q cannot be the name of anything: it is too long, or has spaces or unprintable characters", text)
}

// maxModelIDLen limits the names of models, in bytes, as the wires do.
const maxModelIDLen = 256

// userFault is [auth.UserFault] for users who may be guests.
func userFault(u chat.User) string {
	if u.ID.IsGuest() {
		u.ID = chat.UserID(strings.TrimPrefix(string(u.ID), chat.GuestPrefix))
	}
	return auth.UserFault(u)
}
