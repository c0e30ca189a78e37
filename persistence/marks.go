package persistence

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	bolt "go.etcd.io/bbolt"
)

// A Mark is what a user has noted of a chat, for the user's own lists. It is no entry of
// the room.
type Mark struct {
	Pinned   bool // ahead of the others
	Archived bool // not among the others
	Folder   string
}

// A MarkChange changes a [Mark]: nil leaves a part of it as it is.
type MarkChange struct {
	Pinned   *bool
	Archived *bool
	Folder   *string // at most MaxFolderLen bytes without 0x00; "" for none
}

// MaxFolderLen is how many bytes the name of a folder has at most.
const MaxFolderLen = 8 << 10

// A View says which chats of a list are wanted: the archived ones, or the others.
type View struct {
	Archived bool
	Folder   *string // if not nil, those in this folder only, or in none if it is ""
}

func (v View) shows(m Mark) bool {
	return m.Archived == v.Archived && (v.Folder == nil || *v.Folder == m.Folder)
}

// sparse reports whether all chats that it shows have a mark.
func (v View) sparse() bool { return v.Archived || v.Folder != nil && *v.Folder != "" }

// A Marked is a chat with the mark of the user for whom it is listed.
type Marked struct {
	Chat
	Mark
}

// addMarks is a step to a newer version. Until then nobody marked chats.
func addMarks(tx *bolt.Tx) error { return createBuckets(tx, bucketMarks, bucketMarkers) }

// Mark queues a change of the user's mark of a chat, and returns. list is the list that
// the user reads: the user's own, or "". done is called as [Store.Append] calls it, with
// the new mark. The errors are [ErrNotFound] if the chat is not in that list, and
// [ErrFolderQuota] and [ErrPinQuota].
func (s *Writes) Mark(room, user, list string, c MarkChange, done func(Mark, error)) {
	m := &mark{room: room, user: user, list: list, to: c, quota: s.quota}
	size := requestOverhead + len(room) + len(user)
	if c.Folder != nil {
		size += len(*c.Folder)
	}
	s.enqueue(&request{change: m, size: size, err: m.check(), done: func(err error) { done(m.now, err) }})
}

func (m *mark) check() error {
	err := errors.Join(checkRoom(m.room), checkOwner(m.user), checkOwner(m.list))
	if f := m.to.Folder; f != nil && (len(*f) > MaxFolderLen || strings.IndexByte(*f, 0) >= 0) {
		err = errors.Join(err, fmt.Errorf("%w: a folder's name has more than %d bytes, or a zero byte", ErrInvalid, MaxFolderLen))
	}
	return err
}

func (m *mark) apply(tx *bolt.Tx) (err error) {
	m.now, err = changeMark(tx, m.quota, m.room, m.user, m.list, m.to)
	return err
}

func changeMark(tx *bolt.Tx, q Quota, room, user, list string, c MarkChange) (Mark, error) {
	chat, err := getChat(tx, room)
	if err != nil {
		return Mark{}, err
	}
	at := memberKey(list, chat.Created, room)
	if !has(tx.Bucket(bucketMembers), at) {
		return Mark{}, fmt.Errorf("%w: chat of room %q", ErrNotFound, room)
	}
	before, err := getMark(tx, room, user)
	if err != nil && !errors.Is(err, ErrCorrupt) { // a damaged one is replaced
		return Mark{}, err
	}
	now := before.Mark
	if c.Pinned != nil {
		now.Pinned = *c.Pinned
	}
	if c.Archived != nil {
		now.Archived = *c.Archived
	}
	if c.Folder != nil {
		now.Folder = *c.Folder
	}
	if err := marksWithin(tx, q, user, before.Mark, now); err != nil {
		return before.Mark, err
	}
	return now, putMark(tx, user, markRow{now, room, at[len(prefix(list)):]})
}

// marksWithin returns an error if the user would have more folders or pinned chats than the
// quota allows. It walks over the user's marks only for what is new.
func marksWithin(tx *bolt.Tx, q Quota, user string, before, now Mark) error {
	pins := q.Pinned > 0 && now.Pinned && !before.Pinned
	folders := q.Folders > 0 && now.Folder != "" && now.Folder != before.Folder
	if !pins && !folders {
		return nil
	}
	pinned, names := 0, make(map[string]bool)
	for _, row := range marksOf(tx, user, func(error) {}) {
		if row.Pinned {
			pinned++
		}
		names[row.Folder] = true
	}
	delete(names, "")
	switch {
	case pins && pinned >= q.Pinned:
		return fmt.Errorf("%w: %d", ErrPinQuota, pinned)
	case folders && !names[now.Folder] && len(names) >= q.Folders:
		return fmt.Errorf("%w: %d", ErrFolderQuota, len(names))
	}
	return nil
}

