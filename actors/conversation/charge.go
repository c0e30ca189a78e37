package conversation

import (
	"strings"

	"parlor/persistence"
	"parlor/protocol/chat"
)

// ChargeOf returns what a record that follows s has cost, and who is charged. It
// depends on the log alone, so that the charges kept beside it can be made anew.
func ChargeOf(s *State, record chat.Record) (c persistence.Charge, ok bool) {
	c = persistence.Charge{Hour: persistence.HourOf(record.At), Room: string(s.Chat.Room)}
	switch e := record.Event.(type) {
	case chat.TurnEnded:
		i := s.Find(e.TurnID)
		if i < 0 || e.MessageID == "" { // it was never started
			return c, false
		}
		c.User, c.Model = chargeName(string(s.Turns[i].By), persistence.MaxOwnerLen), chargeName(string(e.ModelID), persistence.MaxModelLen)
		c.Count = countOf(e.Usage, e.Content)
		c.Turns = 1
		return c, true
	case chat.Configured:
		c.User, c.Model = chargeName(string(s.Chat.Owner), persistence.MaxOwnerLen), chargeName(string(e.ModelID), persistence.MaxModelLen)
		c.Count = countOf(e.Usage, "")
		c.Estimated = 0 // it is no turn
		return c, e.Usage != nil
	}
	return c, false
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
