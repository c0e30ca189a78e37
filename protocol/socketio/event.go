package socketio

import "encoding/json"

// Event splits the data of an EVENT or BINARY_EVENT into the event's name and
// its arguments, which are parts of p.Data. The name of an event that a number
// names is the number as it was written; that of an event without data is
// empty. It must only be called on packets that passed a [Decoder].
func (p Packet) Event() (name string, args []json.RawMessage) {
	all := p.Args()
	if len(all) == 0 {
		return "", nil
	}
	if all[0][0] != '"' {
		return string(all[0]), all[1:]
	}
	return Text(all[0]), all[1:]
}

// Args splits the data of an ACK or BINARY_ACK into its arguments, which are
// parts of p.Data. It must only be called on packets that passed a [Decoder].
func (p Packet) Args() []json.RawMessage {
	var few [4]json.RawMessage // most have no more: one allocation instead of three
	args := few[:0]
	for arg := range Elements(p.Data) {
		args = append(args, arg)
	}
	return args
}
