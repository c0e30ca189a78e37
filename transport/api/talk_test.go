package api_test

import (
	"cmp"
	"context"
	"strings"
	"testing"

	"parlor/protocol/chat"
	"parlor/transport/api"
)

// The methods of api.Talk. What is said comes back in the names of things.

func (c *chats) Say(ctx context.Context, u chat.User, id chat.ID, m chat.Say) (chat.Said, error) {
	_, err := c.Get(ctx, u, id)
	repeated := m.ClientID != "" && c.keys[m.ClientID]
	c.keys[m.ClientID] = true
	return chat.Said{MessageID: "m-" + chat.MessageID(m.Content), ClientID: m.ClientID, Seq: 2, Turns: []chat.TurnID{"t1"}, Repeated: repeated}, err
}

func (c *chats) Edit(ctx context.Context, u chat.User, id chat.ID, m chat.Edit) (chat.Said, error) {
	_, err := c.Get(ctx, u, id)
	return chat.Said{MessageID: "m-" + chat.MessageID(m.Content), ClientID: m.ClientID, Seq: 4, Replaces: m.MessageID, ReplacesSeq: 2}, err
}

func (c *chats) Regenerate(ctx context.Context, u chat.User, id chat.ID, a chat.Again) (chat.Queued, error) {
	_, err := c.Get(ctx, u, id)
	return chat.Queued{TurnID: "again-" + chat.TurnID(a.Answer), Repeated: a.ClientID == "twice"}, err
}

func (c *chats) Stop(ctx context.Context, u chat.User, id chat.ID, s chat.Stop) (chat.Stopped, error) {
	_, err := c.Get(ctx, u, id)
	return chat.Stopped{TurnID: s.TurnID, Unrecorded: s.Reason == "full"}, err
}

func (c *chats) Decide(ctx context.Context, u chat.User, id chat.ID, d chat.Decide) (chat.Decided, error) {
	if _, err := c.Get(ctx, u, id); err != nil || d.CallID == "gone" {
		return chat.Decided{}, cmp.Or(err, error(chat.Refuse(chat.CodeNotFound, "no such call waits")))
	}
	return chat.Decided{CallID: d.CallID, Approved: d.Approved}, nil
}

// A message by HTTP is answered as the same is by Socket.IO, and says by its status
// whether it came before.
func TestTalk(t *testing.T) {
	c := &chats{infos: []chat.Info{{ID: "mine", Owner: "alice", ModelID: "eliza", Created: t0}, {ID: "other", Owner: "bob"}}, keys: make(map[chat.ClientID]bool)}
	mux := newMux(t, c, api.Options{MaxSayBytes: 200 << 10})
	long := strings.Repeat("x", 100<<10)
	for _, step := range []struct {
		request, body, key string
		status             int
		want               string // in the answer
	}{
		{"POST /chat/mine/messages", `{"content":"hi"}`, "", 201, `{"ok":true,"message_id":"m-hi","seq":2,"turn_ids":["t1"]}`},
		{"POST /chat/mine/messages", `{"content":"hi","client_message_id":"k1"}`, "", 201, `"client_message_id":"k1"`},
		{"POST /chat/mine/messages", `{"content":"hi"}`, "k1", 200, `"client_message_id":"k1"`},
		{"POST /chat/mine/messages", `{"content":"hi"}`, `"k2"`, 201, `"client_message_id":"k2"`},
		{"POST /chat/mine/messages", `{"content":"hi","client_message_id":"k1"}`, "k2", 400, "be the same"},
		{"POST /chat/mine/messages", `{"content":"hi","client_message_id":"k 1"}`, "", 400, "client_message_id"},
		{"POST /chat/mine/messages", `{"content":" "}`, "", 400, "content"},
		{"POST /chat/mine/messages", `{"content":"hi","policy":"shout"}`, "", 400, "policy"},
		{"POST /chat/mine/messages", `{"content":"` + long + `"}`, "", 201, "m-xxx"},
		{"POST /chat/mine/messages", `{"content":"` + long + long + `"}`, "", 413, "too_large"},
		{"POST /chat/other/messages", `{"content":"hi"}`, "", 404, "Chat not found"},
		{"GET /chat/other/messages?branch=none", ``, "", 404, "Chat not found"},
		{"GET /chat/mine/messages?branch=none", ``, "", 404, "there is no such message"},
		{"PATCH /chat/mine/messages/m1", `{"content":"ho"}`, "k", 201, `{"ok":true,"message_id":"m-ho","client_message_id":"k","seq":4,"replaces":"m1","replaces_seq":2,"turn_ids":[]}`},
		{"PATCH /chat/mine/messages/m1", `{"content":"ho","policy":"steer"}`, "", 400, "policy"},
		{"PATCH /chat/mine/messages/m1", `{"content":"ho","files":["f"]}`, "", 400, "files"},
		{"POST /chat/mine/messages", `{"files":["f"]}`, "", 201, "message_id"},
		{"POST /chat/mine/messages/a1/regenerate", ``, "", 201, `{"ok":true,"turn_id":"again-a1"}`},
		{"POST /chat/mine/messages/a1/regenerate", `{"model_id":"eliza"}`, "twice", 200, `"again-a1"`},
		{"POST /chat/mine/stop", ``, "", 200, `{"ok":true,"turn_id":null}`},
		{"POST /chat/mine/stop", `{"turn_id":"t1","reason":"full"}`, "", 200, `{"ok":true,"turn_id":"t1","recorded":false}`},
		{"POST /chat/mine/calls/c1", `{"decision":"approve","arguments":{"sum":1},"always":true}`, "", 200, `{"ok":true,"call_id":"c1","decision":"approve"}`},
		{"POST /chat/mine/calls/c1", `{"decision":"deny","reason":"no","client_message_id":"k"}`, "k", 200, `"decision":"deny"`},
		{"POST /chat/mine/calls/c1", `{"decision":"perhaps"}`, "", 400, "approve or deny"},
		{"POST /chat/mine/calls/c1", `{"decision":"deny","always":true}`, "", 400, "always"},
		{"POST /chat/mine/calls/c1", ``, "", 400, "body"},
		{"POST /chat/mine/calls/gone", `{"decision":"deny"}`, "", 404, "no such call"},
		{"POST /chat/other/calls/c1", `{"decision":"deny"}`, "", 404, "not found"},
		{"POST /chat/mine/stop", `{"reason":"` + long[:2000] + `"}`, "", 400, "reason"},
	} {
		method, path, _ := strings.Cut(step.request, " ")
		var header []string
		if step.key != "" {
			header = []string{"Idempotency-Key", step.key}
		}
		w := do(mux, method, "/api/v1"+path, step.body, header...)
		if body := w.Body.String(); w.Code != step.status || !strings.Contains(body, step.want) {
			t.Errorf("%s %.80s (%s): got %d %.200s, want %d and %s", step.request, step.body, step.key, w.Code, body, step.status, step.want)
		}
	}
}
