package anthropic

import (
	"testing"

	"parlor/protocol/chat"
	"parlor/transport/provider/providertest"
	"parlor/transport/provider/upstream"
)

func TestToolChoice(t *testing.T) {
	request := func(p chat.Prompt) any { return newRequest(p, upstream.Dialect{}) }
	providertest.Choices(t, request, `{"type":"any"}`, `{"type":"none"}`, `{"name":"look","type":"tool"}`)
}
