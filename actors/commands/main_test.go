package commands_test

import (
	"testing"

	"go.uber.org/goleak"

	"parlor/protocol/chat"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// theChat is the chat of tests that need no more than one.
const theChat chat.ID = "the-chat"
