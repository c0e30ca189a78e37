package socketio

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"parlor/protocol/engineio"
)

// FuzzDecoder feeds a text and the same attachment until the packet is
// complete. Whatever is accepted must be no larger than what was fed, be what
// encoding/json makes of it, and survive being encoded and decoded again.
func FuzzDecoder(f *testing.F) {
	for _, seed := range []string{
		``, `0`, `0{"token":"123"}`, `0/custom,{}`, `1/custom`, `2["message",1,"2",{"3":[true]}]`, `2`, `2abc["m"]`,
		`2456["m", {"a":"]\"\\"} ,null]`, `2["\u0063onnect"]`, `39007199254740992[]`, `4/r,{"message":"no"}`,
		`50-["e"]`, `5999999999-["e"]`, `51.23-`, `52-/a,7["m",{"_placeholder":true,"num":1},{"num":0,"_placeholder":true}]`,
		`51-["e",{"_placeholder":true,"num":"splice"}]`, `61-9[[{"\u005fplaceholder":true,"num":0}]]`, `2[{"toString":"foo"}]`,
		`2["m",` + strings.Repeat("[", 64) + strings.Repeat("]", 64) + `]`,
	} {
		f.Add([]byte(seed), []byte{1, 2, 3})
	}
	f.Fuzz(func(t *testing.T, header, attachment []byte) {
		if !utf8.Valid(header) {
			return // engineio.Decode has refused it
		}
		p, ok := feed(t, header, attachment)
		if !ok {
			return
		}
		if len(p.Namespace)+len(p.Data) > len(header)+1 || len(p.Attachments) > DefaultMaxAttachments {
			t.Fatalf("%d bytes became %d bytes and %d attachments", len(header), len(p.Namespace)+len(p.Data), len(p.Attachments))
		}
		checkSplit(t, p)

		frames := p.Frames()
		again, ok := feed(t, frames[0].Data[1:], attachment)
		if !ok {
			t.Fatalf("encoded as %q, which is not accepted", frames[0].Data)
		}
		if diff := cmp.Diff(p, again); diff != "" {
			t.Errorf("decoded again (-want +got):\n%s", diff)
		}
	})
}

func feed(t *testing.T, header, attachment []byte) (Packet, bool) {
	var d Decoder
	p, complete, err := d.Decode(engineio.Message{Data: header})
	for !complete && err == nil {
		p, complete, err = d.Decode(engineio.Message{Data: attachment, Binary: true})
	}
	if err != nil && !errors.Is(err, ErrProtocol) {
		t.Errorf("got error %v, want ErrProtocol", err)
	}
	return p, err == nil
}

// checkSplit compares p's arguments with those that encoding/json finds.
func checkSplit(t *testing.T, p Packet) {
	if len(p.Data) == 0 || p.Data[0] != '[' {
		return
	}
	var want []json.RawMessage
	if err := json.Unmarshal(p.Data, &want); err != nil {
		t.Fatalf("accepted data: %v", err)
	}
	if diff := cmp.Diff(want, p.Args(), cmpopts.EquateEmpty()); diff != "" {
		t.Fatalf("arguments (-want +got):\n%s", diff)
	}
	if p.Type.ack() {
		return
	}
	var wantName string
	if json.Unmarshal(want[0], &wantName) != nil {
		wantName = string(want[0])
	}
	if name, _ := p.Event(); name != wantName || Reserved(name) {
		t.Errorf("got name %q, want %q, not reserved", name, wantName)
	}
}

// FuzzScan checks that the scanner ends, and stays inside, whatever it walks over.
func FuzzScan(f *testing.F) {
	for _, seed := range []string{``, `[`, `["`, `["\`, `[1,`, `[]]`, `[1 2]`, `[}`, `["a",{"b":[1]}]`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		total := 0
		for element := range elements(b) {
			total += len(element)
		}
		if total > len(b) {
			t.Errorf("%d bytes of elements in %d bytes", total, len(b))
		}
	})
}

// FuzzAppendString checks that a string survives JSON.
func FuzzAppendString(f *testing.F) {
	for _, seed := range []string{"", "plain", `"\/`, "\x00\b\t\n\f\r\x1f\x7f", "héllo 🙂 \u2028", "\xff\xc3", "<&>"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		quoted := AppendString([]byte("x"), s)[1:]
		var got string
		if err := json.Unmarshal(quoted, &got); err != nil {
			t.Fatalf("%s: %v", quoted, err)
		}
		if want := string([]rune(s)); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}
