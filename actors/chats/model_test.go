package chats_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	bolt "go.etcd.io/bbolt"
	"pgregory.net/rapid"

	"parlor/actors/access"
	"parlor/actors/actortest"
	"parlor/actors/conversation"
	"parlor/actors/room"
	"parlor/persistence"
	"parlor/persistence/doubt"
	"parlor/protocol/assistant"
	"parlor/protocol/chat"
)

// TestModel lets some users do anything in some rooms, while the server is
// restarted, a room panics, the disk refuses and the log does not know for a while what it has recorded, and then checks what was
// promised: see the methods check… of model. The Views check on the way what
// the members are told.
func TestModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		steps := rapid.SliceOfN(rapid.Custom(drawStep), 40, 80).Draw(rt, "steps")
		if err := play(t, rapid.Bool().Draw(rt, "private"), steps); err != nil {
			rt.Fatal(err)
		}
	})
}

// play plays the steps in a bubble. It reports failures to rapid, not to t, so
// that rapid can look for a shorter way to them.
func play(t *testing.T, private bool, steps []step) (err error) {
	synctest.Test(t, func(t *testing.T) {
		failures := &collector{TB: t}
		defer func() {
			if p := recover(); p != nil && p != any(failures) {
				panic(p)
			}
			err = errors.Join(failures.errs...)
		}()
		m := newModel(failures, private)
		for _, s := range steps {
			m.play(s)
		}
		m.rest()
		m.check()
	})
	return err
}

// A collector is a test whose failures are collected.
type collector struct {
	testing.TB
	errs []error
}

func (c *collector) Errorf(format string, args ...any) {
	c.errs = append(c.errs, fmt.Errorf(format, args...))
}
func (c *collector) Error(args ...any)                 { c.Errorf("%s", fmt.Sprintln(args...)) }
func (c *collector) Fatalf(format string, args ...any) { c.Errorf(format, args...); panic(c) }
func (c *collector) Fatal(args ...any)                 { c.Error(args...); panic(c) }

// step is something that somebody does.
type step struct {
	do         string
	user, chat int
	text       int // for a send: which script answers
	client     int // for a send: which client id, 0 for none
	quiet      bool
	policy     chat.Policy // of a send
	which      int         // of the messages, for an edit or a regenerate: counted from the last
}

// GoString is how rapid prints a step.
func (s step) GoString() string {
	return fmt.Sprintf("%s(user %d, chat %d, script %d, client %d, quiet %v, policy %q, which %d)",
		s.do, s.user, s.chat, s.text, s.client, s.quiet, s.policy, s.which)
}

const (
	modelUsers = 3
	modelChats = 2
)

func drawStep(rt *rapid.T) step {
	return step{
		do: rapid.SampledFrom([]string{
			"settle", "settle", "send", "send", "send", "send", "send", "send", "send", "send", "respond", "stop", "stop",
			"mention", "edit", "edit", "regenerate", "regenerate", "select", "select", "select", "member", "unmember", "invite", "withdraw", "withdraw", "move",
			"create", "join", "join", "join", "leave", "poison", "delete", "wait", "idle", "restart", "disk full", "disk back", "disk back",
			"doubt", "doubt", "doubt and lose",
		}).Draw(rt, "do"),
		user:   rapid.IntRange(0, modelUsers-1).Draw(rt, "user"),
		chat:   rapid.IntRange(0, modelChats-1).Draw(rt, "chat"),
		text:   rapid.IntRange(0, len(modelScripts)-1).Draw(rt, "script"),
		client: rapid.IntRange(0, 3).Draw(rt, "client"),
		quiet:  rapid.Bool().Draw(rt, "quiet"),
		policy: rapid.SampledFrom(modelPolicies).Draw(rt, "policy"),
		which:  rapid.IntRange(0, 5).Draw(rt, "which"),
	}
}

var modelPolicies = []chat.Policy{"", chat.PolicySteer, chat.PolicySteer, chat.PolicyInterrupt, chat.PolicyReject, chat.PolicyMerge, chat.PolicyRollback}

