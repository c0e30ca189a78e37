package socketio

import (
	"bytes"
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
		for element := range Elements(b) {
			total += len(element)
		}
		if total > len(b) {
			t.Errorf("%d bytes of elements in %d bytes", total, len(b))
		}
	})
}

// FuzzValid checks that JSON is valid without its plain text if it is with it.
func FuzzValid(f *testing.F) {
	for _, seed := range []string{`"a"`, `"\u00e9 and so on"`, `"\u00"`, `"\"`, "\"a\nb\"", `{"a":"b\"c","d":[1,"\\"]}`, `"\\\\\"" "`, `é"é"`, `["a""b"]`, `\"a`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, unit := range []string{text, `["` + text + strings.Repeat("plain text", longJSON/10) + `"]`, `["` + strings.Repeat("plain text", longJSON/10) + `",` + text + `]`} {
			b := []byte(unit)
			if got, want := json.Valid(withoutPlainText(b)), json.Valid(b); got != want {
				t.Errorf("%q: valid %t, want %t", b, got, want)
			}
		}
	})
}

// FuzzText checks that a string has the text that encoding/json finds, and that the scanner
// passes over an object as encoding/json does.
func FuzzText(f *testing.F) {
	for _, seed := range []string{`a`, `\"\\\/\b\f\n\r\t`, `\u00e9\u2028`, `\ud83d\ude00`, `\ud83d`, `\ud83d\ud83d\ude00`, `\ude00\ud83dx`, `\ud83d\n`, `\\`, `{"a":1, "b" : [2,{}] }`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		quoted := []byte(`"` + text + `"`)
		var want string
		if utf8.ValidString(text) && json.Unmarshal(quoted, &want) == nil && json.Valid(quoted) {
			if got := Text(quoted); got != want {
				t.Errorf("%s: got %q, want %q", quoted, got, want)
			}
		}
		var object map[string]json.RawMessage
		if json.Unmarshal([]byte(text), &object) != nil || object == nil || !utf8.ValidString(text) {
			return
		}
		got := make(map[string]json.RawMessage)
		for name, value := range Members(bytes.TrimSpace([]byte(text))) {
			got[Text(name)] = value
		}
		if diff := cmp.Diff(object, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
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

// FuzzFrames checks that what is encoded is understood: whoever decodes the
// frames, in their order, gets the packet that was meant.
func FuzzFrames(f *testing.F) {
	for kind := range uint8(2) {
		for _, arg := range []string{``, `1`, `"\u2028<&>"`, ` {"a": [null]} `, `{"_placeholder":true,"num":9}`} {
			f.Add(kind, "/", "message", uint64(0), false, []byte(arg), []byte(nil), uint8(0))
			f.Add(kind, "/custom", "a \"b\"\n", uint64(456), true, []byte(arg), []byte{1, 2}, uint8(2))
		}
		f.Add(kind, "/[?", "\xff", uint64(MaxID), true, []byte(`"x"`), []byte("4"), uint8(DefaultMaxAttachments))
		f.Add(kind, "", "1", uint64(1), false, []byte(`-0.5e3`), []byte{}, uint8(1))
	}
	f.Fuzz(func(t *testing.T, kind uint8, namespace, name string, id uint64, hasID bool, arg, attachment []byte, n uint8) {
		if !isNamespace(namespace) || Reserved(name) || len(arg) > 0 && !json.Valid(arg) || !utf8.Valid(arg) {
			return // not for callers to ask for
		}
		args := []json.RawMessage{arg}
		want := Packet{Namespace: namespace, HasID: hasID}
		if hasID {
			want.ID = id % (MaxID + 1)
		}
		for i := range int(n % (DefaultMaxAttachments + 1)) {
			args = append(args, Placeholder(i))
			want.Attachments = append(want.Attachments, attachment)
		}
		if len(want.Attachments) > 0 && strings.Contains(string(arg), "placeholder") {
			return // it may number an attachment that is not there
		}
		var alone engineio.Frame // for packets that have a function of their own
		switch kind % 2 {
		case 0:
			want.Type, want.Data = Event, EventData(name, args...)
			if !hasID {
				alone = EventFrame(namespace, name, args...)
			}
		case 1:
			want.Type, want.Data = Ack, AckData(args...)
			if hasID {
				alone = AckFrame(namespace, want.ID, args...)
			}
		}
		got := readFrames(t, want.Frames())
		checkMeaning(t, want, got, name, args)
		if alone.Data != nil && len(want.Attachments) == 0 {
			checkMeaning(t, want, readFrames(t, []engineio.Frame{alone}), name, args)
		}
	})
}

// isNamespace reports whether s can be the name of one; "" stands for "/".
func isNamespace(s string) bool {
	return (s == "" || s[0] == '/') && !strings.Contains(s, ",") && utf8.ValidString(s)
}

// readFrames does what a connection does with frames that make up one packet.
func readFrames(t *testing.T, frames []engineio.Frame) (p Packet) {
	t.Helper()
	var d Decoder
	for i, f := range frames {
		m, err := engineio.Decode(f.Data, f.Binary)
		if err != nil || m.Type != engineio.TypeMessage {
			t.Fatalf("frame %q: type %d, %v", f.Data, m.Type, err)
		}
		var complete bool
		p, complete, err = d.Decode(engineio.Message{Data: m.Data, Binary: m.Binary})
		if err != nil || complete != (i == len(frames)-1) {
			t.Fatalf("frame %d of %d, %q: complete %t, %v", i, len(frames), f.Data, complete, err)
		}
	}
	return p
}

func checkMeaning(t *testing.T, want, got Packet, name string, args []json.RawMessage) {
	t.Helper()
	want.Type = want.wireType()
	if want.Namespace == "" {
		want.Namespace = "/"
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("decoded (-want +got):\n%s", diff)
	}
	gotArgs := got.Args()
	if !got.Type.ack() {
		var gotName string
		if gotName, gotArgs = got.Event(); gotName != string([]rune(name)) {
			t.Errorf("got name %q, want %q", gotName, name)
		}
	}
	var wantArgs []json.RawMessage
	for _, arg := range args {
		if len(arg) == 0 {
			arg = json.RawMessage("null")
		}
		wantArgs = append(wantArgs, bytes.Trim(arg, " \t\r\n"))
	}
	if diff := cmp.Diff(wantArgs, gotArgs); diff != "" {
		t.Errorf("arguments (-want +got):\n%s", diff)
	}
}

// FuzzConnectFrames checks the same of what answers a CONNECT and of what ends
// a namespace.
func FuzzConnectFrames(f *testing.F) {
	f.Add("/", "sid", "", []byte(nil))
	f.Add("/custom", "s\"i\\d\n", "pid", []byte(`{"code":"x"}`))
	f.Add("/a?b", "\xff", "\u2028", []byte(` [1] `))
	f.Fuzz(func(t *testing.T, namespace, text, pid string, data []byte) {
		if !isNamespace(namespace) || len(data) > 0 && !json.Valid(data) || !utf8.Valid(data) {
			return
		}
		inside := namespace
		if inside == "" {
			inside = "/"
		}
		var got struct {
			SID, PID, Message string
			Data              json.RawMessage
		}
		for _, test := range []struct {
			frame engineio.Frame
			want  PacketType
		}{
			{ConnectFrame(namespace, text, pid), Connect},
			{ConnectErrorFrame(namespace, text, data), ConnectError},
			{DisconnectFrame(namespace), Disconnect},
		} {
			p := readFrames(t, []engineio.Frame{test.frame})
			if p.Type != test.want || p.Namespace != inside {
				t.Fatalf("%q is of type %d in %q", test.frame.Data, p.Type, p.Namespace)
			}
			if len(p.Data) > 0 && json.Unmarshal(p.Data, &got) != nil {
				t.Fatalf("%q carries no object", test.frame.Data)
			}
		}
		want, wantPID := string([]rune(text)), string([]rune(pid))
		if got.SID != want || got.PID != wantPID || got.Message != want || string(got.Data) != string(bytes.Trim(data, " \t\r\n")) {
			t.Errorf("got %+v", got)
		}
	})
}
