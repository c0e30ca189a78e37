package openwebui

import (
	"strconv"

	"parlor/protocol/chat"
	"parlor/protocol/engineio"
)

// tools tells what becomes of calls of tools, in the status of the running answer. Clients
// have no event with which to approve a call.
func (e *Encoder) tools(event chat.Event) []engineio.Frame {
	var all []engineio.Frame
	tell := func(s status) { all = append(all, e.chatEvents(e.running.name, "status", s)...) }
	switch event := event.(type) {
	case chat.ToolsCalled:
		e.answerOf(chat.Turn{MessageID: event.MessageID})
		for _, c := range event.Calls {
			if c.NeedsApproval {
				tell(status{Action: c.Name, Description: "waits for somebody to approve " + c.Name})
			} else {
				tell(status{Action: c.Name, Description: "runs " + c.Name})
			}
		}
	case chat.ToolsLost:
		tell(status{Action: "tools", Description: "waits for somebody to decide whether to run again what the end of the server has cut"})
	case chat.ToolDecided:
		if event.Approved {
			tell(status{Action: event.Name, Description: "runs " + event.Name})
		}
	case chat.ToolEnded:
		tell(status{Action: event.Name, Description: event.Name + ": " + string(event.State), Done: true})
	}
	return all
}

// toolNews tells how far a call is, in the status of the running answer.
func (e *Encoder) toolNews(n chat.ToolNews) []engineio.Frame {
	text := n.Name + ": " + strconv.FormatFloat(n.Progress, 'f', -1, 64)
	if n.Total > 0 {
		text += " of " + strconv.FormatFloat(n.Total, 'f', -1, 64)
	}
	if n.Message != "" {
		text += ", " + n.Message
	}
	return e.chatEvents(e.nameOf(n.MessageID), "status", status{Action: n.Name, Description: text})
}