var modelScripts = []actortest.Script{
	actortest.Say("yes", " 😀 ", "no"),
	actortest.Hang("so far"),
	actortest.Slowly(time.Second, "a", "", "b", "€"),
	actortest.InSteps(time.Second, "a", "b", "c"),
	actortest.Fail(func(context.Context) error { return errors.New("provider failed") }, "oh"),
	actortest.Fail(func(context.Context) error { panic("provider panicked") }, "oh"),
	actortest.Say(strings.Repeat("x", 50), strings.Repeat("y", 51)),
}

// model is what the steps have led to.
type model struct {
	t       *collector
	s       *actortest.Server
	users   [modelUsers]*actortest.User
	full    atomic.Bool                // the disk is
	doubt   atomic.Pointer[doubt.Fate] // of the next write
	settled atomic.Int64               // when all outcomes are known

	private bool // whoever has no role in a chat may do nothing there
	said    []said
	sends   int
	refs    [modelUsers]uint64 // of the last command before the last restart
}

// said is a message that somebody has sent.
type said struct {
	user   *actortest.User
	chat   chat.ID
	client chat.ClientID
	text   string
	ref    uint64
}

func newModel(t *collector, private bool) *model {
	m := &model{t: t, private: private, s: actortest.Start(t, room.Options{
		SnapshotEvery: 3,
		Access:        access.Policy{Shared: !private}, MaxAnswerBytes: 100, TurnTimeout: time.Minute, IdleTimeout: time.Minute, MaxQueuedTurns: 8,
	})}
	for i := range m.users {
		m.users[i] = m.s.User(chat.UserID(fmt.Sprint("user-", i)))
	}
	for n := range modelChats {
		m.users[0].Create(chatOf(n))
		for i, u := range m.users {
			if i > 0 && private {
				m.users[0].Do(chatOf(n), &room.SetMember{Member: chat.Member{ID: u.ID, Role: chat.RoleMember}})
			}
			u.Join(chatOf(n))
		}
	}
	m.s.Log.Fault(m.fault)
	m.s.Log.Doubt(func(persistence.Commit) (f doubt.Fate) {
		if next := m.doubt.Swap(nil); next != nil {
			f = *next
			m.settled.Store(max(m.settled.Load(), time.Now().Add(f.Unknown).UnixNano()))
		}
		return f
	})
	return m
}

func (m *model) fault(c persistence.Commit) error {
	for _, e := range c.Entries {
		if bytes.Contains(e, []byte("poison")) {
			panic("poisoned")
		}
	}
	if m.full.Load() {
		return persistence.ErrUnavailable
	}
	return nil
}

func chatOf(n int) chat.ID { return chat.ID(fmt.Sprint("chat-", n)) }

func (m *model) play(s step) {
	u, id := m.users[s.user], chatOf(s.chat)
	switch s.do {
	case "create":
		u.Tell(id, &room.Create{Chat: id, ModelID: actortest.Model})
	case "join":
		u.Tell(id, &room.Join{Encoder: assistant.Documented.String()})
	case "leave":
		u.Tell(id, &room.Leave{})
	case "send", "mention":
		m.send(u, id, s)
	case "edit":
		m.edit(u, id, s)
	case "regenerate":
		m.regenerate(u, id, s)
	case "withdraw":
		if messages := m.s.Messages(id); len(messages) > 0 {
			u.Tell(id, &room.Withdraw{MessageID: messages[max(0, len(messages)-1-s.which)].ID})
		}
	case "select":
		if messages := m.s.Messages(id); len(messages) > 0 {
			which := max(0, len(messages)-1-s.which*(1+s.client))
			u.Tell(id, &room.Select{MessageID: messages[which].ID, ClientID: []chat.ClientID{"", "selects"}[s.text%2]})
		}
	case "move":
		if turns := m.s.Turns(id); len(turns) > 0 {
			u.Tell(id, &room.MoveTurn{TurnID: turns[s.which%len(turns)], Before: turns[s.client%len(turns)]})
		}
	case "member":
		if s.quiet { // a chat that was offered is taken
			u.Tell(id, &room.SetMember{Member: chat.Member{ID: u.ID, Role: chat.RoleOwner}})
			break
		}
		role := []chat.MemberRole{chat.RoleOwner, chat.RoleMember, chat.RoleViewer}[s.which%3]
		u.Tell(id, &room.SetMember{Member: chat.Member{ID: m.users[s.client%modelUsers].ID, Role: role}})
	case "unmember":
		u.Tell(id, &room.RemoveMember{Member: m.users[s.client%modelUsers].ID})
	case "invite":
		u.Tell(id, &room.Invite{Offer: chat.Offer{Role: chat.RoleMember, Uses: s.which}, Secret: "secret"})
		u.Tell(id, &room.Accept{Secret: "secret"})
	case "respond":
		u.Tell(id, &room.Respond{})
	case "stop":
		u.Tell(id, &room.StopTurn{})
	case "poison":
		u.Tell(id, &room.Send{Content: "poison"})
	case "delete":
		m.delete(u, id)
	case "settle":
		synctest.Wait()
		m.read()
	case "wait":
		time.Sleep(1500 * time.Millisecond)
	case "idle":
		time.Sleep(3 * time.Minute)
	case "restart":
		m.restart()
		u.Tell(id, &room.Join{Encoder: assistant.Documented.String()})
	case "doubt", "doubt and lose":
		fate := doubt.Fate{Unknown: time.Duration(1+s.which) * time.Second}
		if s.do == "doubt and lose" {
			fate.Err = persistence.ErrUnavailable
		}
		m.doubt.Store(&fate)
	case "disk full", "disk back":
		m.full.Store(s.do == "disk full")
	}
}

