package openai

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	api "github.com/sashabaranov/go-openai"
	"github.com/tmaxmax/go-sse"

	"parlor/protocol/chat"
)

// trailerTime is how long usage may come after the end of the text. What is
// missing by then is not worth a spinner.
const trailerTime = 5 * time.Second

// done is the data of the event after which nothing follows.
const done = "[DONE]"

// finishError is the finish_reason with which OpenRouter ends what failed.
const finishError api.FinishReason = "error"

// A stream turns the events of one answer into deltas.
type stream struct {
	client   *Client
	watchdog *watchdog
	yield    func(chat.Delta, error) bool

	events   bool // one has come
	spoken   bool // some text has come
	finished bool // a finish_reason has come
	left     bool // the consumer has enough
	usage    *chat.Usage
	head     head
	pairs    joiner
}

// chunk is what we need of the data of one event, and no more: servers differ
// in the rest. Error has many shapes.
type chunk struct {
	Choices []choice        `json:"choices"`
	Usage   *api.Usage      `json:"usage"`
	Error   json.RawMessage `json:"error"`
}

type choice struct {
	Index int `json:"index"`
	Delta struct {
		Content text `json:"content"`
		Refusal text `json:"refusal"`
	} `json:"delta"`
	FinishReason api.FinishReason `json:"finish_reason"`
}

// run yields the answer in body, and at the end its usage or one error.
func (s *stream) run(body io.Reader) {
	err := s.read(body)
	switch {
	case s.left, !s.say(s.pairs.rest(0)):
	case err != nil:
		s.yield(chat.Delta{}, err)
	case s.usage != nil:
		s.yield(chat.Delta{Usage: s.usage}, nil)
	}
}

// read yields the pieces in body. It returns nil if they are a whole answer.
func (s *stream) read(body io.Reader) error {
	r := io.TeeReader(&lines{r: body}, &s.head)
	for ev, err := range sse.Read(r, &sse.ReadConfig{MaxEventSize: s.client.opts.MaxEvent}) {
		if err != nil {
			return s.end(err)
		}
		s.watchdog.rest()
		s.events = true
		more, err := s.event(ev)
		if err != nil {
			return err
		}
		if !more {
			break
		}
		s.watchdog.allow(s.patience())
	}
	return s.end(nil)
}

// event handles one event. It reports whether another one is wanted, or the
// failure that the event tells of.
func (s *stream) event(ev sse.Event) (more bool, err error) {
	data := strings.TrimSpace(ev.Data)
	switch {
	case s.watchdog.parent.Err() != nil, data == done:
		return false, nil
	case ev.Type == "error":
		return false, s.client.reported([]byte(data))
	case data == "":
		return true, nil
	}
	var c chunk
	if err := json.Unmarshal([]byte(data), &c); err != nil {
		return false, failure(fmt.Errorf("decode an event: %w", err), "the provider sent something that is not an answer")
	}
	if isError(c.Error) {
		return false, s.client.reported([]byte(data))
	}
	return s.chunk(c)
}

// chunk yields the text of c and notes what it says of the end.
func (s *stream) chunk(c chunk) (more bool, err error) {
	if c.Usage != nil {
		s.usage = &chat.Usage{
			PromptTokens:     c.Usage.PromptTokens,
			CompletionTokens: c.Usage.CompletionTokens,
			TotalTokens:      c.Usage.TotalTokens,
		}
	}
	for _, choice := range c.Choices {
		if choice.Index != 0 { // only one was asked for
			continue
		}
		if choice.FinishReason == finishError {
			return false, failure(nil, "the provider ended the answer with an error")
		}
		s.finished = s.finished || choice.FinishReason != ""
		// A refusal is an answer too; the model gives either one or the other.
		if !s.say(s.pairs.join(choice.Delta.Content) + s.pairs.join(choice.Delta.Refusal)) {
			return false, nil
		}
	}
	return true, nil
}

// say yields text and reports whether the consumer wants more.
func (s *stream) say(text string) bool {
	if text == "" {
		return true
	}
	s.spoken = true
	s.left = !s.yield(chat.Delta{Text: text}, nil)
	return !s.left
}

// patience is how long the next event may take.
func (s *stream) patience() time.Duration {
	switch {
	case s.finished:
		return trailerTime
	case s.spoken:
		return s.client.opts.Silence
	}
	return s.client.opts.FirstToken
}

// end judges a stream of which nothing more comes, because of err or because
// it is over.
func (s *stream) end(err error) error {
	switch {
	case s.left:
		return nil
	case s.watchdog.parent.Err() != nil:
		return s.watchdog.explain(err)
	case s.finished: // what is missing is at most the usage
		return nil
	case s.watchdog.barked():
		return s.watchdog.explain(err)
	case errors.Is(err, bufio.ErrTooLong):
		return failure(err, fmt.Sprintf("the provider sent an event of more than %d bytes", s.client.opts.MaxEvent))
	case !s.events && jsonMessage(s.head.b) != "":
		return s.client.reported(s.head.b)
	}
	return failure(err, "the answer was cut off")
}
