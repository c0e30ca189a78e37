package realtime

import (
	"encoding/json"
	"errors"

	"github.com/gorilla/websocket"

	"parlor/protocol/chat"
	"parlor/transport/provider/upstream"
)

var (
	errTimeout   = &upstream.Failure{Err: chat.Refuse(chat.CodeProviderTimeout, "the provider did not answer in time"), Retryable: true}
	errSlow      = failure("the answer came faster than it could be passed on", nil)
	errTooMuch   = failure("the model called more tools, or with longer arguments, than anybody runs", nil)
	errBusy      = failure("too many answers are wanted of the provider at once", nil)
	errUnheard   = failure("what was said did not reach the provider", nil)
	errUnwritten = failure("the provider did not say what it heard", nil)
	errCancelled = chat.Refuse(chat.CodeProviderError, "the provider cancelled the answer")
)

// failure is what the provider did wrong, with its cause for the log.
func failure(message string, cause error) *upstream.Failure {
	return &upstream.Failure{Err: chat.Refuse(chat.CodeProviderError, message), Cause: cause}
}

// reported is the failure that the provider tells of.
func (c *Client) reported(e *serverError) *upstream.Failure {
	data, err := json.Marshal(e)
	if err != nil {
		panic("realtime: encode an error: " + err.Error())
	}
	return c.explain.Reported(data)
}

// lostBy is the end of a connection, after an error of which the provider told
// last, if it did.
func (c *Client) lostBy(err error, last *serverError) *upstream.Failure {
	var closed *websocket.CloseError
	switch {
	case last != nil:
		return c.reported(last)
	case errors.Is(err, websocket.ErrReadLimit):
		return failure("the provider sent an event that is too long", err)
	}
	f := failure("the connection to the provider broke", errors.New(c.explain.Clean(err.Error())))
	if errors.As(err, &closed) && closed.Code != websocket.CloseAbnormalClosure && closed.Text != "" { // or else the words are not its
		f = failure("the provider closed the connection: "+c.explain.Clean(closed.Text), nil)
	}
	f.Retryable = true
	return f
}

// unfinished is why an answer that the provider ended is not complete.
func (c *Client) unfinished(r *response) *upstream.Failure {
	if e := r.Details.Error; e != nil {
		return c.reported(e)
	}
	text := "the provider ended the answer as " + c.explain.Clean(r.Status)
	if why := c.explain.Clean(r.Details.Reason); why != "" {
		text += ": " + why
	}
	return failure(text, nil)
}
