package providertest

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"parlor/protocol/chat"
	"parlor/transport/provider/upstream"
)

// gap is a pause within an answer, shorter than its provider's silence.
const gap = 6500 * time.Millisecond

// An endCase is how a server ends an answer, and what comes of it.
type endCase struct {
	name    string
	handle  Handler
	lenient bool

	text   string
	finish chat.Finish
	code   chat.Code
	words  string
	after  time.Duration
}

func (w *Wire) ends() []endCase {
	start, one := EventStream+w.Begin, w.Text("one ")
	const failed = chat.CodeProviderError
	all := []endCase{
		{name: "end of the body after a claim", handle: Answer(false, start+one+w.Claim(chat.FinishStop)), text: "one ", finish: "stop"},
		{name: "end without a claim", handle: Answer(true, start+one+w.Last), text: "one ", code: failed, words: "finish: lenient"},
		{name: "end without a claim, leniently", handle: Answer(true, start+one+w.Last), lenient: true, text: "one ", finish: "stop"},
		{name: "end of the connection, leniently", handle: Answer(false, start+one), lenient: true, text: "one ", code: failed, words: "cut off"},
		{name: "end of a framed body, leniently", handle: Answer(false, chunked(w.Begin+one), "0\r\n\r\n"), lenient: true, text: "one ", finish: "stop"},
		{name: "cut of a framed body, leniently", handle: Answer(false, chunked(w.Begin+one)), lenient: true, text: "one ", code: failed, words: "cut off"},
	}
	if w.Final {
		return all
	}
	return append(all, w.claims()...)
}

// claims are ends that are claimed, and then do not come, or are taken back.
func (w *Wire) claims() []endCase {
	start := EventStream + w.Begin
	one, two, three := w.Text("one "), w.Text("two "), w.Text("three")
	stop, tools := w.Claim(chat.FinishStop), w.Claim(chat.FinishToolCalls)
	const failed, late = chat.CodeProviderError, chat.CodeProviderTimeout
	return []endCase{
		{name: "claims with every piece", handle: say(start+one+stop, gap, two+stop, gap, three+stop+w.Last), text: "one two three", finish: "stop", after: 2 * gap},
		{name: "claim of tools, then text", handle: say(start+one+tools, gap, two+stop+w.Last), text: "one two ", finish: "stop", after: gap},
		{name: "another claim", handle: say(start + one + stop + w.Claim(chat.FinishLength) + w.Last), text: "one ", finish: "length"},
		{name: "reset after a claim", handle: Answer(false, chunked(w.Begin+one+stop)), text: "one ", code: failed, words: "cut off"},
		{name: "end of the body after a claim taken back", handle: Answer(false, start+one+stop+two), text: "one two ", code: failed, words: "cut off"},
		{name: "end after a claim taken back", handle: Answer(true, start+one+stop+two+w.Last), text: "one two ", code: failed, words: "finish: lenient"},
		{name: "claim of another kind, leniently", handle: Answer(true, start+one+w.Claim(chat.FinishLength)+w.Last), lenient: true, text: "one ", finish: "length"},
		{name: "no end after a claim", handle: say(start + one + stop), text: "one ", finish: "stop", after: silence},
		{name: "no end after claims", handle: say(start + one + stop + two + stop), text: "one two ", code: late, after: silence},
		{name: "no end after tools", handle: say(start + one + tools), text: "one ", code: late, after: silence},
	}
}

// chunked is a response of which one chunk has come.
func chunked(body string) string { return chunkedStream + fmt.Sprintf("%x\r\n%s\r\n", len(body), body) }

func runEnds(t *testing.T, h Harness) {
	for _, test := range h.Wire.ends() {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := upstream.Options{FirstToken: firstToken, Silence: silence, Dialect: upstream.Dialect{LenientFinish: test.lenient}}
				begun := time.Now()
				got := Collect(t, h.piped(t, o, test.handle).Stream(t.Context(), hello))
				got.Check(t, test.text, test.code, test.words)
				if took := time.Since(begun); took != test.after {
					t.Errorf("ended after %v, want %v", took, test.after)
				}
				if test.code == "" && got.Finish != test.finish {
					t.Errorf("ended because of %q, want %q", got.Finish, test.finish)
				}
			})
		})
	}
	for _, why := range []chat.Finish{
		chat.FinishStop, chat.FinishLength, chat.FinishFilter, chat.FinishRefusal, chat.FinishToolCalls, chat.FinishContext, chat.FinishPause,
	} {
		t.Run("because of "+string(why), func(t *testing.T) {
			for _, text := range []string{h.Wire.Text("Hel"), ""} {
				got := h.outcome(t, wireCase{sent: []string{EventStream, h.Wire.Begin, text, h.Wire.Claim(why), h.Wire.Last}})
				if got.Err != nil || got.Finish != why {
					t.Errorf("ended because of %q, %v", got.Finish, got.Err)
				}
			}
		})
	}
}
