package rooms

import "parlor/protocol/chat"

// Passivate makes the supervisor ask a room to leave memory, busy or not, as
// if the room had said that it is idle.
func (r *Rooms) Passivate(id chat.RoomID) { r.ref.Tell(&idle{id}) }
