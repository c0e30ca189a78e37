package socketio

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"parlor/protocol/engineio"
)

func TestFrame(t *testing.T) {
	arg := json.RawMessage(`{"3":[true]}`)
	for _, test := range []struct {
		got  engineio.Frame
		want string
	}{
		{ConnectFrame("/", "abc", ""), `40{"sid":"abc"}`},
		{ConnectFrame("/custom", "abc", "secret"), `40/custom,{"sid":"abc","pid":"secret"}`},
		{ConnectErrorFrame("/random", "Invalid namespace", nil), `44/random,{"message":"Invalid namespace"}`},
		{ConnectErrorFrame("/", `not "you"`, json.RawMessage(`{"code":1}`)), `44{"message":"not \"you\"","data":{"code":1}}`},
		{DisconnectFrame("/"), `41`},
		{DisconnectFrame("/custom"), `41/custom,`},
		{EventFrame("/", "auth"), `42["auth"]`},
		{EventFrame("/", "message-back", json.RawMessage("1"), json.RawMessage(`"2"`), arg), `42["message-back",1,"2",{"3":[true]}]`},
		{EventFrame("/custom", "receive_message r1", nil), `42/custom,["receive_message r1",null]`},
		{AckFrame("/", 456, json.RawMessage("1"), arg), `43456[1,{"3":[true]}]`},
		{AckFrame("/custom", 0), `43/custom,0[]`},
	} {
		if got := string(test.got.Data); got != test.want || test.got.Binary {
			t.Errorf("got %s (binary %t), want %s", got, test.got.Binary, test.want)
		}
	}
}

func TestPacketFrames(t *testing.T) {
	attachments := [][]byte{{1, 2, 3}, {4}}
	data := EventData("message-back", Placeholder(0), Placeholder(1))
	for _, test := range []struct {
		packet Packet
		want   string
	}{
		{
			Packet{Type: Event, Namespace: "/", Data: data, Attachments: attachments},
			`452-["message-back",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]`,
		},
		{
			Packet{Type: Ack, Namespace: "/a", ID: 789, HasID: true, Data: AckData(Placeholder(1)), Attachments: attachments},
			`462-/a,789[{"_placeholder":true,"num":1}]`,
		},
		{Packet{Type: BinaryEvent, Namespace: "/", ID: 1, HasID: true, Data: EventData("e")}, `421["e"]`},
		{Packet{Type: BinaryAck, Namespace: "/", Data: AckData()}, `43[]`},
		{Packet{Type: Connect, Namespace: "/"}, `40`},
	} {
		want := []engineio.Frame{{Data: []byte(test.want)}}
		for _, a := range test.packet.Attachments {
			want = append(want, engineio.Frame{Data: a, Binary: true})
		}
		if diff := cmp.Diff(want, test.packet.Frames()); diff != "" {
			t.Errorf("frames of %s (-want +got):\n%s", test.want, diff)
		}
	}
}

func TestEncodingAllocatesOnce(t *testing.T) {
	arg := json.RawMessage(`{"message_id":"m1","content":"hello","done":false,"offset":120}`)
	got := testing.AllocsPerRun(100, func() { EventFrame("/assistant/realtime", "stream_chunk r1", arg) })
	if got != 1 {
		t.Errorf("got %v allocations for an event, want 1", got)
	}
}

// An event takes two allocations: its name and the list of its arguments.
func TestDecodingAllocatesTwice(t *testing.T) {
	m := text(`2/assistant/realtime,17["configure",{"room_id":"r1","title":"a title"}]`)
	var d Decoder
	got := testing.AllocsPerRun(100, func() {
		p, _, err := d.Decode(m)
		if name, _ := p.Event(); err != nil || name != "configure" {
			t.Fatal(name, err)
		}
	})
	if got > 2 {
		t.Errorf("got %v allocations for an event, want 2", got)
	}
}

func BenchmarkEventFrame(b *testing.B) {
	arg := json.RawMessage(`{"message_id":"m1","content":"hello","done":false,"offset":120}`)
	b.ReportAllocs()
	for b.Loop() {
		EventFrame("/assistant/realtime", "stream_chunk r1", arg)
	}
}

func BenchmarkDecodeEvent(b *testing.B) {
	m := text(`2/assistant/realtime,17["send_message r1",{"room_id":"r1","message":{"content":"What would you say to that? I have not the faintest idea.","client_message_id":"5f0c3a5e"}}]`)
	var d Decoder
	b.SetBytes(int64(len(m.Data)))
	b.ReportAllocs()
	for b.Loop() {
		p, _, err := d.Decode(m)
		if err != nil {
			b.Fatal(err)
		}
		if name, _ := p.Event(); name == "" {
			b.Fatal("no name")
		}
	}
}
