package upstream

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"parlor/protocol/chat"
)

func TestFailureIsWhatClientsAreTold(t *testing.T) {
	told := chat.Refuse(chat.CodeProviderError, "the provider failed")
	err := fmt.Errorf("ask: %w", &Failure{Err: told, Cause: io.ErrUnexpectedEOF})
	if got := chat.AsError(err); got != told {
		t.Errorf("AsError is %v, want %v", got, told)
	}
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("%v does not wrap its cause", err)
	}
	if got, want := err.Error(), "ask: provider_error: the provider failed (unexpected EOF)"; got != want {
		t.Errorf("the log shows %q, want %q", got, want)
	}
}