func (m *model) send(u *actortest.User, id chat.ID, s step) {
	what := m.say(u, id, s)
	what.ref = u.Tell(id, &room.Send{Content: what.text, ClientID: what.client, Quiet: s.quiet, Policy: s.policy})
	m.said = append(m.said, what)
}

// say makes up what somebody says, and what is answered to it.
func (m *model) say(u *actortest.User, id chat.ID, s step) said {
	m.sends++
	what := said{user: u, chat: id, text: fmt.Sprint("message ", m.sends)}
	if s.do == "mention" {
		what.text += " @bert @carl @ada"
	}
	if s.client > 0 {
		what.client = chat.ClientID(fmt.Sprint("client-", s.client))
		what.text = fmt.Sprint(u.ID, " ", what.client)
	}
	m.s.Assistant.On(what.text, modelScripts[s.text])
	return what
}

// edit says anew what may be the user's or not, and superseded or not.
func (m *model) edit(u *actortest.User, id chat.ID, s step) {
	messages := m.s.Messages(id)
	if len(messages) == 0 {
		return
	}
	target := messages[max(0, len(messages)-1-s.which)]
	what := m.say(u, id, s)
	what.ref = u.Tell(id, &room.Edit{Content: what.text, ClientID: what.client, Replaces: target.ID})
	m.said = append(m.said, what)
}

// regenerate asks for another answer, of whatever model.
func (m *model) regenerate(u *actortest.User, id chat.ID, s step) {
	var answers []chat.Message
	for _, message := range m.s.Messages(id) {
		if message.Role == chat.RoleAssistant {
			answers = append(answers, message)
		}
	}
	if len(answers) == 0 {
		return
	}
	answer := answers[max(0, len(answers)-1-s.which)].ID
	u.Tell(id, &room.Regenerate{Answer: answer, ModelID: actortest.OtherModel})
}

// delete deletes a chat while nothing else is on its way, also not in a room
// that waits for its restart, so that it is known which messages went with it.
func (m *model) delete(u *actortest.User, id chat.ID) {
	time.Sleep(10 * time.Second)
	synctest.Wait()
	ref := u.Tell(id, &room.Delete{})
	time.Sleep(10 * time.Second) // the log may not know at once
	synctest.Wait()
	if reply, ok := u.Reply(ref); !ok || reply.Err != nil {
		return
	}
	var left []said
	for _, s := range m.said {
		if s.chat != id {
			left = append(left, s)
		}
	}
	m.said = left
}

func (m *model) restart() {
	m.s.Restart()
	for i, u := range m.users {
		m.refs[i] = u.Tell("no-such-chat", &room.Leave{})
	}
}

