package upstream

import (
	"slices"

	"parlor/protocol/chat"
)

// A claim is what a stream has said of the end of its answer. Some servers give
// a reason with every piece, others before they run a tool and go on.
type claim struct {
	finish    chat.Finish // empty if there is none, or if it was taken back
	alone     bool        // it came without anything else
	takenBack bool        // one was
}

// take notes what p says.
func (c *claim) take(p Piece) {
	adds := p.Tool != nil || len(p.Calls) > 0 || said(p.Text) || said(p.Thought)
	if adds && c.finish != "" {
		c.finish, c.takenBack = "", true
	}
	if p.Finish != "" {
		c.finish, c.alone = p.Finish, !adds
	}
}

func said(list []Text) bool {
	return slices.ContainsFunc(list, func(t Text) bool { return t != (Text{}) })
}

// certain reports whether the claim can be believed of a server that says no
// more, and does not end its stream: it gives reasons for nothing but the end.
func (c *claim) certain() bool {
	return c.finish != "" && c.alone && !c.takenBack && c.finish != chat.FinishToolCalls && c.finish != chat.FinishPause
}
