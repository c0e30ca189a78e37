package persistence

import (
	"cmp"
	"iter"
	"log/slog"
	"math"
	"time"
)

// Defaults of [Options].
const (
	DefaultLockTimeout     = time.Second
	DefaultInitialMmapSize = int(min(int64(16)<<30, math.MaxInt/4)) // 16 GiB where addresses have 64 bits
	DefaultMaxCommitBytes  = 16 << 20
	DefaultTxCommits       = 1024
	DefaultTxBytes         = 8 << 20
	DefaultQueueBytes      = 64 << 20
)

// defaultScanFirst can be scanned within some hundredths of a second.
const defaultScanFirst = 32 << 20

// Options configure a [Store]. The zero value is ready to use.
type Options struct {
	// LockTimeout is how long [Open] waits for another process to release the
	// file. Zero means [DefaultLockTimeout].
	LockTimeout time.Duration

	// InitialMmapSize is how many bytes of address space are mapped at the
	// start. As long as the file is smaller, it grows without waiting for
	// readers. The mapping takes no memory and no disk space, except on Windows,
	// where the file gets this size. Zero means [DefaultInitialMmapSize].
	InitialMmapSize int

	// MaxCommitBytes bounds one commit with all its parts, and the keys of one
	// [Store.DeleteSessions]. Zero means [DefaultMaxCommitBytes].
	MaxCommitBytes int

	// TxCommits and TxBytes bound one transaction, and so the time that its
	// first caller waits for its last one. One commit always fits. Zero means
	// [DefaultTxCommits] and [DefaultTxBytes].
	TxCommits int
	TxBytes   int

	// QueueBytes bounds the requests that wait for the writer. More are refused
	// with [ErrBusy]. Zero means [DefaultQueueBytes].
	QueueBytes int

	// Quota limits what the chats of one owner may take. It is looked at for
	// commits that are [Commit.Limited].
	Quota Quota

	// Charges returns what the entries of a room have cost. It is called for
	// files that were written before the store counted that. Nil means that they
	// have cost nothing.
	Charges func(room string, entries iter.Seq[Entry]) []Charge

	// MessageID returns the id of the message that an entry holds, if it holds
	// one. It is called for files that were written before messages were indexed.
	// Nil means that no entry holds a message.
	MessageID func(Entry) (id string, ok bool)

	// Committed is called after each transaction, on the goroutine of the writer: how many
	// requests were in it, how long it took until it was durable, and why it failed, if
	// it did. It must not block. Nil is not called.
	Committed func(requests int, took time.Duration, err error)

	// Synced is called after each transaction that was made durable: it gets the part of that
	// time in which the disk was written to and synced. Nil is not called.
	Synced func(took time.Duration)

	// Logger receives a record when the disk begins to refuse writes and when
	// it accepts them again, when damage is found while the file is served, and
	// when a done function panics. Nil discards the records.
	Logger *slog.Logger

	// Keys are the operator's keys. With them the values that hold words of people are
	// encrypted: all that are written from now on, and those that are there already after
	// [Store.Reencrypt]. A file that is encrypted is refused without its key, with [ErrKey].
	Keys KeyRing

	// keyless opens files without reading their values, and so without a key.
	keyless bool

	// Replicated says that the changes of the store come by [Store.Apply] alone, from a log that
	// several stores have in common.
	Replicated bool

	// scanFirst separates small files from large ones, by the bytes in use. All
	// pages of a small file are examined before it is served, and no list of free
	// pages is kept for it. Zero means defaultScanFirst.
	scanFirst int64
}

func (o Options) withDefaults() Options {
	o.LockTimeout = cmp.Or(max(0, o.LockTimeout), DefaultLockTimeout)
	o.InitialMmapSize = cmp.Or(max(0, o.InitialMmapSize), DefaultInitialMmapSize)
	o.MaxCommitBytes = cmp.Or(max(0, o.MaxCommitBytes), DefaultMaxCommitBytes)
	o.TxCommits = cmp.Or(max(0, o.TxCommits), DefaultTxCommits)
	o.TxBytes = cmp.Or(max(0, o.TxBytes), DefaultTxBytes)
	o.QueueBytes = cmp.Or(max(0, o.QueueBytes), DefaultQueueBytes)
	o.scanFirst = cmp.Or(max(0, o.scanFirst), defaultScanFirst)
	if o.Synced == nil {
		o.Synced = func(time.Duration) {}
	}
	if o.Committed == nil {
		o.Committed = func(int, time.Duration, error) {}
	}
	o.Logger = cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	return o
}
