package conversation

import (
	"testing"

	"parlor/protocol/chat"
)

// everybody are models of any name.
type everybody struct{ Models }

func (everybody) Named(name string) (chat.ModelID, bool) { return chat.ModelID(name), true }

// A message may address so many and no more, however often it does.
func TestMaxAddressed(t *testing.T) {
	r := &Rules{Models: everybody{}}
	text := "@a @b @c @d @e @f @g @h @a @b"
	if models, refusal := r.addressed(text, "m"); len(models) != maxAddressed || refusal != nil {
		t.Errorf("got %v, %v", models, refusal)
	}
	if models, refusal := r.addressed(text+" @i", "m"); models != nil || refusal == nil || refusal.Code != chat.CodeInvalid {
		t.Errorf("got %v, %v", models, refusal)
	}
}
