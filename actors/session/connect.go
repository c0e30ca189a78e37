package session

import "parlor/protocol/socketio"

// maxNamespaceLen limits, in bytes, the name of a namespace that does not exist. A
// refusal repeats the name, and waits in memory until the client reads it.
const maxNamespaceLen = 256

// connect asks the namespace whether the client may enter it.
func (s *session) connect(p socketio.Packet) {
	namespace, ok := s.options.Namespaces[p.Namespace]
	if !ok {
		s.refuse(p.Namespace, &Refusal{Message: "Invalid namespace"})
		return
	}
	socket := newSocket(s, p.Namespace)
	defer func() {
		if socket.handler == nil { // refused, or a panic
			socket.refuse()
		}
	}()
	handler, refusal := namespace.Connect(socket, p.Data)
	if refusal != nil {
		s.refuse(p.Namespace, refusal)
		return
	}
	s.port.membership.connect()
	socket.handler = handler
	s.sockets = append(s.sockets, socket)
	if !socket.deferred {
		socket.Confirm()
	}
}

// refuse tells the client why it may not enter a namespace. A client that has been told
// so several times, and has entered none, would go on for ever: its connection is closed.
func (s *session) refuse(namespace string, why *Refusal) {
	if len(namespace) > maxNamespaceLen {
		s.conn.Close(reasonParse)
		return
	}
	s.send(socketio.ConnectErrorFrame(namespace, why.Message, why.Data))
	s.refused++
	if s.refused >= s.options.MaxRefusals && !s.port.letIn.Load() {
		s.conn.Close(reasonForced)
	}
}

// letIn notes that the client has entered a namespace.
func (s *session) letIn() {
	s.stay()
	if !s.port.letIn.Swap(true) {
		s.conn.LetIn()
	}
}
