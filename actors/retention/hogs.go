package retention

import (
	"cmp"
	"math"
	"slices"
	"time"

	"parlor/persistence"
	"parlor/protocol/chat"
)

// Limits of what a round remembers. If it is not enough to delete that, the next round
// finds more.
const (
	maxHogs = 100  // the largest ones
	maxIdle = 1000 // chats of each, those idle longest
)

// hogs are the owners whose chats take more than is theirs, in a file that is too large.
type hogs struct {
	level int64           // bytes that each of them may keep
	all   map[string]*hog // by owner
}

type hog struct {
	owner string
	bytes int64
	idle  []idleRoom // idle longest first
}

type idleRoom struct {
	id   chat.RoomID
	last time.Time // of the last record
}

// findHogs returns none if the file is small enough.
func (k *Keeper) findHogs() hogs {
	if k.Bytes == 0 {
		return hogs{}
	}
	usage, err := k.Log.Usage()
	if err != nil {
		k.Logger.Error("retention: how large is the file", "err", err)
		return hogs{}
	}
	if usage.UsedBytes <= k.Bytes {
		return hogs{}
	}
	var shares []persistence.Owned
	var sum int64
	for s, err := range k.Log.Shares() {
		if err != nil {
			k.Logger.Error("retention: how much do owners take", "err", err)
			return hogs{}
		}
		shares, sum = append(shares, s), sum+s.Bytes
	}
	kept := float64(k.Bytes) / float64(usage.UsedBytes) // pages have some free space besides
	return hogsAmong(shares, int64(kept*float64(sum)))
}

// hogsAmong finds the size that no share may exceed for the sum of all to be no more than
// fits, and returns the shares that exceed it.
func hogsAmong(shares []persistence.Owned, fits int64) hogs {
	slices.SortFunc(shares, func(a, b persistence.Owned) int { return cmp.Compare(a.Bytes, b.Bytes) })
	h := hogs{level: math.MaxInt64, all: make(map[string]*hog)}
	for i, s := range shares {
		if equal := fits / int64(len(shares)-i); s.Bytes > equal {
			h.level = equal
			shares = shares[max(i, len(shares)-maxHogs):]
			break
		}
		fits -= s.Bytes
	}
	for _, s := range shares {
		if s.Bytes > h.level {
			h.all[s.Owner] = &hog{owner: s.Owner, bytes: s.Bytes}
		}
	}
	return h
}

// largest returns the largest of the hogs that have a chat which could be deleted, or nil.
func (h *hogs) largest() (largest *hog) {
	for _, hog := range h.all {
		if len(hog.idle) > 0 && hog.bytes > h.level && (largest == nil || hog.bytes > largest.bytes) {
			largest = hog
		}
	}
	return largest
}

// remember notes a room if it is a hog's and among those of the hog that were idle
// longest.
func (k *Keeper) remember(id chat.RoomID, last time.Time) {
	if len(k.hogs.all) == 0 {
		return
	}
	row, err := k.Log.Chat(string(id))
	if err != nil {
		k.Logger.Error("retention: whose is a chat", "room", id, "err", err)
		return
	}
	hog := k.hogs.all[row.Owner]
	if hog == nil {
		return
	}
	at, _ := slices.BinarySearchFunc(hog.idle, last, func(r idleRoom, last time.Time) int { return r.last.Compare(last) })
	if at < maxIdle {
		hog.idle = slices.Insert(hog.idle, at, idleRoom{id, last})
		hog.idle = hog.idle[:min(len(hog.idle), maxIdle)]
	}
}
