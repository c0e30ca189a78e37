package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"parlor/actors/conversation"
	"parlor/persistence"
	"parlor/protocol/assistant"
	"parlor/protocol/chat"
)

// interrupted is why a turn was stopped by a message.
const interrupted = "interrupted by a new message"

// maxAttempts is how often a turn is started (README).
const maxAttempts = 3

// check compares all that was told and wanted with the log: as the API shows
// it, and as it lies in the file when the server has stopped.
func (h *harness) check(ctx context.Context, a *auditor) error {
	shown := make(map[chat.RoomID][]row)
	for _, p := range h.rooms {
		messages, err := h.messages(ctx, p)
		if err != nil {
			return err
		}
		shown[p.room] = messages
	}
	if err := h.server.terminate(); err != nil {
		h.violate("server", "", 0, err)
	}
	store, err := persistence.Open(h.data(), persistence.Options{Charges: conversation.Charges, MessageID: conversation.MessageID})
	if err != nil {
		return err
	}
	defer store.Close()
	if open, err := store.OpenTurns(); err != nil || len(open) > 0 {
		h.violate("log", "", 0, fmt.Errorf("rooms with an open turn: %v, %v", open, err))
	}
	paid := h.provider.bills.runs()
	for _, p := range h.rooms {
		c := &checker{harness: h, room: p.room}
		c.run(ctx, store, shown[p.room])
		c.compareCalls(paid)
	}
	for id, runs := range paid {
		h.violate("log", "", 0, fmt.Errorf("call %s ran %d times, and is not in the log", id, runs))
	}
	return nil
}

// A row is one of a history. Calls of tools and what came of them have rows before that of
// their answer.
type row struct {
	assistant.Message
	Type string `json:"type"`
}

func (r row) isCall() bool { return r.Type == "function_call" || r.Type == "function_result" }

// messages reads a chat over HTTP, page by page from its end.
func (h *harness) messages(ctx context.Context, p place) (messages []row, err error) {
	const limit = 1000
	for before := ""; ; before = fmt.Sprintf("&before=%d", messages[0].Seq) {
		page, err := h.page(ctx, fmt.Sprintf("http://%s/api/v1/chat/%s/messages?limit=%d%s", h.server.address, p.chat, limit, before))
		if err != nil {
			return nil, fmt.Errorf("messages of %s: %w", p.chat, err)
		}
		messages = append(page, messages...)
		if len(page) < limit {
			return slices.DeleteFunc(messages, row.isCall), nil
		}
	}
}

func (h *harness) page(ctx context.Context, url string) (page []row, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("X-Parlor-User", "auditor")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, errors.New(response.Status)
	}
	return page, json.NewDecoder(response.Body).Decode(&page)
}

// count sums up what visitors did.
func (h *harness) count() {
	h.report.clients, h.report.rooms = h.Clients, h.Rooms
	h.report.messages.Store(int64(len(h.ledger.sends)))
}

// A checker compares one room's log with what was promised of it.
type checker struct {
	*harness
	room chat.RoomID

	records  []chat.Record // record n is at n-1
	contents map[string]uint64
	clients  map[chat.ClientID]uint64
	prompts  map[chat.MessageID]string
	attempts map[chat.TurnID]int
	tools    map[chat.TurnID]int // of the provider that have run
	calls    map[string]*call
	steps    map[chat.TurnID]int // the attempt that has recorded the last step
	ended    map[chat.TurnID]chat.TurnEnded
}

func (c *checker) run(ctx context.Context, store *persistence.Store, shown []row) {
	c.contents, c.clients = make(map[string]uint64), make(map[chat.ClientID]uint64)
	c.prompts, c.attempts = make(map[chat.MessageID]string), make(map[chat.TurnID]int)
	c.tools, c.calls, c.steps = make(map[chat.TurnID]int), make(map[string]*call), make(map[chat.TurnID]int)
	c.ended = make(map[chat.TurnID]chat.TurnEnded)
	var state conversation.State
	for record, err := range conversation.Records(context.WithoutCancel(ctx), store.Read(string(c.room), 0)) {
		if err == nil {
			err = state.Apply(record)
		}
		if err == nil {
			err = c.record(record)
		}
		if err != nil {
			c.wrong(record.Seq, err)
			if record.Event == nil {
				return
			}
		}
		c.records = append(c.records, record)
	}
	if len(state.Turns) > 0 {
		c.wrong(state.Seq, fmt.Errorf("%d turns have not ended", len(state.Turns)))
	}
	c.compareTold()
	c.compareShown(shown)
	c.compareSends()
	c.compareStops()
}

func (c *checker) wrong(seq uint64, err error) { c.violate("log", c.room, seq, err) }

// record checks a record against those before it.
func (c *checker) record(r chat.Record) error {
	switch e := r.Event.(type) {
	case chat.MessageAdded:
		return c.said(r.Seq, e)
	case chat.TurnStarted:
		if c.attempts[e.TurnID]++; e.Attempt != c.attempts[e.TurnID] || e.Attempt-c.steps[e.TurnID] > maxAttempts {
			return fmt.Errorf("turn %s is started as attempt %d after %d", e.TurnID, e.Attempt, c.attempts[e.TurnID]-1)
		}
		if c.tools[e.TurnID] > 0 {
			return fmt.Errorf("turn %s is started again, after %d of its tools have run", e.TurnID, c.tools[e.TurnID])
		}
	case chat.ToolsCalled, chat.ToolsLost, chat.ToolDecided, chat.ToolEnded:
		c.toolRecord(r)
	case chat.ToolStarted:
		c.tools[e.TurnID]++
	case chat.TurnEnded:
		c.ended[e.TurnID] = e
		c.report.ended(e.State, c.attempts[e.TurnID])
		return c.end(e)
	}
	return nil
}