// rest waits until nothing can happen any more.
func (m *model) rest() {
	m.full.Store(false)
	m.doubt.Store(nil)
	time.Sleep(time.Hour)
	synctest.Wait()
	m.read()
}

// read has those read the history who were told that another branch was selected, while
// nothing is on its way.
func (m *model) read() {
	if time.Now().UnixNano() <= m.settled.Load() {
		return // the history has what they have yet to be told
	}
	for n := range modelChats {
		for _, u := range m.users {
			if v := u.View(chatOf(n)); v != nil && v.Stale {
				u.Reread(chatOf(n), m.history(chatOf(n)))
			}
		}
	}
}

func (m *model) check() {
	m.checkAnswers()
	m.checkLists()
	for n := range modelChats {
		m.checkTurns(chatOf(n))
		m.checkAnswered(chatOf(n))
		m.checkHistory(chatOf(n))
		m.checkMessages(chatOf(n))
		m.checkViews(chatOf(n))
	}
	for n := range modelChats {
		m.checkReplay(chatOf(n))
	}
}

// checkTurns: every turn that was wanted ends, once, and starts no more often
// than allowed.
func (m *model) checkTurns(id chat.ID) {
	open, attempts := map[chat.TurnID]bool{}, map[chat.TurnID]int{}
	for _, r := range m.s.Records(id) {
		switch e := r.Event.(type) {
		case chat.TurnQueued:
			open[e.TurnID] = true
		case chat.TurnStarted:
			if attempts[e.TurnID]++; e.Attempt != attempts[e.TurnID] || e.Attempt > 3 || !open[e.TurnID] {
				m.t.Errorf("%s: record %d starts attempt %d of a turn, after %d", id, r.Seq, e.Attempt, attempts[e.TurnID]-1)
			}
		case chat.TurnEnded:
			if !open[e.TurnID] {
				m.t.Errorf("%s: record %d ends a turn that is not open", id, r.Seq)
			}
			delete(open, e.TurnID)
		}
	}
	if len(open) > 0 {
		m.t.Errorf("%s: %d turns have not ended", id, len(open))
	}
}

// checkMessages: what was acknowledged is in the log, where the
// acknowledgement said, once, and in the order in which its sender said it;
// what was refused is not.
func (m *model) checkMessages(id chat.ID) {
	at, byText := map[uint64]chat.Message{}, map[string]chat.Message{}
	for _, message := range m.s.Messages(id) {
		if message.Role != chat.RoleUser {
			continue
		}
		if _, twice := byText[message.Content]; twice {
			m.t.Errorf("%s: %q was recorded twice", id, message.Content)
		}
		at[message.Seq], byText[message.Content] = message, message
	}
	last := map[*actortest.User]uint64{}
	for _, s := range m.said {
		if s.chat != id {
			continue
		}
		reply, ok := s.user.Reply(s.ref)
		switch {
		case !ok: // the server was restarted meanwhile
		case reply.Err != nil:
			if _, recorded := byText[s.text]; recorded && s.client == "" {
				m.t.Errorf("%s: %q was refused as %v, and recorded", id, s.text, reply.Err)
			}
		default:
			sent := reply.Body.(room.Sent)
			if got := at[sent.Seq]; got.Content != s.text || got.ID != sent.MessageID || got.Author.ID != s.user.ID {
				m.t.Errorf("%s: %q was acknowledged as record %d, which is %q", id, s.text, sent.Seq, got.Content)
			}
			if s.client == "" {
				if sent.Seq <= last[s.user] {
					m.t.Errorf("%s: %q is record %d, behind %d", id, s.text, sent.Seq, last[s.user])
				}
				last[s.user] = sent.Seq
			}
		}
	}
}

// checkViews: who is in the room knows of all that is in the log, and shows of
// what was said since it came what the history does.
func (m *model) checkViews(id chat.ID) {
	records := uint64(len(m.s.Records(id)))
	for _, u := range m.users {
		v := u.View(id)
		if v == nil {
			continue
		}
		if v.Seq != records {
			m.t.Errorf("%s: %s knows %d of %d records", id, u.ID, v.Seq, records)
		}
		var want []chat.MessageID
		for _, message := range m.history(id) {
			if message.Seq > v.Since {
				want = append(want, message.ID)
			}
		}
		if diff := cmp.Diff(want, v.IDs()); diff != "" {
			m.t.Errorf("%s: %s joined at %d (-history +shown):\n%s", id, u.ID, v.Since, diff)
		}
	}
}

