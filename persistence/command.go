package persistence

import (
	"errors"
	"fmt"
	"math"

	bolt "go.etcd.io/bbolt"
)

// A Command is one change of a store with all that it depends on, besides the store: applying
// it looks at no clock and no setting and draws no random numbers. Stores that apply the same
// commands in the same order hold the same. [Writes] makes commands, and [Store.Apply]
// applies them.
type Command struct {
	// Fence, if not nil, lets the command change something only once, and only as long as its
	// node is the one that may.
	Fence *Fence

	change change
}

// A change is what a command does.
type change interface {
	kind() kind
	fields(f *fields) // visits all that is encoded

	// check returns why no store would accept it.
	check() error

	// apply makes the change. After an error that [alone] knows, it has changed nothing. After
	// any other the transaction must not be committed.
	apply(tx *bolt.Tx) error
}

// kind tells changes apart in their encoding. A number is never given to another change.
type kind byte

const (
	kindAppend kind = 1 + iota
	kindDelete
	kindPutSession
	kindDeleteSessions
	kindCharge
	kindPutAccount
	kindDeleteAccount
	kindPutHook
	kindDeleteHook
	kindPutChunk
	kindPutFile
	kindDropBlob
	kindDeleteFile
	kindMark
	kindMarkRead
	kindAddAudit
	kindSetAudit
	kindRewrite
	kindForgetUser
	kindAssignSlot
	kindSetEpoch
	kindEnd
)

// newChange makes an empty change of each kind.
var newChange = [kindEnd]func() change{
	kindAppend:         func() change { return new(appendCommit) },
	kindDelete:         func() change { return new(deleteRoom) },
	kindPutSession:     func() change { return new(putSession) },
	kindDeleteSessions: func() change { return new(deleteSessions) },
	kindCharge:         func() change { return new(charge) },
	kindPutAccount:     func() change { return new(putAccount) },
	kindDeleteAccount:  func() change { return new(deleteAccount) },
	kindPutHook:        func() change { return new(putHook) },
	kindDeleteHook:     func() change { return new(deleteHook) },
	kindPutChunk:       func() change { return new(putChunk) },
	kindPutFile:        func() change { return new(putFile) },
	kindDropBlob:       func() change { return new(dropBlob) },
	kindDeleteFile:     func() change { return new(deleteFile) },
	kindMark:           func() change { return new(mark) },
	kindMarkRead:       func() change { return new(markRead) },
	kindAddAudit:       func() change { return new(addToAudit) },
	kindSetAudit:       func() change { return new(setAudit) },
	kindRewrite:        func() change { return new(rewrite) },
	kindForgetUser:     func() change { return new(forgetUser) },
	kindAssignSlot:     func() change { return new(assignSlot) },
	kindSetEpoch:       func() change { return new(setEpoch) },
}

// local is a change of one file that no other store makes: of how its values are encrypted. It is
// no command.
type local func(*bolt.Tx) error

func (local) kind() kind                { return 0 }
func (local) fields(*fields)            {}
func (local) check() error              { return nil }
func (c local) apply(tx *bolt.Tx) error { return c(tx) }

// commandVersion is that of the encoding.
const commandVersion = 1

// Append appends the encoding of the command to b.
//
// It is the version (1 byte), the kind (1), the fence if there is one, and the fields of the
// change. Numbers are varints.
func (c Command) Append(b []byte) []byte {
	f := &fields{b: append(b, commandVersion, byte(c.change.kind()))}
	optional(f, &c.Fence, f.fence)
	c.change.fields(f)
	return f.b
}

// DecodeCommand decodes what [Command.Append] has encoded. It refuses with [ErrInvalid] what no
// store would accept, and [ErrFormat] commands of a newer version. The command keeps nothing of b.
func DecodeCommand(b []byte) (Command, error) {
	if len(b) < 2 || b[0] > commandVersion || b[0] == commandVersion && b[1] >= byte(kindEnd) {
		return Command{}, fmt.Errorf("%w: a command of another version", ErrFormat)
	}
	if b[0] == 0 || b[1] == 0 {
		return Command{}, fmt.Errorf("%w: a command of no kind", ErrInvalid)
	}
	c := Command{change: newChange[b[1]]()}
	f := &fields{b: b[2:], reading: true}
	optional(f, &c.Fence, f.fence)
	c.change.fields(f)
	switch {
	case f.err != nil:
		return Command{}, f.err
	case len(f.b) > 0:
		return Command{}, fmt.Errorf("%w: %d bytes behind a command", ErrInvalid, len(f.b))
	}
	if err := c.Fence.check(); err != nil {
		return Command{}, err
	}
	return c, c.change.check()
}

// The changes, each with the parameters of the method of [Writes] that makes it.
type (
	appendCommit struct {
		Commit
		quota Quota // counts if the commit is Limited
	}
	deleteRoom struct{ room string }
	putSession struct {
		key   string
		value []byte
	}
	deleteSessions struct{ keys []string }
	charge         struct{ Charge }
	putAccount     struct {
		key   string
		value []byte
	}
	deleteAccount struct{ key string }
	putHook       struct {
		room, name string
		value      []byte
	}
	deleteHook struct{ room, name string }
	putChunk   struct {
		room, blob string
		n          int
		data       []byte
		quota      int64 // bytes
	}
	putFile struct {
		room string
		file File
	}
	dropBlob   struct{ room, blob string }
	deleteFile struct{ room, id string }
	mark       struct {
		room, user, list string
		to               MarkChange
		quota            Quota
		now              Mark // once it is applied
	}
	markRead struct {
		room, user string
		seq        uint64
	}
	addToAudit struct {
		value []byte
		keep  uint64
		seq   uint64 // once it is applied
	}
	setAudit struct {
		seq   uint64
		value []byte
	}
	rewrite struct {
		Commit
		user  string
		files []string
	}
	forgetUser struct{ user string }
	setEpoch   struct{ epoch string }
)