func (c *checker) said(seq uint64, e chat.MessageAdded) error {
	c.prompts[e.MessageID] = e.Content
	if first, twice := c.contents[e.Content]; twice {
		return fmt.Errorf("%q is also record %d", e.Content, first)
	}
	c.contents[e.Content] = seq
	if e.ClientID == "" {
		return nil
	}
	if first, twice := c.clients[e.ClientID]; twice {
		return fmt.Errorf("client message %q is also record %d", e.ClientID, first)
	}
	c.clients[e.ClientID] = seq
	return nil
}

// end checks why and with what text a turn has ended: the provider's whole
// answer if it completed, else the beginning of it.
func (c *checker) end(e chat.TurnEnded) error {
	all := whole(c.prompts[e.Prompt])
	switch {
	case e.State == chat.StateCompleted && (e.Content != all || !completes(e.ModelID)):
		return fmt.Errorf("completed by %s with %q, not %q", e.ModelID, e.Content, all)
	case !strings.HasPrefix(all, e.Content):
		return fmt.Errorf("%s with %q, which is no beginning of %q", e.State, e.Content, all)
	case e.State == chat.StateInterrupted && c.tools[e.TurnID] == 0 && c.attempts[e.TurnID]-c.steps[e.TurnID] != maxAttempts:
		return fmt.Errorf("interrupted after %d attempts", c.attempts[e.TurnID])
	case e.State == chat.StateStopped && !c.wasAsked(e):
		return fmt.Errorf("stopped by %q, %q, which nobody has asked for", e.By, e.Reason)
	case e.State == chat.StateFailed && e.Error.Code != chat.CodeProviderTimeout && completes(e.ModelID):
		return fmt.Errorf("%s failed: %v", e.ModelID, e.Error) // on a busy machine it may be late
	}
	return nil
}

// completes reports whether the model's answers are whole.
func completes(m chat.ModelID) bool {
	return m == "prompt" || m == "slow" || m == "tooling" || m == paying
}

func (c *checker) wasAsked(e chat.TurnEnded) bool {
	for _, s := range c.ledger.sends {
		if s.room == c.room && s.user == e.By && s.policy == chat.PolicyInterrupt && e.Reason == interrupted {
			return true
		}
	}
	for _, s := range c.ledger.stops {
		if s.room == c.room && s.user == e.By && s.reason == e.Reason {
			return true
		}
	}
	return false
}

// compareTold: what anybody was told of a record is what the log says.
func (c *checker) compareTold() {
	for seq, told := range c.chronicle.of(c.room) {
		if seq == 0 || seq > uint64(len(c.records)) {
			c.wrong(seq, fmt.Errorf("somebody was told %v of a record that is not in the log", told))
			continue
		}
		fact := factOf(c.records[seq-1])
		if _, ok := fact.with(told); !ok {
			c.wrong(seq, fmt.Errorf("somebody was told %v of what is recorded as %v", told, fact))
		}
	}
	c.report.counted(len(c.records))
}

// compareShown: history is the messages of the log.
func (c *checker) compareShown(shown []row) {
	i := 0
	for _, r := range c.records {
		m, ok := r.Message()
		if !ok {
			continue
		}
		if i >= len(shown) {
			c.wrong(r.Seq, fmt.Errorf("history has %d messages and lacks %q", len(shown), m.Content))
			return
		}
		if m.Role == chat.RoleAssistant {
			m.Content = assistant.Visible(m) // the API says in words why there is no text
		}
		if got := shown[i]; got.Seq != m.Seq || factOfMessage(got.Message.Message) != factOfMessage(m) {
			c.wrong(r.Seq, fmt.Errorf("history shows record %d, %v, instead of %v", got.Seq, factOfMessage(got.Message.Message), factOfMessage(m)))
			return
		}
		i++
	}
	if i != len(shown) {
		c.wrong(0, fmt.Errorf("history has %d messages, and the log %d", len(shown), i))
	}
}

// compareSends: what was acknowledged is where the acknowledgement said, in the
// order in which its visitor has said it; what was always refused is not there.
func (c *checker) compareSends() {
	last := make(map[string]*send)
	for _, s := range c.ledger.sends {
		if s.room != c.room {
			continue
		}
		at, recorded := c.clients[s.client]
		switch {
		case s.acked && at != s.seq:
			c.wrong(s.seq, fmt.Errorf("%q of %s was acknowledged as record %d and is %d", s.content, s.visitor, s.seq, at))
		case s.acked:
			if before := last[s.visitor]; before != nil && len(s.tries) == 1 && before.seq > s.seq {
				c.wrong(s.seq, fmt.Errorf("%q of %s was said after record %d", s.content, s.visitor, before.seq))
			}
			last[s.visitor] = s
		case s.answered && !s.unsure && recorded:
			c.wrong(at, fmt.Errorf("%q of %s was refused, and recorded", s.content, s.visitor))
		}
	}
}

// compareStops: a turn that a visitor was told it has stopped was stopped by it.
func (c *checker) compareStops() {
	for _, s := range c.ledger.stops {
		if s.room != c.room || s.turn == "" {
			continue
		}
		if e := c.ended[s.turn]; e.State != chat.StateStopped || e.Reason != s.reason {
			c.wrong(0, fmt.Errorf("turn %s was stopped (%q), and has ended as %s (%q)", s.turn, s.reason, e.State, e.Reason))
		}
	}
}
