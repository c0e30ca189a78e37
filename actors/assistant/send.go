package assistant

import (
	"parlor/actors/room"
	wire "parlor/protocol/assistant"
)

func edit(call room.Caller, r wire.Edit, origin string) room.Message {
	return &room.Edit{
		Caller: call, Replaces: r.MessageID, Content: r.Content, ModelID: r.ModelID, Answer: r.Answer, ClientID: r.ClientID, Origin: origin,
	}
}

func send(call room.Caller, r wire.SendMessage, origin string) room.Message {
	switch {
	case r.Respond:
		return &room.Respond{Caller: call, ClientID: r.ClientID, Origin: origin}
	case r.Speech == wire.Append:
		return &room.AppendAudio{Caller: call, ModelID: r.ModelID, Audio: r.Audio}
	case r.Speech == wire.Clear:
		return &room.ClearAudio{Caller: call, ModelID: r.ModelID}
	case r.Speech == wire.Commit:
		return &room.CommitAudio{Caller: call, ModelID: r.ModelID, Origin: origin}
	}
	return &room.Send{
		Caller: call, Content: r.Content, ModelID: r.ModelID, ClientID: r.ClientID, Correlation: r.LocalID,
		Origin: origin, Policy: r.Policy, Answer: r.Answer, Quiet: r.Quiet, Files: r.Files,
	}
}
