package persistence

import "errors"

// Errors that callers decide on, all matched with [errors.Is].
var (
	// ErrConflict refuses a commit that does not follow the room's last entry,
	// or that holds an idempotency key that the room knows already.
	ErrConflict = errors.New("persistence: the log has moved on")

	// ErrNotFound means that there is no such room, or that it has no chat row.
	ErrNotFound = errors.New("persistence: not found")

	// ErrLocked is returned by [Open] for a file that another process has open.
	ErrLocked = errors.New("persistence: the file is in use by another process")

	// ErrFormat is returned by [Open] for a file that another program or a newer
	// version has written, that was cut short, or whose pages are damaged.
	ErrFormat = errors.New("persistence: not a parlor database of a known format")

	// ErrKey is returned by [Open] for a file that is encrypted, if the key is not given or
	// is another one.
	ErrKey = errors.New("persistence: no key")

	// ErrClosed refuses every call to a closed store.
	ErrClosed = errors.New("persistence: closed")

	// ErrInvalid refuses a name, a key or a commit that breaks the rules of its type.
	ErrInvalid = errors.New("persistence: invalid")

	// ErrTooLarge refuses a commit over [Options.MaxCommitBytes] and a session
	// over [MaxSessionLen].
	ErrTooLarge = errors.New("persistence: too large")

	// ErrBusy refuses a commit while [Options.QueueBytes] are waiting.
	ErrBusy = errors.New("persistence: too much is waiting to be written")

	// ErrChatQuota and ErrByteQuota refuse a commit past [Options.Quota].
	ErrChatQuota = errors.New("persistence: the owner has as many chats as one may")
	ErrByteQuota = errors.New("persistence: the owner's chats take as many bytes as they may")

	// ErrFolderQuota and ErrPinQuota refuse a mark past [Options.Quota].
	ErrFolderQuota = errors.New("persistence: the user has as many folders as one may")
	ErrPinQuota    = errors.New("persistence: the user has pinned as many chats as one may")

	// ErrUnavailable wraps the disk's error when a transaction failed. Nothing of
	// the transaction was recorded.
	ErrUnavailable = errors.New("persistence: storage unavailable")

	// ErrFenced refuses a command whose node does not have the slot of its room any more.
	ErrFenced = errors.New("persistence: another node has taken over")

	// ErrStale refuses a command that was applied before, or that one of the same node with a
	// greater number has overtaken.
	ErrStale = errors.New("persistence: the command has been applied or overtaken")

	// ErrUnknown means that a log does not know yet whether a write was recorded. It is no
	// refusal: see the package comment.
	ErrUnknown = errors.New("persistence: it is not known yet whether this was recorded")

	// ErrCorrupt wraps damage that is found while the file is read.
	ErrCorrupt = errors.New("persistence: the file is damaged")
)
