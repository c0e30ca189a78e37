package responses

import (
	"testing"

	"parlor/protocol/chat"
	"parlor/transport/provider/providertest"
	"parlor/transport/provider/upstream"
)

func TestToolChoice(t *testing.T) {
	request := func(p chat.Prompt) any { return request(p, upstream.Dialect{}) }
	providertest.Choices(t, request, `"required"`, `"none"`, `{"name":"look","type":"function"}`)
}
