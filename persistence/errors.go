package persistence

import "errors"

// Errors that callers decide on, all matched with [errors.Is].
var (
	// ErrConflict refuses a commit that does not follow the room's last entry
	// or that binds an idempotency key a second time.
	ErrConflict = errors.New("persistence: the log has moved on")

	// ErrNotFound says that there is no such room, or no chat row of it.
	ErrNotFound = errors.New("persistence: not found")

	// ErrLocked is returned by [Open] for a file that another process has open.
	ErrLocked = errors.New("persistence: the file is in use by another process")

	// ErrFormat is returned by [Open] for a file that is foreign, damaged at
	// its root, cut short, or written by a newer version.
	ErrFormat = errors.New("persistence: not a parlor database of a known format")

	// ErrClosed refuses what is asked of a closed store.
	ErrClosed = errors.New("persistence: closed")

	// ErrInvalid refuses a name, a key or a commit that breaks the rules of its type.
	ErrInvalid = errors.New("persistence: invalid")

	// ErrTooLarge refuses a commit over [Options.MaxCommitBytes] and a session
	// over [MaxSessionLen].
	ErrTooLarge = errors.New("persistence: too large")

	// ErrBusy refuses a commit while [Options.QueueBytes] are waiting.
	ErrBusy = errors.New("persistence: too much is waiting to be written")

	// ErrUnavailable wraps what the disk said when it refused a transaction.
	// Nothing of it was recorded.
	ErrUnavailable = errors.New("persistence: storage unavailable")

	// ErrCorrupt wraps what is found to be wrong with the file while reading.
	ErrCorrupt = errors.New("persistence: the file is damaged")
)
