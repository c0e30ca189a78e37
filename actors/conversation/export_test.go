package conversation

import (
	"testing"

	"parlor/protocol/chat"
)

// TailSlack is how many bytes a tail may always grow beyond what prompts have used.
func TailSlack() int { return tailSlack }

// SetTailSlack sets it for the rest of a test.
func SetTailSlack(t *testing.T, bytes int) {
	before := tailSlack
	tailSlack = bytes
	t.Cleanup(func() { tailSlack = before })
}

// Shrink has the tail drop its oldest records until the rest takes no more than
// limit bytes.
func (t *Tail) Shrink(limit int) { t.shrink(limit) }

// Memory returns how many records the tail has, the bytes that they take, and how
// many the larger one of the last two prompts has used.
func (t *Tail) Memory() (records, bytes, used int) { return len(t.records), t.bytes, t.used }

// NewNames returns names of nobody yet.
func NewNames() Names { return newNames() }

// ErrCrowd refuses a message that addresses too many.
var ErrCrowd = errCrowd

// Addressed returns the models that a text addresses.
func (r *Rules) Addressed(text string, model chat.ModelID) ([]chat.ModelID, *chat.Error) {
	a := Moment{Rules: r, State: new(State)}.addresses(text)
	return a.modelsOr(model), a.refusal()
}
