package mcp

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"parlor/protocol/chat"
)

// A wait ends with news or with its time, and the agent is told how the room stands.
func TestWait(t *testing.T) {
	running := chat.Entered{Seq: 2, Turn: &chat.Turn{ID: "t"}, Text: "so "}
	tell := func(n chat.Notice) chat.Told { return chat.Told{Notice: n} }
	for name, c := range map[string]struct {
		room      *fake
		cursor    string
		texts     string // joined
		next      string
		answering bool
		soFar     string
		approvals string
		takes     time.Duration
	}{
		"nothing": {
			room: &fake{entered: chat.Entered{Seq: 2}}, next: "e.2", takes: seconds(9),
		},
		"an answer that is there": {
			room: &fake{records: []chat.Record{said(1, "alice", "hi"), answered(2, "t", "ho")}, entered: chat.Entered{Seq: 2}}, cursor: "e.1", texts: "ho", next: "e.2",
		},
		"all that is there": {
			room: &fake{records: []chat.Record{answered(1, "t", "ho"), answered(2, "u", "hum")}, entered: chat.Entered{Seq: 2}}, cursor: "e.0", texts: "ho hum", next: "e.2",
		},
		"an answer that comes": {
			room: &fake{entered: running, live: []chat.Told{tell(chat.Text{Before: []byte("so "), Piece: "far"}), tell(answered(3, "t", "so far"))}}, cursor: "e.2", texts: "so far", next: "e.3",
		},
		"an answer that goes on": {
			room: &fake{entered: running, live: []chat.Told{tell(chat.Text{Before: []byte("so "), Piece: "far"})}}, cursor: "e.2", next: "e.2", answering: true, soFar: "so far", takes: seconds(9),
		},
		"an answer that waits for its turn": {
			room: &fake{entered: chat.Entered{Seq: 2}, live: []chat.Told{tell(chat.Record{Seq: 3, Event: chat.TurnQueued{TurnID: "u"}})}}, next: "e.3", answering: true, takes: seconds(9),
		},
		"an own message does not end it": {
			room: &fake{entered: chat.Entered{Seq: 2}, live: []chat.Told{tell(said(3, "alice", "mine"))}}, texts: "mine", next: "e.3", takes: seconds(9),
		},
		"a message of another member": {
			room: &fake{entered: chat.Entered{Seq: 2}, live: []chat.Told{tell(said(3, "alice", "mine")), tell(said(4, "bob", "yours"))}}, texts: "mine yours", next: "e.4",
		},
		"a turn that never began": {
			room: &fake{entered: running, live: []chat.Told{tell(chat.Record{Seq: 3, Event: chat.TurnEnded{TurnID: "t", State: chat.StateFailed}})}}, next: "e.3",
		},
		"a tool that nobody has approved": {
			room: &fake{entered: running, live: []chat.Told{
				tell(chat.Record{Seq: 3, Event: chat.ToolsCalled{Calls: []chat.ToolCall{{ID: "1", Name: "pay", NeedsApproval: true}, {ID: "2", Name: "mail", NeedsApproval: true}, {ID: "3", Name: "look"}}}}),
				tell(chat.Record{Seq: 4, Event: chat.ToolDecided{CallID: "2"}}),
			}}, next: "e.4", answering: true, approvals: "pay", takes: seconds(9),
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := New(Options{Rooms: c.room})
				begun := time.Now()
				got, err := s.wait(t.Context(), alice, waitArgs{Room: "c", Cursor: c.cursor, Seconds: 9})
				if err != nil {
					t.Fatal(err)
				}
				if took := time.Since(begun); took != c.takes {
					t.Errorf("took %v, want %v", took, c.takes)
				}
				equal(t, "waited",
					[]string{strings.Join(texts(got.Messages), " "), got.Cursor, got.SoFar, strings.Join(got.Approvals, " ")},
					[]string{c.texts, c.next, c.soFar, c.approvals})
				if got.Answering != c.answering {
					t.Errorf("answering is %v", got.Answering)
				}
			})
		})
	}
}

// A wait is never longer than the server allows, whatever is asked for.
func TestLongestWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		if _, err := New(Options{Rooms: new(fake)}).wait(t.Context(), alice, waitArgs{Room: "c", Seconds: 1000}); err != nil {
			t.Error(err)
		}
		if took := time.Since(begun); took != 55*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

func TestWaitRefusals(t *testing.T) {
	gone := chat.Refuse(chat.CodeNotFound, "you are no longer a member of this chat")
	broken := chat.Refuse(chat.CodeQuarantined, "out of service")
	for _, c := range []struct {
		room   *fake
		cursor string
		want   error
	}{
		{&fake{}, "7", errCursor},
		{&fake{}, ".7", errCursor},
		{&fake{}, "e.x", errCursor},
		{&fake{}, "another.1", errAnew},
		{&fake{entered: chat.Entered{Anew: chat.RestartAhead}}, "e.9", errAnew},
		{&fake{failure: gone}, "", gone},
		{&fake{live: []chat.Told{{Notice: chat.Failure{Error: broken}}}}, "", broken},
	} {
		_, err := New(Options{Rooms: c.room}).wait(t.Context(), alice, waitArgs{Room: "c", Cursor: c.cursor, Seconds: 9})
		if !errors.Is(err, c.want) {
			t.Errorf("cursor %q: %v, want %v", c.cursor, err, c.want)
		}
	}
}
