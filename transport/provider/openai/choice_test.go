package openai

import (
	"testing"

	"parlor/protocol/chat"
	"parlor/transport/provider/providertest"
	"parlor/transport/provider/upstream"
)

func TestToolChoice(t *testing.T) {
	request := func(p chat.Prompt) any { return completion(p, upstream.Dialect{}) }
	providertest.Choices(t, request, `"required"`, `"none"`, `{"function":{"name":"look"},"type":"function"}`)
}
