package chaos

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"parlor/protocol/assistant"
	"parlor/protocol/chat"
)

// Messages that begin so make a room panic; see actors/room/chaos.go.
const (
	panicBefore = "chaos: panic before"
	panicAfter  = "chaos: panic after"
)

// say sends a new message.
func (v *visitor) say(ctx context.Context) {
	room, ok := v.any()
	if !ok {
		return
	}
	content := v.words()
	if v.panics.Add(-1) >= 0 {
		content = []string{panicBefore, panicAfter}[v.rng.IntN(2)] + ", " + content
	} else {
		v.panics.Add(1)
	}
	s := v.compose(room, content)
	v.send(ctx, s)
	if v.rng.IntN(10) == 0 && v.isAcked(s) { // as who has not seen the answer
		v.send(ctx, s)
	}
}

func (v *visitor) isAcked(s *send) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return s.acked
}

// words returns a message that nobody else says.
func (v *visitor) words() string {
	v.messages++
	return fmt.Sprintf("%s says %d %s", v.name, v.messages, strings.Repeat("and on ", v.rng.IntN(20)))
}

// compose writes down a message before it is sent.
func (v *visitor) compose(room chat.RoomID, content string) *send {
	s := &send{
		visitor: v.name, user: v.user, room: room, content: content,
		client: chat.ClientID(fmt.Sprintf("%s-%d", v.name, v.messages)), model: v.provider.anyModel(v.rng), policy: v.anyPolicy(),
	}
	if s.model == paying && s.policy == chat.PolicySteer { // what is said between its steps is answered in another way
		s.policy = ""
	}
	v.ledger.addSend(s)
	v.mu.Lock()
	defer v.mu.Unlock()
	v.open = append(v.open, s)
	return s
}

// anyPolicy says what becomes of a message while a turn runs.
func (v *visitor) anyPolicy() chat.Policy {
	switch n := v.rng.IntN(100); {
	case n < 8:
		return chat.PolicyInterrupt
	case n < 20:
		return chat.PolicySteer
	case n < 24:
		return chat.PolicyReject
	}
	return ""
}

// repeat sends a message again that was not answered.
func (v *visitor) repeat(ctx context.Context) bool {
	v.mu.Lock()
	var s *send
	if len(v.open) > 0 {
		s = v.open[0]
	}
	v.mu.Unlock()
	if s == nil {
		return false
	}
	v.report.repeated.Add(1)
	v.send(ctx, s)
	return true
}

// send sends a message and takes a refusal; that it was recorded is told by an
// event, in its place.
func (v *visitor) send(ctx context.Context, s *send) {
	if strings.HasPrefix(s.content, panicBefore) || strings.HasPrefix(s.content, panicAfter) {
		v.faults.Add(1)
	}
	v.mu.Lock()
	s.tries = append(s.tries, try{v.sid, v.connection})
	v.mu.Unlock()
	a := v.call(ctx, "send_message", map[string]any{
		"room_id": s.room, "model_id": s.model, "policy": s.policy,
		"message": map[string]any{"content": s.content, "client_message_id": s.client},
	})
	if a != nil && !a.OK && s.unsure { // a try before this one may have been recorded
		sleep(ctx, between(v.rng, 20*time.Millisecond, 200*time.Millisecond))
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	switch {
	case s.answered && a != nil && a.OK && (a.Seq != s.seq || a.MessageID != s.message):
		v.violate(v.name, s.room, a.Seq, fmt.Errorf("%q was acknowledged as record %d, and before as %d", s.content, a.Seq, s.seq))
	case s.answered:
	case a == nil:
		s.unsure = true
	case a.OK:
		v.violate(v.name, s.room, a.Seq, fmt.Errorf("%q was acknowledged without the event that says so", s.content))
		v.close(s)
	case !s.unsure, strings.HasPrefix(s.content, panicBefore):
		v.close(s)
	}
}

// close ends the sending of s.
func (v *visitor) close(s *send) {
	s.answered = true
	v.open = slices.DeleteFunc(v.open, func(o *send) bool { return o == s })
}

// decide decides about a call that the end of the server has cut: mostly it is not to run again.
// Somebody else may have done so before.
func (v *visitor) decide(ctx context.Context) bool {
	v.mu.Lock()
	var in *view
	for _, w := range v.views {
		if w.joined && len(w.lost) > 0 {
			in = w
		}
	}
	if in == nil {
		v.mu.Unlock()
		return false
	}
	id, room := in.lost[0], in.room
	in.lost = in.lost[1:]
	v.mu.Unlock()
	decision := assistant.Deny
	if v.rng.IntN(3) == 0 {
		decision = assistant.Approve
	}
	v.call(ctx, "approve", map[string]any{"room_id": room, "call_id": id, "decision": decision})
	return true
}

// stop stops what runs in a room.
func (v *visitor) stop(ctx context.Context) {
	room, ok := v.any()
	if !ok {
		return
	}
	v.messages++
	s := &stop{user: v.user, room: room, reason: fmt.Sprintf("%s stops %d", v.name, v.messages)}
	v.ledger.addStop(s)
	if a := v.call(ctx, "stop", map[string]any{"room_id": room, "reason": s.reason}); a != nil && a.OK && a.Recorded == nil {
		s.turn = a.TurnID // what is not recorded yet need not outlive the server
	}
}
