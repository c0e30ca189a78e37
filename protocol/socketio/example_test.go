package socketio_test

import (
	"encoding/json"
	"fmt"

	"parlor/protocol/engineio"
	"parlor/protocol/socketio"
)

// A client sends an event with an attachment, which takes two messages.
func ExampleDecoder() {
	var d socketio.Decoder
	for _, m := range []engineio.Message{
		{Data: []byte(`51-/files,7["upload","notes.txt",{"_placeholder":true,"num":0}]`)},
		{Data: []byte("hello"), Binary: true},
	} {
		p, complete, err := d.Decode(m)
		if err != nil {
			fmt.Println("close the connection:", err)
			return
		}
		if !complete {
			fmt.Println("an attachment is to come")
			continue
		}
		name, args := p.Event()
		fmt.Printf("%s in %s: %s, %q\n", name, p.Namespace, args[0], p.Attachments)
		fmt.Printf("%s\n", socketio.AckFrame(p.Namespace, p.ID, json.RawMessage(`"saved"`)).Data)
	}
	// Output:
	// an attachment is to come
	// upload in /files: "notes.txt", ["hello"]
	// 43/files,7["saved"]
}

// A frame is encoded once, for all connections that it is sent to.
func ExampleEventFrame() {
	name := socketio.AppendString(nil, "Alice\n")
	frame := socketio.EventFrame("/chat", "joined", name, json.RawMessage(`{"members":2}`))
	fmt.Printf("%s\n", frame.Data)
	// Output:
	// 42/chat,["joined","Alice\n",{"members":2}]
}

// A packet with attachments becomes several frames.
func ExamplePacket_Frames() {
	p := socketio.Packet{
		Type: socketio.Event, Namespace: "/",
		Data:        socketio.EventData("picture", socketio.Placeholder(0)),
		Attachments: [][]byte{{0x89, 'P', 'N', 'G'}},
	}
	for _, f := range p.Frames() {
		fmt.Printf("binary %-5v %q\n", f.Binary, f.Data)
	}
	// Output:
	// binary false "451-[\"picture\",{\"_placeholder\":true,\"num\":0}]"
	// binary true  "\x89PNG"
}
