package webhook

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"parlor/actors/conversation"
	"parlor/persistence"
	"parlor/protocol/chat"
)

// A cursor is how far a hook has come in a room, as the log keeps it. Chats that are made
// anew under an old id have another epoch.
type cursor struct {
	Epoch string `json:"epoch"`
	Seq   uint64 `json:"seq"`
}

const cursorOf = "at/"

// pass delivers what there is of a room, until a delivery fails.
func (h *hook) pass(ctx context.Context, l *line) error {
	info, err := h.chat(l.room)
	if errors.Is(err, persistence.ErrNotFound) || err == nil && !h.covers(info) {
		return nil
	}
	if err != nil {
		return h.troubled(ctx, l, err)
	}
	begun, err := h.cursor(info)
	if err != nil {
		return h.troubled(ctx, l, err)
	}
	at := begun
	for entry, err := range h.Log.Read(string(l.room), at.Seq) {
		if err == nil {
			err = h.entry(ctx, l, info, entry)
		}
		if err != nil {
			return err
		}
		at.Seq = entry.Seq
		if l.sent > 0 { // delivered: a crash from here on must not deliver it again
			if err := h.put(ctx, string(l.room), cursorOf+h.Name, at); err != nil {
				return h.troubled(ctx, l, err)
			}
			begun, l.sent = at, 0
		}
	}
	if at == begun {
		return nil
	}
	return h.troubled(ctx, l, h.put(ctx, string(l.room), cursorOf+h.Name, at))
}

// troubled notes a failure of the disk, of which the endpoint knows nothing.
func (h *hook) troubled(ctx context.Context, l *line, err error) error {
	if err == nil || ctx.Err() != nil {
		return err
	}
	l.failures++
	h.Logger.Error("webhook: the disk fails", "webhook", h.Name, "room", l.room, "err", err)
	return err
}

func (e *Engine) chat(id chat.RoomID) (chat.Info, error) {
	row, err := e.Log.Chat(string(id))
	if err != nil {
		return chat.Info{}, err
	}
	return conversation.ReadRow(row)
}

// cursor returns how far the hook has come in the chat.
func (h *hook) cursor(info chat.Info) (at cursor, err error) {
	value, err := h.Log.Hook(string(info.Room), cursorOf+h.Name)
	if err != nil {
		return at, err
	}
	if value != nil {
		if err := json.Unmarshal(value, &at); err == nil && at.Epoch == info.Epoch {
			return at, nil
		}
	}
	at = cursor{Epoch: info.Epoch}
	for entry, err := range h.Log.ReadBack(string(info.Room), 0) {
		if err != nil {
			return at, err
		}
		record, err := chat.DecodeRecord(entry.Seq, entry.Data)
		if err == nil && record.At.Before(h.since) {
			at.Seq = entry.Seq
			break
		}
	}
	return at, nil
}

// entry delivers the events of one record, but those that were delivered before.
func (h *hook) entry(ctx context.Context, l *line, info chat.Info, entry persistence.Entry) error {
	record, err := chat.DecodeRecord(entry.Seq, entry.Data)
	if err != nil {
		h.Logger.Error("webhook: a record cannot be read, and is left out", "room", l.room, "seq", entry.Seq, "err", err)
		return nil
	}
	if name := fmt.Sprint(info.Epoch, "/", entry.Seq); l.record != name {
		l.record, l.sent = name, 0
	}
	for i, d := range h.deliveries(h.Hook, info, record) {
		if i < l.sent || d.ID == "" {
			continue
		}
		if err := h.deliver(ctx, l, d, info.Epoch, i); err != nil {
			return err
		}
		l.sent = i + 1
	}
	return nil
}

// deliveries returns what a hook is told of a record. Those of events that it does not want
// have no id.
func (e *Engine) deliveries(h Hook, info chat.Info, record chat.Record) []Delivery {
	events := e.Encode(info.Room, record)
	all := make([]Delivery, len(events))
	for i, event := range events {
		if slices.Contains(h.Events, event.Name) {
			all[i] = Delivery{
				ID: idOf(h.Name, info, record.Seq, i), Event: event.Name, At: record.At,
				Chat: info.ID, Room: info.Room, Seq: record.Seq, Body: event.Body,
			}
		}
	}
	return all
}

// idOf returns the id of a delivery. It follows from its place, so it need not be kept.
func idOf(hook string, info chat.Info, seq uint64, i int) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%s\x00%s\x00%d\x00%d", hook, info.Epoch, info.Room, seq, i))
	return "msg_" + strings.ToLower(base32.StdEncoding.EncodeToString(sum[:])[:26])
}

// deliver delivers an event or, if that has failed for too long, makes it a dead letter.
func (h *hook) deliver(ctx context.Context, l *line, d Delivery, epoch string, i int) error {
	err := h.Send(ctx, h.Name, d)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	h.mu.Lock()
	h.failing = err
	if err == nil {
		h.delivered++
	}
	h.mu.Unlock()
	if err == nil {
		l.failures, l.failing = 0, time.Time{}
		return nil
	}
	l.failures++
	if l.failing.IsZero() {
		l.failing = time.Now()
		h.Logger.Warn("webhook: a delivery has failed", "webhook", h.Name, "id", d.ID, "room", d.Room, "err", err)
	}
	if time.Since(l.failing) < h.RetryFor {
		return err
	}
	letter := Dead{
		ID: d.ID, Hook: h.Name, Event: d.Event, Chat: d.Chat, Room: d.Room, Seq: d.Seq, Index: i, Epoch: epoch,
		At: time.Now(), Attempts: l.failures, Error: cut(err.Error()),
	}
	h.Logger.Error("webhook: a delivery was given up", "webhook", h.Name, "id", d.ID, "room", d.Room, "attempts", l.failures, "err", err)
	if err := h.bury(ctx, letter); err != nil {
		return h.troubled(ctx, l, err)
	}
	l.failures, l.failing = 0, time.Time{}
	return nil
}

// maxErrorLen is how much of an error a dead letter keeps, in bytes.
const maxErrorLen = 300

func cut(text string) string {
	return strings.ToValidUTF8(text[:min(len(text), maxErrorLen)], "")
}

// scan finds the rooms that have something to deliver: at the start, and when rooms were
// left out.
func (h *hook) scan(ctx context.Context) {
	for {
		for after := ""; ; {
			rooms, err := h.Log.ChatsAfter(after, 1000)
			if err != nil {
				h.Logger.Error("webhook: chats cannot be read", "err", err)
			}
			if err != nil || len(rooms) == 0 {
				break
			}
			for _, room := range rooms {
				if !h.find(ctx, chat.RoomID(room)) {
					return
				}
			}
			after = rooms[len(rooms)-1]
		}
		select {
		case <-h.rescan:
		case <-ctx.Done():
			return
		}
	}
}

// find makes a room wait that the hook has not come to the end of. It reports false if ctx
// has ended before there was a place for the room.
func (h *hook) find(ctx context.Context, id chat.RoomID) bool {
	info, err := h.chat(id)
	if err != nil || !h.covers(info) {
		return ctx.Err() == nil
	}
	at, err := h.cursor(info)
	last, lastErr := h.Log.Last(string(id))
	if err == nil && lastErr == nil && at.Seq == last {
		return ctx.Err() == nil
	}
	for !h.add(id) {
		select {
		case <-h.space:
		case <-ctx.Done():
			return false
		}
	}
	return true
}
