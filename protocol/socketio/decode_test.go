package socketio

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"parlor/protocol/engineio"
)

func text(s string) engineio.Message { return engineio.Message{Data: []byte(s)} }

func binary(s string) engineio.Message { return engineio.Message{Data: []byte(s), Binary: true} }

func TestDecode(t *testing.T) {
	for _, test := range []struct {
		text string
		want Packet
	}{
		{`0`, Packet{Type: Connect, Namespace: "/"}},
		{`0{"token":"123"}`, Packet{Type: Connect, Namespace: "/", Data: []byte(`{"token":"123"}`)}},
		{`0/custom`, Packet{Type: Connect, Namespace: "/custom"}},
		{`0/custom,`, Packet{Type: Connect, Namespace: "/custom"}},
		{`0/custom,{"a":1}`, Packet{Type: Connect, Namespace: "/custom", Data: []byte(`{"a":1}`)}},
		{`0/custom?a=1,`, Packet{Type: Connect, Namespace: "/custom?a=1"}},
		{`1`, Packet{Type: Disconnect, Namespace: "/"}},
		{`1/custom`, Packet{Type: Disconnect, Namespace: "/custom"}},
		{`2["message",1,"2",{"3":[true]}]`, Packet{Type: Event, Namespace: "/", Data: []byte(`["message",1,"2",{"3":[true]}]`)}},
		{`2456["m"]`, Packet{Type: Event, Namespace: "/", ID: 456, HasID: true, Data: []byte(`["m"]`)}},
		{`2/a,0["m"]`, Packet{Type: Event, Namespace: "/a", HasID: true, Data: []byte(`["m"]`)}},
		{`2[7]`, Packet{Type: Event, Namespace: "/", Data: []byte(`[7]`)}},
		{`2["error"]`, Packet{Type: Event, Namespace: "/", Data: []byte(`["error"]`)}},
		{`2["m",{"_placeholder":true,"num":5}]`, Packet{Type: Event, Namespace: "/", Data: []byte(`["m",{"_placeholder":true,"num":5}]`)}},
		{`2`, Packet{Type: Event, Namespace: "/"}},
		{`3`, Packet{Type: Ack, Namespace: "/"}},
		{`39007199254740991[]`, Packet{Type: Ack, Namespace: "/", ID: MaxID, HasID: true, Data: []byte(`[]`)}},
		{`4"no"`, Packet{Type: ConnectError, Namespace: "/", Data: []byte(`"no"`)}},
		{`4/a,{"message":"no"}`, Packet{Type: ConnectError, Namespace: "/a", Data: []byte(`{"message":"no"}`)}},
	} {
		t.Run(test.text, func(t *testing.T) {
			var d Decoder
			got, complete, err := d.Decode(text(test.text))
			if err != nil || !complete {
				t.Fatalf("got complete %t, error %v", complete, err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("packet (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDecodeAttachments(t *testing.T) {
	var d Decoder
	const data = `["m",{"_placeholder":true,"num":1},[{"_placeholder":true,"num":0}]]`
	for range 2 { // a decoder is as good as new after each packet
		for _, m := range []engineio.Message{text(`52-/a,7` + data), binary("first")} {
			if _, complete, err := d.Decode(m); complete || err != nil {
				t.Fatalf("got complete %t, error %v before the last attachment", complete, err)
			}
		}
		got, complete, err := d.Decode(binary("second"))
		if err != nil || !complete {
			t.Fatalf("got complete %t, error %v", complete, err)
		}
		want := Packet{
			Type: BinaryEvent, Namespace: "/a", ID: 7, HasID: true, Data: []byte(data),
			Attachments: [][]byte{[]byte("first"), []byte("second")},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("packet (-want +got):\n%s", diff)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	placeholder := func(num string) string { return `51-["e",{"_placeholder":true,"num":` + num + `}]` }
	for name, sent := range map[string]string{
		"empty":                     ``,
		"garbage":                   `abc`,
		"type 7":                    `7`,
		"connect with array":        `0[]`,
		"connect with string":       `0"a"`,
		"disconnect with data":      `1{}`,
		"event with object":         `2{}`,
		"event with word before":    `2abc["m"]`,
		"event with space before":   `2 ["m"]`,
		"event without name":        `2[]`,
		"event named by object":     `2[{"toString":"foo"}]`,
		"event named by null":       `2[null]`,
		"event not JSON":            `2["m"`,
		"event with two values":     `2["m"]["n"]`,
		"reserved name":             `2["disconnecting"]`,
		"reserved name, escaped":    `2["\u0063onnect"]`,
		"ack with object":           `31{}`,
		"error with array":          `4[]`,
		"id beyond 2^53":            `29007199254740992["m"]`,
		"id of many digits":         `2` + strings.Repeat("1", 1e6) + `["m"]`,
		"negative id":               `2-1["m"]`,
		"too many arguments":        `2["m"` + strings.Repeat(",1", MaxArgs) + `]`,
		"nested too deep":           `2["m",` + strings.Repeat("[", 300_000) + strings.Repeat("]", 300_000) + `]`,
		"attachments missing":       `5`,
		"attachments without dash":  `51`,
		"attachments not a number":  `5a-["e"]`,
		"attachments a fraction":    `51.23-["e"]`,
		"no attachments":            `50-["e"]`,
		"no attachments to an ack":  `60-["e"]`,
		"eleven attachments":        `511-["e"]`,
		"999999999 attachments":     `5999999999-["e"]`,
		"attachments of many digit": `5` + strings.Repeat("1", 1e6),
		"placeholder by name":       placeholder(`"splice"`),
		"placeholder out of range":  placeholder(`10`),
		"placeholder one too far":   placeholder(`1`),
		"placeholder negative":      placeholder(`-1`),
		"placeholder a fraction":    placeholder(`0.5`),
		"placeholder without num":   `51-["e",{"_placeholder":true}]`,
		"placeholder deep inside":   `51-["e",{"a":[{"b":{"num":2,"_placeholder":true}}]}]`,
		"placeholder, escaped":      `51-["e",{"\u005fplaceholder":true,"num":2}]`,
		"placeholder, num twice":    `51-["e",{"_placeholder":true,"num":0,"num":2}]`,
	} {
		t.Run(name, func(t *testing.T) {
			var d Decoder
			_, complete, err := d.Decode(text(sent))
			if !errors.Is(err, ErrProtocol) || complete {
				t.Errorf("got complete %t, error %v, want ErrProtocol", complete, err)
			}
		})
	}
}

func TestDecodeAllowsInnocentPlaceholders(t *testing.T) {
	for _, sent := range []string{
		`51-["e",{"_placeholder":true,"num":0},{"_placeholder":true,"num":0}]`, // one attachment, twice
		`51-["e"]`, // an attachment nobody refers to
		`51-["e",{"_placeholder":false,"num":9}]`,
		`51-["e",{"_placeholder":"true","num":9}]`,
		`51-["e",{"_placeholder":true,"num":9,"_placeholder":1}]`,
		`51-["e",{"_placeholder":{"num":9}},{"num":9}]`,
		`51-["e",["_placeholder",true,"num",9]]`,
		`51-["e","{\"_placeholder\":true,\"num\":9}"]`,
	} {
		var d Decoder
		if _, _, err := d.Decode(text(sent)); err != nil {
			t.Errorf("%s: got error %v", sent, err)
		}
	}
}

func TestDecodeRefusesWhatIsOutOfTurn(t *testing.T) {
	var d Decoder
	if _, _, err := d.Decode(binary("stray")); !errors.Is(err, ErrProtocol) {
		t.Errorf("binary when none is due: got error %v, want ErrProtocol", err)
	}

	if _, complete, err := d.Decode(text(`52-["e"]`)); complete || err != nil {
		t.Fatalf("got complete %t, error %v", complete, err)
	}
	if _, _, err := d.Decode(text(`2["e"]`)); !errors.Is(err, ErrProtocol) {
		t.Errorf("text when binary is due: got error %v, want ErrProtocol", err)
	}
	if d.due != 0 || d.pending.Data != nil {
		t.Errorf("got %d attachments due after an error, want everything dropped", d.due)
	}
}

func TestMaxAttachments(t *testing.T) {
	d := Decoder{MaxAttachments: 1}
	if _, _, err := d.Decode(text(`52-["e"]`)); !errors.Is(err, ErrProtocol) {
		t.Errorf("got error %v, want ErrProtocol", err)
	}
	if _, _, err := d.Decode(text(`51-["e"]`)); err != nil {
		t.Errorf("got error %v within the limit", err)
	}
}

// Packets that are not complete are bounded all together, not only piece by piece.
// The payload of a CONNECT that is too long is not parsed, and the packet says which
// namespace is meant. Other packets have no such limit.
func TestMaxConnectBytes(t *testing.T) {
	d := &Decoder{MaxConnectBytes: 10}
	for _, test := range []struct {
		text string
		err  error
	}{
		{`0{"a":"bc"}`, nil},
		{`0/chat,{"a":"bc"}`, nil},
		{`0/chat`, nil},
		{`0{"a":"bcd"}`, ErrConnectTooLong},
		{`0/chat,this is no JSON`, ErrConnectTooLong},
		{`2/chat,["longer than that"]`, nil},
	} {
		p, complete, err := d.Decode(engineio.Message{Data: []byte(test.text)})
		if err != test.err || !complete {
			t.Errorf("%s: complete %t, error %v; want %v", test.text, complete, err, test.err)
		}
		if want := map[bool]string{true: "/chat", false: "/"}[strings.Contains(test.text, "/chat")]; p.Namespace != want {
			t.Errorf("%s: namespace %q", test.text, p.Namespace)
		}
		if err != nil && p.Data != nil {
			t.Errorf("%s: data %q", test.text, p.Data)
		}
	}
}

func TestMaxBytes(t *testing.T) {
	const header = `53-["e"]`
	d := Decoder{MaxBytes: len(header) + 10}
	for range 2 {
		if _, _, err := d.Decode(text(header)); err != nil {
			t.Fatal(err)
		}
		if _, _, err := d.Decode(binary("0123456789")); err != nil {
			t.Errorf("got error %v within the limit", err)
		}
		if _, _, err := d.Decode(binary("x")); !errors.Is(err, ErrProtocol) {
			t.Errorf("got error %v, want ErrProtocol", err)
		}
	}
}

func TestEvent(t *testing.T) {
	for _, test := range []struct {
		data, name string
		args       []string
	}{
		{`["message",1,"2",{"3":[true]}]`, "message", []string{`1`, `"2"`, `{"3":[true]}`}},
		{`["send_message r1" , {"a" : "]"} ,null ]`, "send_message r1", []string{`{"a" : "]"}`, `null`}},
		{`["\u0061\"b",[[],[{}]],"\\"]`, `a"b`, []string{`[[],[{}]]`, `"\\"`}},
		{`["e"]`, "e", nil},
		{`[-1.5e3,true]`, "-1.5e3", []string{`true`}},
		{``, "", nil},
	} {
		name, args := Packet{Type: Event, Data: []byte(test.data)}.Event()
		if name != test.name {
			t.Errorf("%s: got name %q, want %q", test.data, name, test.name)
		}
		var got []string
		for _, arg := range args {
			got = append(got, string(arg))
		}
		if diff := cmp.Diff(test.args, got); diff != "" {
			t.Errorf("%s: arguments (-want +got):\n%s", test.data, diff)
		}
	}
}
