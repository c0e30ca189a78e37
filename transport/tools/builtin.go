package tools

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
	_ "time/tzdata" // where the system has none

	"parlor/protocol/chat"
)

// currentTime is the tool that every model is offered which takes tools.
const currentTime = "current_time"

func builtIn() []Tool {
	return []Tool{{
		Tool: chat.Tool{
			Name: currentTime, Description: "Tells the date and the time, in a time zone if one is named.",
			Schema: json.RawMessage(`{"type":"object","properties":{"time_zone":{"type":"string","description":"A name of the IANA database, such as Europe/Berlin. Without it the answer is in UTC."}},"additionalProperties":false}`),
		},
		Approval: chat.ApprovalNever,
		Run:      tellTime,
	}}
}

func tellTime(_ context.Context, r chat.ToolRun, _ func()) (string, error) {
	var asked struct {
		TimeZone string `json:"time_zone"`
	}
	if err := json.Unmarshal([]byte(r.Call.Arguments), &asked); err != nil {
		return "", err
	}
	zone, err := time.LoadLocation(asked.TimeZone)
	if err != nil {
		return "", chat.Refuse(chat.CodeInvalid, fmt.Sprintf("there is no time zone %q", asked.TimeZone))
	}
	return time.Now().In(zone).Format("Monday, 2 January 2006, 15:04:05 MST (-07:00)"), nil
}
