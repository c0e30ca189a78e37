package upstream

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"sync"

	"parlor/protocol/chat"
)

// maxLearnt limits the models of which a client remembers something: people may
// ask for a model by any name.
const maxLearnt = 1000

// A Request makes the body of a request, which is sent as JSON. The messages of
// p are in the order, and of the roles, that d wants.
type Request func(p chat.Prompt, d Dialect) any

// dialects are what models were found to take.
type dialects struct {
	mu     sync.Mutex
	learnt map[chat.ModelID]Dialect
}

func (l *dialects) of(m chat.ModelID, otherwise Dialect) Dialect {
	l.mu.Lock()
	defer l.mu.Unlock()
	if d, ok := l.learnt[m]; ok {
		return d
	}
	return otherwise
}

// learn remembers d for the model, and reports whether that is news.
func (l *dialects) learn(m chat.ModelID, d Dialect) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	known, ok := l.learnt[m]
	switch {
	case ok && known == d:
		return false
	case l.learnt == nil || len(l.learnt) >= maxLearnt:
		l.learnt = make(map[chat.ModelID]Dialect)
	}
	l.learnt[m] = d
	return true
}

// Stream asks for an answer to p, with what request makes of it, and yields it
// piece by piece, as a decoder of its own reads it; usage, if it was reported,
// comes last and without text.
//
// If the server refuses a part of the request that it can do without, it is
// asked once more without that, which is remembered for the model.
//
// It ends after the last piece or after one error: a [*Failure] for what the
// provider did, or the cause of ctx. While the consumer holds a piece nothing
// more is read from the connection. When it returns, the request is over and
// its connection closed or back in the pool.
func (c *Client) Stream(ctx context.Context, p chat.Prompt, request Request, decoder func() Decoder) iter.Seq2[chat.Delta, error] {
	return func(yield func(chat.Delta, error) bool) {
		d, dropped := c.dialects.of(p.Model, c.opts.Dialect), complaint(0)
		names := namesOf(p.Tools)
		p := names.told(p)
		body, err := encode(p, request, d)
		for err == nil {
			s := stream{client: c, decoder: decoder(), yield: yield, names: names, calls: calls{known: names.offers}}
			err = s.ask(ctx, c.post(body))
			if s.begun || err == nil {
				c.learn(p.Model, d, dropped)
				break
			}
			less, without := d.without(complaintIn(err)&^dropped, body)
			lessBody, encoding := encode(p, request, less)
			if encoding != nil || bytes.Equal(lessBody, body) {
				break
			}
			d, dropped, body, err = less, dropped|without, lessBody, nil
		}
		if err != nil {
			yield(chat.Delta{}, choosing(p, err))
		}
	}
}

// choosing says of a refusal that the model cannot be made to call a tool, if that was wanted
// and is what the server complains of.
func choosing(p chat.Prompt, err error) error {
	f, ok := errors.AsType[*Failure](err)
	if !ok || !p.Calling().Forced() || f.complaint&(ofChoice|ofTools) == 0 {
		return err
	}
	f.Err = chat.Refuse(chat.CodeToolChoice, "the model cannot be made to call a tool so: "+f.Err.Message)
	return f
}

// Read yields the rest of an answer that p has led to already. path leads to it, behind the
// API's own, and decoder has read what came before.
func (c *Client) Read(ctx context.Context, p chat.Prompt, path string, decoder Decoder) iter.Seq2[chat.Delta, error] {
	return func(yield func(chat.Delta, error) bool) {
		names := namesOf(p.Tools)
		s := stream{client: c, decoder: decoder, yield: yield, names: names, calls: calls{known: names.offers}}
		if err := s.ask(ctx, c.get(path)); err != nil {
			yield(chat.Delta{}, err)
		}
	}
}

func encode(p chat.Prompt, request Request, d Dialect) ([]byte, error) {
	shaped := d.shape(p)
	if refusal := p.Calling().Within(shaped.Tools); refusal != nil {
		return nil, refusal
	}
	body, err := json.Marshal(request(shaped, d))
	if err != nil {
		return nil, fmt.Errorf("encode the prompt: %w", err)
	}
	return body, nil
}

// learn remembers what a model was asked without, now that it answers.
func (c *Client) learn(m chat.ModelID, d Dialect, dropped complaint) {
	if dropped != 0 && c.dialects.learn(m, d) {
		c.opts.Logger.Warn("the model does not take all that it is sent; it is asked without from now on",
			"model", m, "host", c.host, "without", dropped.String())
	}
}
