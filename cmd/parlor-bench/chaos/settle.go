package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"parlor/protocol/assistant"
	"parlor/protocol/chat"
	"parlor/transport/client"
)

// An auditor looks at rooms past the network that fails.
type auditor struct {
	h    *harness
	conn *client.Client
}

// newAuditor creates the rooms.
func newAuditor(ctx context.Context, h *harness) (*auditor, error) {
	a := &auditor{h: h}
	if err := a.dial(ctx); err != nil {
		return nil, err
	}
	for _, p := range h.rooms {
		created, err := a.ask(ctx, "create_room", map[string]any{"chat_id": p.chat, "model_id": "prompt", "model_api_source": "aisuite"})
		if err != nil {
			return nil, err
		}
		if created.Room != p.room {
			h.violate("auditor", p.room, 0, fmt.Errorf("the room is %q", created.Room))
		}
	}
	a.conn.Close()
	return a, nil
}

func (a *auditor) dial(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	a.conn, err = client.Dial(ctx, client.Options{
		URL: "http://" + a.h.server.address, Namespace: assistant.Namespace, Auth: map[string]string{"user_id": "auditor"},
	})
	return err
}

func (a *auditor) ask(ctx context.Context, name string, body any) (*answer, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	args, err := a.conn.Call(ctx, name, body)
	if err != nil || len(args) != 1 {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	reply := new(answer)
	if err := json.Unmarshal(args[0], reply); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if reply.Error != nil {
		return nil, fmt.Errorf("%s: %w", name, reply.Error)
	}
	return reply, nil
}

// settle waits until all has come to rest after the faults: everybody is back,
// every message is answered, every turn has ended, and everybody knows of it.
// Before, each room panics once more, so that this is shown of a room that has
// just been restarted.
func (h *harness) settle(ctx context.Context, a *auditor) error {
	h.quiet.Store(true)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err := a.dial(ctx); err != nil {
		return fmt.Errorf("the auditor: %w", err)
	}
	deadline := time.Now().Add(h.Settle)
	for !h.everybodyIsBack() && time.Now().Before(deadline) && sleep(ctx, 50*time.Millisecond) {
	}
	a.finale(ctx)
	for {
		unrest := a.unrest(ctx)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case len(unrest) == 0:
			a.conn.Close()
			return nil
		case time.Now().After(deadline):
			for _, u := range unrest {
				h.violate(u.who, u.room, u.seq, fmt.Errorf("not at rest %s after the faults: %w", h.Settle, u.err))
			}
			a.conn.Close()
			return nil
		}
		sleep(ctx, 200*time.Millisecond)
	}
}

// finale makes each room panic, unless there are to be no panics, and speak.
func (a *auditor) finale(ctx context.Context) {
	for _, p := range a.h.rooms {
		for i, content := range []string{panicBefore, "the end of " + string(p.chat)} {
			if i == 0 && a.h.Panics == 0 {
				continue
			}
			a.h.faults.Add(1)
			_, _ = a.ask(ctx, "send_message", map[string]any{"room_id": p.room, "model_id": "prompt", "message": content})
		}
	}
}

func (h *harness) everybodyIsBack() bool {
	for _, v := range h.visitors {
		if v.unrest(nil) != nil {
			return false
		}
	}
	return true
}

// unrest is why a run is not over.
type unrest struct {
	who  string
	room chat.RoomID
	seq  uint64
	err  error
}

func (a *auditor) unrest(ctx context.Context) (all []unrest) {
	last := make(map[chat.RoomID]uint64)
	for _, p := range a.h.rooms {
		room, err := a.ask(ctx, "join_room", map[string]any{"room_id": p.room, "dialect": "documented"})
		if err == nil && (room.Turn != nil || len(room.Queued) > 0) {
			err = fmt.Errorf("a turn runs: %t, %d wait", room.Turn != nil, len(room.Queued))
			a.deny(ctx, p, room)
		}
		if err != nil {
			all = append(all, unrest{"room", p.room, 0, err})
			continue
		}
		last[p.room] = room.Seq
	}
	for _, v := range a.h.visitors {
		if u := v.unrest(last); u != nil {
			all = append(all, *u)
		}
	}
	return all
}

// deny ends the calls that wait for somebody.
func (a *auditor) deny(ctx context.Context, p place, room *answer) {
	for _, c := range room.Pending {
		_, _ = a.ask(ctx, "approve", map[string]any{"room_id": p.room, "call_id": c.CallID, "decision": assistant.Deny})
	}
}

// unrest returns why the visitor is not at rest, nil if it is: it knows the
// last records of its rooms, and all its messages are answered.
func (v *visitor) unrest(last map[chat.RoomID]uint64) *unrest {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.open) > 0 {
		return &unrest{v.name, v.open[0].room, 0, fmt.Errorf("%q is not answered", v.open[0].content)}
	}
	for room, w := range v.views {
		switch n, known := last[room]; {
		case !w.joined:
			return &unrest{v.name, room, w.seq, errors.New("the visitor is not back")}
		case known && w.seq != n:
			return &unrest{v.name, room, w.seq, fmt.Errorf("the visitor knows records up to %d of %d", w.seq, n)}
		}
	}
	return nil
}