// owner is the owner of the chat or, if there is none, anybody.
func (m *model) owner(id chat.ID) *actortest.User {
	info, err := m.s.Log.Chat(string(id.Room()))
	for _, u := range m.users {
		if err == nil && string(u.ID) == info.Owner {
			return u
		}
	}
	return m.users[0]
}

// checkLists: everybody's list has the chats in which they have a role, and nobody listens
// to another one.
func (m *model) checkLists() {
	for _, u := range m.users {
		var want []chat.ID
		for n := range modelChats {
			row, err := m.s.Log.Chat(string(chatOf(n).Room()))
			if err != nil {
				continue
			}
			info, err := conversation.ReadRow(row)
			if err != nil {
				m.t.Error(err)
			}
			has := !m.private || info.RoleOf(u.ID) != ""
			if has {
				want = append(want, info.ID)
			}
			if u.View(info.ID) != nil && !has {
				m.t.Errorf("%s: %s listens, who has no role", info.ID, u.ID)
			}
		}
		list, total, err := m.s.Rooms.List(m.t.Context(), u.User, 0, 10)
		var got []chat.ID
		for _, info := range list {
			got = append(got, info.ID)
		}
		slices.Sort(got)
		if err != nil || total != len(want) || !slices.Equal(got, want) {
			m.t.Errorf("%s: %d chats are listed, %v, %v, want %v", u.ID, total, got, err, want)
		}
	}
}

// history is what anybody reads of the chat, a few messages at a time.
func (m *model) history(id chat.ID) (all []chat.Message) {
	for before, more := uint64(0), true; more; {
		page, older, err := m.s.Rooms.History(m.t.Context(), m.owner(id).User, id.Room(), before, 3)
		if err != nil {
			var refusal *chat.Error
			if !errors.As(err, &refusal) || refusal.Code != chat.CodeNotFound {
				m.t.Errorf("%s: history: %v", id, err)
			}
			return nil
		}
		if all, more = append(page, all...), older; more {
			before = page[0].Seq
		}
	}
	return all
}

// checkHistory: pages and streams of the history say what the records do, with
// a list of branches, and the usage in it is what the turns have used.
func (m *model) checkHistory(id chat.ID) {
	records := m.s.Records(id)
	place := map[chat.MessageID]uint64{}
	used := 0
	for _, r := range records {
		switch e := r.Event.(type) {
		case chat.MessageAdded:
			place[e.MessageID] = r.Seq
		case chat.TurnEnded:
			if place[e.MessageID] = place[e.Prompt]; e.PromptSeq != place[e.Prompt] {
				m.t.Errorf("%s: record %d says that its prompt is record %d, which is %d", id, r.Seq, e.PromptSeq, place[e.Prompt])
			}
			if e.Usage != nil {
				used += e.Usage.TotalTokens
			}
		}
	}
	tree, all := treeOf(records), m.s.Messages(id)
	want := tree.list(tree.current, all)
	m.checkBranches(id, tree, all)
	var stream []chat.MessageID
	for _, message := range all {
		if message.Usage != nil {
			used -= message.Usage.TotalTokens
		}
	}
	for message, err := range m.s.Rooms.Messages(m.t.Context(), m.owner(id).User, id, 0, 1000) {
		if err == nil {
			stream = append(stream, message.ID)
		}
	}
	var pages []chat.MessageID
	for _, message := range m.history(id) {
		pages = append(pages, message.ID)
	}
	for name, got := range map[string][]chat.MessageID{"pages": pages, "stream": stream} {
		if diff := cmp.Diff(want, got); diff != "" {
			m.t.Errorf("%s: %s (-records +read):\n%s", id, name, diff)
		}
	}
	if used != 0 {
		m.t.Errorf("%s: turns have used %d tokens more than their messages say", id, used)
	}
}