// A markRow is a mark, and the place of its chat in lists, as a [memberKey] has it behind
// the user. So lists of marked chats are sorted without a look at the chats.
type markRow struct {
	Mark
	room  string
	place []byte // time and room
}

const (
	flagPinned   = 1
	flagArchived = 2
)

// A row of a mark is flags (1 byte), time of the chat (12), folder.
func putMark(tx *bolt.Tx, user string, row markRow) error {
	if row.Mark == (Mark{}) {
		return dropMark(tx, row.room, user)
	}
	v := []byte{0}
	if row.Pinned {
		v[0] |= flagPinned
	}
	if row.Archived {
		v[0] |= flagArchived
	}
	v = append(append(v, row.place[:memberTimeLen]...), row.Folder...)
	key := nameKey(user, row.room)
	if err := putWords(tx, bucketMarks, key, v); err != nil {
		return err
	}
	return tx.Bucket(bucketMarkers).Put(nameKey(row.room, user), nil)
}

func decodeMark(tx *bolt.Tx, key, sealed []byte) (row markRow, err error) {
	_, room, _ := bytes.Cut(key, []byte{0})
	v, err := unsealWords(tx, bucketMarks, key, sealed)
	if err == nil && len(v) < 1+memberTimeLen {
		err = fmt.Errorf("%w: a mark of %d bytes", ErrCorrupt, len(v))
	}
	if err != nil {
		return markRow{room: string(room)}, fmt.Errorf("a mark of room %q: %w", room, err)
	}
	row.room, row.place = string(room), append(bytes.Clone(v[1:1+memberTimeLen]), room...)
	row.Mark = Mark{v[0]&flagPinned != 0, v[0]&flagArchived != 0, string(v[1+memberTimeLen:])}
	return row, nil
}

// getMark returns the zero row for a chat without a mark.
func getMark(tx *bolt.Tx, room, user string) (markRow, error) {
	key := nameKey(user, room)
	v := tx.Bucket(bucketMarks).Get(key)
	if v == nil {
		return markRow{}, nil
	}
	return decodeMark(tx, key, v)
}

// marksOf returns the marks of a user, without damaged ones.
func marksOf(tx *bolt.Tx, user string, damaged func(error)) (rows []markRow) {
	p := prefix(user)
	c := tx.Bucket(bucketMarks).Cursor()
	for k, v := c.Seek(p); bytes.HasPrefix(k, p); k, v = c.Next() {
		row, err := decodeMark(tx, k, v)
		if err != nil {
			damaged(err)
			continue
		}
		rows = append(rows, row)
	}
	return rows
}

// dropMark removes a mark, if there is one.
func dropMark(tx *bolt.Tx, room, user string) error {
	if err := tx.Bucket(bucketMarks).Delete(nameKey(user, room)); err != nil {
		return err
	}
	return tx.Bucket(bucketMarkers).Delete(nameKey(room, user))
}

// dropMarks removes all marks of a room.
func dropMarks(tx *bolt.Tx, room string) error {
	for _, user := range markersOf(tx, room) {
		if err := dropMark(tx, room, user); err != nil {
			return err
		}
	}
	return nil
}

// dropLostMarks removes the marks of users whose lists named the chat as it was and do not
// name it as it is.
func dropLostMarks(tx *bolt.Tx, was, is Chat) error {
	lists := is.lists()
	for _, user := range was.lists() {
		if !slices.Contains(lists, user) {
			if err := dropMark(tx, is.Room, user); err != nil {
				return err
			}
		}
	}
	return nil
}

// markersOf returns the users who have a mark of the room.
func markersOf(tx *bolt.Tx, room string) (users []string) {
	p := prefix(room)
	c := tx.Bucket(bucketMarkers).Cursor()
	for k, _ := c.Seek(p); bytes.HasPrefix(k, p); k, _ = c.Next() {
		users = append(users, string(k[len(p):]))
	}
	return users
}

// MarkOf returns the user's mark of a room.
func (r *Reader) MarkOf(room, user string) (m Mark, err error) {
	if err := errors.Join(checkRoom(room), checkOwner(user)); err != nil {
		return Mark{}, err
	}
	err = r.disk.view(func(tx *bolt.Tx) error {
		row, err := getMark(tx, room, user)
		m = row.Mark
		return err
	})
	return m, err
}

