package persistence

import (
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

// defaultScanFirst is what can be scanned within some hundredths of a second.
const defaultScanFirst = 32 << 20

// Options configure a [Store]. The zero value is ready to use.
type Options struct {
	// LockTimeout is how long [Open] waits for another process to let go of
	// the file. Zero means [DefaultLockTimeout].
	LockTimeout time.Duration

	// InitialMmapSize is how many bytes of address space are mapped at once.
	// As long as the file is smaller, its growth waits for no reader. It is no
	// memory and no disk space, except on Windows, where the file takes this
	// size. Zero means [DefaultInitialMmapSize].
	InitialMmapSize int

	// MaxCommitBytes bounds one commit, its entries, keys, chat row, text and
	// snapshot, and the keys of one [Store.DeleteSessions]. Zero means [DefaultMaxCommitBytes].
	MaxCommitBytes int

	// TxCommits and TxBytes bound one transaction, and thereby how long the
	// first caller in it waits for the last. One commit always fits. Zero
	// means [DefaultTxCommits] and [DefaultTxBytes].
	TxCommits int
	TxBytes   int

	// QueueBytes bounds what waits for the writer; past it requests are refused
	// with [ErrBusy]. Zero means [DefaultQueueBytes].
	QueueBytes int

	// Charges says what the entries of a room have cost, for a file that was
	// written before that was counted. Nil means nothing.
	Charges func(room string, entries iter.Seq[Entry]) []Charge

	// MessageID says which message an entry holds, for a file that was written
	// before messages were indexed. Nil means that none does.
	MessageID func(Entry) (id string, ok bool)

	// Logger learns when the disk begins and ceases to refuse, of damage that is
	// found while the file is served, and of done functions that panic. Nil
	// discards the records.
	Logger *slog.Logger

	// scanFirst is up to how many bytes in use all pages of a file are looked at
	// before it is served, and its list of free pages is not kept. Zero means
	// defaultScanFirst.
	scanFirst int64
}

func (o Options) withDefaults() Options {
	orDefault(&o.LockTimeout, DefaultLockTimeout)
	orDefault(&o.InitialMmapSize, DefaultInitialMmapSize)
	orDefault(&o.MaxCommitBytes, DefaultMaxCommitBytes)
	orDefault(&o.TxCommits, DefaultTxCommits)
	orDefault(&o.TxBytes, DefaultTxBytes)
	orDefault(&o.QueueBytes, DefaultQueueBytes)
	orDefault(&o.scanFirst, defaultScanFirst)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

func orDefault[T int | int64 | time.Duration](v *T, def T) {
	if *v <= 0 {
		*v = def
	}
}
