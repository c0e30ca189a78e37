package aisdk

import "parlor/protocol/chat"

// Metadata is what parlor says about a message beside its parts. A client merges what
// comes in the middle and at the end with what came at the beginning.
type Metadata struct {
	Seq     uint64         `json:"seq,omitempty"` // of the last record that tells of the message
	State   chat.State     `json:"state,omitempty"`
	ModelID chat.ModelID   `json:"model_id,omitempty"`
	Name    string         `json:"name,omitempty"` // of the model
	TurnID  chat.TurnID    `json:"turn_id,omitempty"`
	Attempt int            `json:"attempt,omitempty"`
	Prompt  chat.MessageID `json:"prompt,omitempty"`
	By      chat.UserID    `json:"by,omitempty"` // who stopped it
	Reason  string         `json:"reason,omitempty"`
	Usage   *Usage         `json:"usage,omitempty"`

	// These are in a history only.
	Siblings *chat.Siblings `json:"siblings,omitempty"` // the other versions of the message
	Author   *chat.User     `json:"author,omitempty"`
	Created  string         `json:"timestamp,omitempty"`
	Error    *chat.Error    `json:"error,omitempty"`
}

// Usage has the names that the SDK gives it.
type Usage struct {
	Input     int  `json:"inputTokens"`
	Output    int  `json:"outputTokens"`
	Total     int  `json:"totalTokens"`
	Estimated bool `json:"estimated,omitempty"`
}

func usageOf(u *chat.Usage) *Usage {
	if u == nil {
		return nil
	}
	return &Usage{u.PromptTokens, u.CompletionTokens, u.TotalTokens, u.Estimated}
}

// The parts of a stream.
type (
	bare struct {
		Type string `json:"type"`
	}
	startPart struct {
		Type     string         `json:"type"`
		Message  chat.MessageID `json:"messageId"`
		Metadata *Metadata      `json:"messageMetadata"`
	}
	metadataPart struct {
		Type     string    `json:"type"`
		Metadata *Metadata `json:"messageMetadata"`
	}
	textPart struct {
		Type string `json:"type"`
		ID   string `json:"id"`
	}
	deltaPart struct {
		Type  string `json:"type"`
		ID    string `json:"id"`
		Delta string `json:"delta"`
	}
	toolPart struct {
		Type       string `json:"type"`
		Call       string `json:"toolCallId"`
		Name       string `json:"toolName"`
		Input      any    `json:"input"`
		Dynamic    bool   `json:"dynamic"`
		AtProvider bool   `json:"providerExecuted,omitempty"`
	}
	// Version 5 fails if dynamic is not repeated with the output.
	outputPart struct {
		Type       string `json:"type"`
		Call       string `json:"toolCallId"`
		Output     any    `json:"output"`
		Dynamic    bool   `json:"dynamic"`
		AtProvider bool   `json:"providerExecuted,omitempty"`
	}
	failedPart struct {
		Type    string `json:"type"`
		Call    string `json:"toolCallId"`
		Text    string `json:"errorText"`
		Dynamic bool   `json:"dynamic"`
	}
	// Versions 6 and 7 alone know these two.
	approvalPart struct {
		Type     string `json:"type"`
		Approval string `json:"approvalId"`
		Call     string `json:"toolCallId"`
		Reason   string `json:"reason,omitempty"`
	}
	deniedPart struct {
		Type string `json:"type"`
		Call string `json:"toolCallId"`
	}
	dataPart struct {
		Type      string `json:"type"`
		Data      any    `json:"data"`
		Transient bool   `json:"transient,omitempty"`
	}
	finishPart struct {
		Type     string    `json:"type"`
		Reason   string    `json:"finishReason"`
		Metadata *Metadata `json:"messageMetadata,omitempty"`
	}
	abortPart struct {
		Type   string `json:"type"`
		Reason string `json:"reason,omitempty"`
	}
	errorPart struct {
		Type string `json:"type"`
		Text string `json:"errorText"`
	}
)

// The data of parts that an app sees in onData, and that are no part of the message.
type (
	turnData struct {
		ID    chat.TurnID `json:"turn_id"`
		State chat.State  `json:"state"`
	}
	statusData struct {
		Retrying *chat.Error        `json:"retrying,omitempty"`
		Model    chat.ModelID       `json:"model_id,omitempty"` // that answers in place of the one that was asked
		Provider string             `json:"provider,omitempty"`
		State    chat.ProviderState `json:"state,omitempty"` // of the provider
		RetryAt  string             `json:"retry_at,omitempty"`

		Recovering bool `json:"recovering,omitempty"` // the server was restarted, and the answer begins anew
	}
	progressData struct {
		Call string `json:"toolCallId"`
		Name string `json:"toolName"`
		chat.ToolProgress
	}
)

// ErrorPart returns the part that ends a stream with an error.
func ErrorPart(e *chat.Error) Part { return encode(errorOf(e)) }

func errorOf(e *chat.Error) errorPart { return errorPart{"error", ErrorText(e)} }

// ErrorText is what people are told of an error, with its code for programs.
func ErrorText(e *chat.Error) string { return e.Message + " (" + string(e.Code) + ")" }

// Stopped encodes the answer to a stop: which turn it has stopped, or null.
func Stopped(turn chat.TurnID) []byte {
	if turn == "" {
		return encode(map[string]any{"turn_id": nil})
	}
	return encode(map[string]chat.TurnID{"turn_id": turn})
}