// MarkedChats returns a page of the chats that the view shows of a list, and how many
// there are in all: those that the user has pinned, then the others, each newest first.
// Limits and damaged chats are as in [Reader.Chats]. It costs a walk over the user's
// marks, and over the list as far as the page reaches.
func (r *Reader) MarkedChats(list, user string, v View, offset, limit int) (page []Marked, total int, err error) {
	if err := errors.Join(checkOwner(list), checkOwner(user)); err != nil {
		return nil, 0, err
	}
	limit = min(limit, MaxChatsPage)
	err = r.disk.view(func(tx *bolt.Tx) error {
		marks := r.disk.marksIn(tx, list, user)
		first := slices.DeleteFunc(slices.Clone(marks), func(m markRow) bool { return !v.shows(m.Mark) || !m.Pinned && !v.sparse() })
		slices.SortFunc(first, func(a, b markRow) int {
			if a.Pinned != b.Pinned {
				return cmp.Compare(btoi(b.Pinned), btoi(a.Pinned))
			}
			return bytes.Compare(a.place, b.place)
		})
		total = len(first)
		for _, m := range first[min(offset, len(first)):min(offset+limit, len(first))] {
			chat, err := getChat(tx, m.room)
			if err != nil {
				r.disk.log.Error("a chat that is listed cannot be read", "err", err)
				continue
			}
			page = append(page, Marked{chat, m.Mark})
		}
		if v.sparse() {
			return nil
		}
		others, n := r.othersOf(tx, list, v, marks, max(0, offset-len(first)), limit-min(limit, max(0, len(first)-offset)))
		page, total = append(page, others...), total+n
		return nil
	})
	return page, total, err
}

// othersOf returns a page of the chats of a list that the view shows, without the pinned
// ones, and how many there are.
func (r *Reader) othersOf(tx *bolt.Tx, list string, v View, marks []markRow, offset, limit int) (page []Marked, total int) {
	total, _ = countChats(tx, list)
	skipped, known := make(map[string]bool), make(map[string]Mark)
	for _, m := range marks {
		if m.Pinned || !v.shows(m.Mark) {
			skipped[m.room] = true
		}
		known[m.room] = m.Mark
	}
	for _, chat := range pageOfChats(tx, r.disk.log, list, offset, limit, func(room string) bool { return skipped[room] }) {
		page = append(page, Marked{chat, known[chat.Room]})
	}
	return page, total - len(skipped)
}

// marksIn returns the user's marks of chats that are in the list.
func (d *disk) marksIn(tx *bolt.Tx, list, user string) []markRow {
	rows := marksOf(tx, user, func(err error) { d.log.Error("a mark cannot be read", "err", err) })
	members, p := tx.Bucket(bucketMembers), prefix(list)
	return slices.DeleteFunc(rows, func(m markRow) bool { return !has(members, slices.Concat(p, m.place)) })
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// Folders returns how many chats of the list each folder of the user holds, without the
// archived ones. A folder with archived chats alone is empty.
func (r *Reader) Folders(list, user string) (counts map[string]int, err error) {
	if err := errors.Join(checkOwner(list), checkOwner(user)); err != nil {
		return nil, err
	}
	counts = make(map[string]int)
	err = r.disk.view(func(tx *bolt.Tx) error {
		for _, m := range r.disk.marksIn(tx, list, user) {
			switch {
			case m.Folder == "":
			case m.Archived:
				counts[m.Folder] += 0
			default:
				counts[m.Folder]++
			}
		}
		return nil
	})
	return counts, err
}

// marks looks at the marks of users.
func (k *checker) marks(tx *bolt.Tx) {
	c := tx.Bucket(bucketMarks).Cursor()
	for key, v := c.First(); key != nil; key, v = c.Next() {
		user, room, _ := bytes.Cut(key, []byte{0})
		row, err := decodeMark(tx, key, v)
		switch {
		case err != nil:
			k.fault(string(room), 0, "%v", err)
		case !has(tx.Bucket(bucketMarkers), nameKey(string(room), string(user))):
			k.fault(string(room), 0, "a user has a mark of it that it does not lead to")
		case !has(tx.Bucket(bucketMembers), slices.Concat(prefix(""), row.place)):
			k.fault(string(room), 0, "a user has a mark of it, but there is no such chat")
		}
	}
	c = tx.Bucket(bucketMarkers).Cursor()
	for key, _ := c.First(); key != nil; key, _ = c.Next() {
		room, user, _ := bytes.Cut(key, []byte{0})
		if !has(tx.Bucket(bucketMarks), nameKey(string(user), string(room))) {
			k.fault(string(room), 0, "it leads to a mark that no user has")
		}
	}
}