// checkBranches: the branch of each message is that of a list of branches.
func (m *model) checkBranches(id chat.ID, tree *tree, all []chat.Message) {
	for _, message := range all {
		var got []chat.MessageID
		var failed error
		for shown, err := range m.s.Rooms.MessagesOf(m.t.Context(), m.owner(id).User, id, message.ID, 0, 1000) {
			if failed = err; err == nil {
				got = append(got, shown.ID)
			}
		}
		b := tree.through(message.ID)
		if b == nil {
			if refusal, _ := errors.AsType[*chat.Error](failed); refusal == nil || refusal.Code != chat.CodeNotFound {
				m.t.Errorf("%s: the branch of %s, which was withdrawn: %v", id, message.ID, failed)
			}
			continue
		}
		if diff := cmp.Diff(tree.list(b, all), got); diff != "" || failed != nil {
			m.t.Errorf("%s: the branch of record %d (-list +read): %v\n%s", id, message.Seq, failed, diff)
		}
	}
}

// checkAnswered: what was said to a turn was taken in by its last attempt, or is
// answered by a turn that was queued with its end, behind which it stands. What
// an edit or an interrupt came upon, that answers.
func (m *model) checkAnswered(id chat.ID) {
	var steering []uint64 // not taken in
	seqs, taken := map[chat.MessageID]uint64{}, map[uint64]bool{}
	var running chat.TurnID
	var after uint64 // the end of the running turn, until what follows it was seen
	for _, r := range m.s.Records(id) {
		switch e := r.Event.(type) {
		case chat.MessageAdded:
			seqs[e.MessageID] = r.Seq
			if e.Steers != "" && e.Steers != running {
				m.t.Errorf("%s: record %d steers a turn that does not run", id, r.Seq)
			}
			if e.Steers != "" {
				steering = append(steering, r.Seq)
			}
			if e.Replaces != "" {
				steering = slices.DeleteFunc(steering, func(seq uint64) bool { return seq >= e.ReplacesSeq })
			}
		case chat.MessageWithdrawn:
			steering = slices.DeleteFunc(steering, func(seq uint64) bool { return seq == e.Seq })
		case chat.TurnSteered:
			for _, message := range e.Messages {
				if taken[seqs[message]] {
					m.t.Errorf("%s: record %d takes in %s twice", id, r.Seq, message)
				}
				taken[seqs[message]] = true
			}
		case chat.TurnStarted:
			if after != 0 && len(steering) > 0 {
				m.t.Errorf("%s: nothing answers records %v, said to the turn that ended with record %d", id, steering, after)
			}
			running, after = e.TurnID, 0
			clear(taken)
		case chat.TurnQueued:
			if after != 0 {
				steering = slices.DeleteFunc(steering, func(seq uint64) bool { return seq <= e.PromptSeq })
			}
		case chat.TurnEnded:
			if e.TurnID == running {
				steering = slices.DeleteFunc(steering, func(seq uint64) bool { return taken[seq] })
				running, after = "", r.Seq
			}
		}
	}
	if len(steering) > 0 {
		m.t.Errorf("%s: nothing answers records %v", id, steering)
	}
}

// checkReplay: the room that lived, the one that is read from the log, and the
// fold of the records agree.
func (m *model) checkReplay(id chat.ID) {
	var fold conversation.State
	for _, r := range m.s.Records(id) {
		if err := fold.Apply(r); err != nil {
			m.t.Errorf("%s: %v", id, err)
		}
	}
	lived := m.owner(id).Do(id, &room.Join{Encoder: assistant.Documented.String()})
	m.checkCharges(id, "lived")
	m.checkIndex(id, "lived")
	m.restart()
	read := m.owner(id).Do(id, &room.Join{Encoder: assistant.Documented.String()})
	if !fold.Exists() {
		if lived.Err == nil || read.Err == nil {
			m.t.Errorf("%s does not exist, and was joined: %+v, %+v", id, lived, read)
		}
		return
	}
	m.s.RestartWith(toVersion1)
	migrated := m.owner(id).Do(id, &room.Join{Encoder: assistant.Documented.String()})
	m.checkCharges(id, "migrated")
	m.checkIndex(id, "migrated")
	want := room.Joined{Chat: fold.Chat, Epoch: fold.Chat.Epoch + "." + m.s.Log.Epoch(), Seq: fold.Seq, Branched: fold.Branches.Last()}
	for name, reply := range map[string]room.Reply{"lived": lived, "read": read, "migrated": migrated} {
		got, _ := reply.Body.(room.Joined)
		got.Users = nil
		if diff := cmp.Diff(want, got); diff != "" {
			m.t.Errorf("%s: joined, %s (-fold +room):\n%s", id, name, diff)
		}
	}
	if info, err := m.s.Rooms.Get(m.t.Context(), m.owner(id).User, id); err != nil || !info.Equal(fold.Chat) {
		m.t.Errorf("%s is listed as %+v, %v", id, info, err)
	}
}

