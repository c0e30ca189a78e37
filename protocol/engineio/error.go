package engineio

// An Error is the refusal of a handshake, or of a request that belongs to a
// connection. Its JSON is the answer's body: {"code":0,"message":"…"}.
//
// The first code is zero, so errors are always handled as pointers: nil, and
// never a code, means that there is none (CVE-2023-31125).
type Error struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
}

// The refusals of the protocol. Compare with ==; they must not be changed.
var (
	ErrUnknownTransport    = &Error{0, "Transport unknown"}
	ErrUnknownSID          = &Error{1, "Session ID unknown"}
	ErrBadHandshakeMethod  = &Error{2, "Bad handshake method"}
	ErrBadRequest          = &Error{3, "Bad request"}
	ErrForbidden           = &Error{4, "Forbidden"}
	ErrUnsupportedProtocol = &Error{5, "Unsupported protocol version"}
)

// Error implements error.
func (e *Error) Error() string { return "engineio: " + e.Message }
