package chaos

import (
	"sync"

	"parlor/protocol/chat"
)

// A ledger is what visitors wanted. It may be used by several goroutines at
// once; the entries are their visitors'.
type ledger struct {
	mu    sync.Mutex
	sends []*send
	byID  map[chat.ClientID]*send
	stops []*stop
}

// A send is a message of a visitor, however often it is sent.
type send struct {
	visitor string
	user    chat.UserID
	room    chat.RoomID
	client  chat.ClientID
	content string
	model   chat.ModelID
	policy  chat.Policy // empty: the server's, which is to queue

	tries    []try
	unsure   bool // a try was not answered: it may have been recorded
	answered bool

	acked   bool
	message chat.MessageID
	seq     uint64
}

// A try is the socket and the connection that a message was sent on.
type try struct {
	sid        string
	connection int
}

// fromElsewhere reports whether the message may have been recorded as another socket's
// than sid, which is then told it.
func (s *send) fromElsewhere(sid string) bool {
	for _, t := range s.tries {
		if t.sid != sid {
			return true
		}
	}
	return false
}

// sentBefore reports whether it was sent by the socket on an earlier connection.
// If that was lost before the answer, the socket is told of the message as others
// are.
func (s *send) sentBefore(sid string, connection int) bool {
	for _, t := range s.tries {
		if t.sid == sid && t.connection < connection {
			return true
		}
	}
	return false
}

// A stop is a request to stop a turn.
type stop struct {
	user   chat.UserID
	room   chat.RoomID
	reason string      // no other stop's
	turn   chat.TurnID // that the room says it has stopped
}

func (l *ledger) addSend(s *send) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sends = append(l.sends, s)
	l.byID[s.client] = s
}

// sent returns a visitor's message, nil if there is none.
func (l *ledger) sent(visitor string, id chat.ClientID) *send {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s := l.byID[id]; s != nil && s.visitor == visitor {
		return s
	}
	return nil
}

func (l *ledger) addStop(s *stop) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stops = append(l.stops, s)
}
