package conversation

import (
	"strings"
	"time"

	"parlor/persistence"
	"parlor/protocol/chat"
)

// ChargeOf returns what a record that follows s has cost, and who is charged. It
// depends on the log alone, so that the charges kept beside it can be made anew.
func ChargeOf(s *State, record chat.Record) (c persistence.Charge, ok bool) {
	switch e := record.Event.(type) {
	case chat.TurnEnded:
		i := s.Find(e.TurnID)
		if i < 0 || e.MessageID == "" { // it was never started
			return c, false
		}
		return ChargeFor(record.At, s.Chat.Room, s.Turns[i].By, e.ModelID, e.Usage, e.Content), true
	case chat.Configured:
		c = ChargeFor(record.At, s.Chat.Room, s.Chat.Owner, e.ModelID, e.Usage, "")
		c.Turns, c.Estimated = 0, 0 // it is no turn
		return c, e.Usage != nil
	}
	return c, false
}

// ChargeFor returns what an answer has cost. Its room is empty if it was given in none.
func ChargeFor(at time.Time, room chat.RoomID, user chat.UserID, model chat.ModelID, u *chat.Usage, text string) persistence.Charge {
	c := persistence.Charge{
		Hour: persistence.HourOf(at), Room: string(room),
		User: chargeName(string(user), persistence.MaxOwnerLen), Model: chargeName(string(model), persistence.MaxModelLen),
		Count: countOf(u, text),
	}
	c.Turns = 1
	return c
}

// countOf sorts what a provider said. If the total is more than the prompt and the
// answer, the rest are tokens of thought, which count as the answer's.
func countOf(u *chat.Usage, text string) persistence.Count {
	// Older versions recorded no usage. A change of [chat.Tokens] would change what
	// their records amount to, and needs a migration.
	if u == nil {
		u = &chat.Usage{CompletionTokens: chat.Tokens(text), Estimated: text != ""}
	}
	prompt := max(0, u.PromptTokens)
	c := persistence.Count{Prompt: uint64(prompt), Completion: uint64(max(0, u.CompletionTokens, u.TotalTokens-prompt))}
	if u.Estimated {
		c.Estimated = 1
	}
	return c
}

// chargeName makes any name one that the usage can be kept under.
func chargeName(name string, limit int) string {
	return strings.ReplaceAll(name[:min(len(name), limit)], "\x00", "")
}