// checkCharges: what was counted turn by turn is what the log says of them, and
// nobody else's room is charged for them.
func (m *model) checkCharges(id chat.ID, name string) {
	var want, got persistence.Count
	for _, r := range m.s.Records(id) {
		if e, ok := r.Event.(chat.TurnEnded); ok && e.MessageID != "" {
			want.Turns++
			if e.Usage != nil {
				want.Add(persistence.Count{Prompt: uint64(e.Usage.PromptTokens), Completion: uint64(e.Usage.CompletionTokens)})
			} else {
				want.Add(persistence.Count{Completion: uint64(chat.Tokens(e.Content))})
			}
		}
	}
	for c, err := range m.s.Log.Charges(0, persistence.EndOfHours) {
		if err != nil {
			m.t.Error(err)
		}
		if c.Room == string(id.Room()) {
			got.Add(c.Count)
		}
	}
	got.Estimated = 0
	if got != want {
		m.t.Errorf("%s, %s: charged %+v, the log says %+v", id, name, got, want)
	}
}

// checkIndex: each message is found by its id.
func (m *model) checkIndex(id chat.ID, name string) {
	for _, message := range m.s.Messages(id) {
		if seq, ok, err := m.s.Log.Message(string(id.Room()), string(message.ID)); seq != message.Seq || !ok || err != nil {
			m.t.Errorf("%s, %s: the message of record %d is found at %d, %v", id, name, message.Seq, seq, err)
		}
	}
}

// toVersion1 makes the file one of the first format: without checksums, and
// without what came later.
func toVersion1(path string) error {
	const checksum = 4
	db, err := bolt.Open(path, 0, &bolt.Options{NoFreelistSync: true})
	if err != nil {
		return err
	}
	err = db.Update(func(tx *bolt.Tx) error {
		var later [][]byte
		_ = tx.ForEach(func(name []byte, _ *bolt.Bucket) error {
			if !slices.Contains([]string{"meta", "chats", "members", "log", "dedup", "turns"}, string(name)) {
				later = append(later, bytes.Clone(name))
			}
			return nil
		})
		for _, name := range later {
			if err := tx.DeleteBucket(name); err != nil {
				return err
			}
		}
		for _, name := range []string{"log", "chats", "dedup", "members"} {
			bucket := tx.Bucket([]byte(name))
			values := make(map[string][]byte)
			_ = bucket.ForEach(func(k, v []byte) error {
				if len(v) >= checksum {
					values[string(k)] = bytes.Clone(v[:len(v)-checksum])
				}
				return nil
			})
			for k, v := range values {
				if err := bucket.Put([]byte(k), v); err != nil {
					return err
				}
			}
		}
		return tx.Bucket([]byte("meta")).Put([]byte("format"), []byte("parlor/1"))
	})
	return errors.Join(err, db.Close())
}

// checkAnswers: every command since the last restart was answered, and none
// twice.
func (m *model) checkAnswers() {
	for i, u := range m.users {
		last := u.Tell("no-such-chat", &room.Leave{})
		synctest.Wait()
		for ref := uint64(1); ref <= last; ref++ {
			if _, ok := u.Reply(ref); !ok && ref > m.refs[i] {
				m.t.Errorf("%s: command %d was not answered", u.ID, ref)
			}
		}
	}
}