func (*appendCommit) kind() kind   { return kindAppend }
func (*deleteRoom) kind() kind     { return kindDelete }
func (*putSession) kind() kind     { return kindPutSession }
func (*deleteSessions) kind() kind { return kindDeleteSessions }
func (*charge) kind() kind         { return kindCharge }
func (*putAccount) kind() kind     { return kindPutAccount }
func (*deleteAccount) kind() kind  { return kindDeleteAccount }
func (*putHook) kind() kind        { return kindPutHook }
func (*deleteHook) kind() kind     { return kindDeleteHook }
func (*putChunk) kind() kind       { return kindPutChunk }
func (*putFile) kind() kind        { return kindPutFile }
func (*dropBlob) kind() kind       { return kindDropBlob }
func (*deleteFile) kind() kind     { return kindDeleteFile }
func (*mark) kind() kind           { return kindMark }
func (*markRead) kind() kind       { return kindMarkRead }
func (*addToAudit) kind() kind     { return kindAddAudit }
func (*setAudit) kind() kind       { return kindSetAudit }
func (*rewrite) kind() kind        { return kindRewrite }
func (*forgetUser) kind() kind     { return kindForgetUser }
func (*assignSlot) kind() kind     { return kindAssignSlot }
func (*setEpoch) kind() kind       { return kindSetEpoch }

func (c *appendCommit) fields(f *fields) {
	f.commit(&c.Commit)
	if c.Limited {
		f.quota(&c.quota)
	}
}
func (c *deleteRoom) fields(f *fields)     { f.string(&c.room) }
func (c *putSession) fields(f *fields)     { f.string(&c.key); f.bytes(&c.value) }
func (c *deleteSessions) fields(f *fields) { list(f, &c.keys, f.string) }
func (c *charge) fields(f *fields)         { f.charge(&c.Charge) }
func (c *putAccount) fields(f *fields)     { f.string(&c.key); f.bytes(&c.value) }
func (c *deleteAccount) fields(f *fields)  { f.string(&c.key) }
func (c *putHook) fields(f *fields)        { f.string(&c.room); f.string(&c.name); f.bytes(&c.value) }
func (c *deleteHook) fields(f *fields)     { f.string(&c.room); f.string(&c.name) }
func (c *putChunk) fields(f *fields) {
	f.string(&c.room)
	f.string(&c.blob)
	number(f, &c.n)
	f.bytes(&c.data)
	number(f, &c.quota)
}
func (c *putFile) fields(f *fields) {
	f.string(&c.room)
	f.string(&c.file.ID)
	f.string(&c.file.Blob)
	number(f, &c.file.Size)
	f.bytes(&c.file.Info)
}
func (c *dropBlob) fields(f *fields)   { f.string(&c.room); f.string(&c.blob) }
func (c *deleteFile) fields(f *fields) { f.string(&c.room); f.string(&c.id) }
func (m *mark) fields(f *fields) {
	f.string(&m.room)
	f.string(&m.user)
	f.string(&m.list)
	optional(f, &m.to.Pinned, f.bool)
	optional(f, &m.to.Archived, f.bool)
	optional(f, &m.to.Folder, f.string)
	f.quota(&m.quota)
}
func (c *markRead) fields(f *fields)   { f.string(&c.room); f.string(&c.user); f.uint64(&c.seq) }
func (c *addToAudit) fields(f *fields) { f.bytes(&c.value); f.uint64(&c.keep) }
func (c *setAudit) fields(f *fields)   { f.uint64(&c.seq); f.bytes(&c.value) }
func (r *rewrite) fields(f *fields) {
	f.commit(&r.Commit)
	f.string(&r.user)
	list(f, &r.files, f.string)
}
func (c *forgetUser) fields(f *fields) { f.string(&c.user) }
func (c *setEpoch) fields(f *fields)   { f.string(&c.epoch) }

func (c *appendCommit) check() error  { return c.Commit.check(math.MaxInt) }
func (c *deleteRoom) check() error    { return checkRoom(c.room) }
func (c *putSession) check() error    { return checkSession(c.key, c.value) }
func (c *charge) check() error        { return c.Charge.check("") }
func (c *markRead) check() error      { return errors.Join(checkRoom(c.room), checkOwner(c.user)) }
func (c *putAccount) check() error    { return checkSession(c.key, c.value) }
func (c *deleteAccount) check() error { return checkSessionKey(c.key) }
func (c *putHook) check() error       { return checkHook(c.room, c.name, c.value) }
func (c *deleteHook) check() error    { return checkHook(c.room, c.name, nil) }
func (c *dropBlob) check() error      { return checkFileID(c.room, c.blob) }
func (c *deleteFile) check() error    { return checkFileID(c.room, c.id) }
func (c *addToAudit) check() error    { return checkSession("audit", c.value) }
func (c *setAudit) check() error      { return checkSession("audit", c.value) }
func (c *setEpoch) check() error      { return checkSessionKey(c.epoch) }

func (c *appendCommit) apply(tx *bolt.Tx) error { return c.write(tx, c.quota) }
func (c *charge) apply(tx *bolt.Tx) error       { return addCharge(tx, c.Charge) }
func (c *deleteAccount) apply(tx *bolt.Tx) error {
	return tx.Bucket(bucketAccounts).Delete([]byte(c.key))
}
func (c *deleteHook) apply(tx *bolt.Tx) error {
	return tx.Bucket(bucketHooks).Delete(nameKey(c.room, c.name))
}
func (c *setEpoch) apply(tx *bolt.Tx) error {
	return tx.Bucket(bucketMeta).Put(keyEpoch, []byte(c.epoch))
}
