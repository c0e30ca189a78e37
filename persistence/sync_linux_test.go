//go:build amd64 || arm64

package persistence

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

func init() {
	children["failing sync"] = failingSyncChild
	children["slow sync"] = slowSyncChild
	children["read-only"] = readOnlyChild
	children["migration"] = migrationChild
}

// A syncFault decides what an fsync or fdatasync of this process returns. It runs
// before the system call. If it returns zero, the system call goes on.
type syncFault func(call int) syscall.Errno

// currentFault is the fault that interceptSyncs asks, nil for none.
var currentFault atomic.Pointer[syncFault]

// setFault makes f the current fault; nil lets all syncs pass.
func setFault(f syncFault) {
	if f == nil {
		currentFault.Store(nil)
		return
	}
	currentFault.Store(&f)
}

// interceptSyncs makes the kernel ask this process about each of its syncs: see
// seccomp_unotify(2). This cannot be undone. It takes no privilege, but the
// process can gain none afterwards, so only a child should call it.
func interceptSyncs() error {
	listener, err := installFilter()
	if err != nil {
		return err
	}
	go func() {
		for {
			if err := answerSync(listener); err != nil && !errors.Is(err, syscall.EINTR) && !errors.Is(err, syscall.ENOENT) {
				panic(err)
			}
		}
	}()
	return nil
}

// Constants of linux/seccomp.h, linux/filter.h and linux/prctl.h that the
// package syscall lacks.
const (
	prSetNoNewPrivs = 38

	seccompSetModeFilter   = 1
	seccompFlagTSync       = 1 << 0
	seccompFlagNewListener = 1 << 3
	seccompFlagTSyncESRCH  = 1 << 4
	seccompRetAllow        = 0x7fff0000
	seccompRetUserNotif    = 0x7fc00000
	seccompUserContinue    = 1

	ioctlNotifRecv = 0xc0502100
	ioctlNotifSend = 0xc0182101
)

// The layout of struct seccomp_notif and struct seccomp_notif_resp.
type (
	notification struct {
		id         uint64
		pid, flags uint32
		call       int32
		arch       uint32
		ip         uint64
		args       [6]uint64
	}
	response struct {
		id    uint64
		val   int64
		errno int32
		flags uint32
	}
)

func installFilter() (listener uintptr, err error) {
	filter := []syscall.SockFilter{
		{Code: syscall.BPF_LD | syscall.BPF_W | syscall.BPF_ABS, K: 0}, // the number of the call
		{Code: syscall.BPF_JMP | syscall.BPF_JEQ | syscall.BPF_K, Jt: 2, K: syscall.SYS_FSYNC},
		{Code: syscall.BPF_JMP | syscall.BPF_JEQ | syscall.BPF_K, Jt: 1, K: syscall.SYS_FDATASYNC},
		{Code: syscall.BPF_RET, K: seccompRetAllow},
		{Code: syscall.BPF_RET, K: seccompRetUserNotif},
	}
	prog := syscall.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if _, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, prSetNoNewPrivs, 1, 0); errno != 0 {
		return 0, errno
	}
	flags := uintptr(seccompFlagTSync | seccompFlagTSyncESRCH | seccompFlagNewListener)
	listener, _, errno := syscall.RawSyscall(sysSeccomp, seccompSetModeFilter, flags, uintptr(unsafe.Pointer(&prog)))
	if errno != 0 {
		return 0, errno
	}
	return listener, nil
}

func answerSync(listener uintptr) error {
	var n notification
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, listener, ioctlNotifRecv, uintptr(unsafe.Pointer(&n))); errno != 0 {
		return errno
	}
	var errno syscall.Errno
	if f := currentFault.Load(); f != nil {
		errno = (*f)(int(n.call))
	}
	r := response{id: n.id, errno: -int32(errno)}
	if errno == 0 {
		r.flags = seccompUserContinue
	}
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, listener, ioctlNotifSend, uintptr(unsafe.Pointer(&r))); errno != 0 {
		return errno
	}
	return nil
}

// failFrom lets n fdatasyncs pass. Then it fails times syncs, or all of them if
// times is negative. A commit of bbolt has two fdatasyncs: after the pages, and
// after the meta page that makes them visible.
func failFrom(n, times int) syncFault {
	failing := false
	return func(call int) syscall.Errno {
		if !failing && call == syscall.SYS_FDATASYNC {
			n--
			failing = n < 0
		}
		if !failing || times == 0 {
			return 0
		}
		times--
		return syscall.EIO
	}
}

func TestFailingSync(t *testing.T) { runChild(t, "failing sync") }

func failingSyncChild(path string) error {
	if err := interceptSyncs(); err != nil {
		fmt.Println(skipPrefix+"cannot intercept system calls:", err)
		return nil
	}
	for _, n := range []int{0, 1} { // the sync of the pages, that of the meta page
		for _, times := range []int{1, 2, 3, -1} { // with the syncs that mending needs, or without
			path := fmt.Sprint(path, n, times)
			s, err := Open(path, Options{})
			if err != nil {
				return err
			}
			l := newLedger(s)
			on := func() error { setFault(failFrom(n+2*l.rnd.IntN(3), times)); return nil }
			off := func() error { setFault(nil); return nil }
			if err := errors.Join(l.endure(8, on, off), l.finish(path)); err != nil {
				return fmt.Errorf("sync %d fails %d times: %w", n, times, err)
			}
		}
	}
	return nil
}

// A commit that is written but not synced must not be read, whether the sync
// succeeds or fails.
func TestReadsWaitForTheSync(t *testing.T) { runChild(t, "slow sync") }

func slowSyncChild(path string) error {
	if err := interceptSyncs(); err != nil {
		fmt.Println(skipPrefix+"cannot intercept system calls:", err)
		return nil
	}
	s, err := Open(path, Options{})
	if err != nil {
		return err
	}
	for _, errno := range []syscall.Errno{syscall.EIO, 0, syscall.EIO, 0} {
		if err := readDuringSync(s, errno); err != nil {
			return fmt.Errorf("the sync ends with %d: %w", errno, err)
		}
	}
	return s.Close()
}

// readDuringSync reads while the last sync of a commit is held up, which then
// returns errno.
func readDuringSync(s *Store, errno syscall.Errno) error {
	before, err := s.Last("a")
	if err != nil {
		return err
	}
	reached, release := make(chan struct{}), make(chan struct{})
	setFault(holdSecond(errno, reached, release))
	defer setFault(nil)

	outcome := make(chan error, 1)
	s.Append(Commit{Room: "a", After: before, Entries: entries("next")}, func(err error) { outcome <- err })
	<-reached
	var early, seen uint64
	read := make(chan error)
	go func() {
		var err error
		seen, err = s.Last("a")
		read <- err
	}()
	select {
	case err = <-read:
		early = seen
		close(release)
	case <-time.After(20 * time.Millisecond): // long enough for a reader that does not wait
		close(release)
		err = <-read
	}
	want := before + 1
	if errno != 0 {
		want = before
	}
	switch refused := <-outcome; {
	case err != nil:
		return err
	case (refused != nil) != (errno != 0):
		return fmt.Errorf("outcome %w", refused)
	case early > before:
		return fmt.Errorf("entry %d was read before it was synced", early)
	case seen != want:
		return fmt.Errorf("read up to %d, want %d", seen, want)
	}
	return nil
}

// holdSecond is a fault that holds up the second fdatasync, that of the meta page.
// It closes reached, waits for release, and returns errno.
func holdSecond(errno syscall.Errno, reached chan<- struct{}, release <-chan struct{}) syncFault {
	calls := 0
	return func(call int) syscall.Errno {
		if call != syscall.SYS_FDATASYNC {
			return 0
		}
		if calls++; calls != 2 {
			return 0
		}
		close(reached)
		<-release
		return errno
	}
}

var sysSeccomp = map[string]uintptr{"amd64": 317, "arm64": 277}[runtime.GOARCH]

// TestCommitThatCannotBeUndoneIsNotRead makes the file read-only while a commit
// fails, so that the commit cannot be undone. It must not be read nevertheless.
func TestCommitThatCannotBeUndoneIsNotRead(t *testing.T) { runChild(t, "read-only") }

func readOnlyChild(path string) error {
	if err := interceptSyncs(); err != nil {
		return err
	}
	s, err := Open(path, Options{})
	if err != nil {
		return err
	}
	readOnly, err := os.Open(path)
	if err != nil {
		return err
	}
	reached, release := make(chan struct{}), make(chan struct{})
	setFault(holdSecond(syscall.EIO, reached, release))
	outcome := make(chan error, 1)
	s.Append(Commit{Room: "a", Entries: entries("refused")}, func(err error) { outcome <- err })
	<-reached
	if err := syscall.Dup3(int(readOnly.Fd()), int(s.disk.file.Fd()), 0); err != nil {
		return err
	}
	close(release)
	if err := <-outcome; !errors.Is(err, ErrUnavailable) {
		return fmt.Errorf("got outcome %v", err)
	}
	if last, err := s.Last("a"); last != 0 {
		return fmt.Errorf("a refused entry is read: last %d, %v", last, err)
	}
	return nil
}

// If the disk fails during a migration, the next start can use the file. It is of
// the old version if the failure could be undone, and else of the old or the new
// one.
func TestMigrationUnderFailingSync(t *testing.T) { runChild(t, "migration") }

func migrationChild(path string) error {
	if err := interceptSyncs(); err != nil {
		fmt.Println(skipPrefix+"cannot intercept system calls:", err)
		return nil
	}
	for n := range 2 { // the sync of the pages, that of the meta page
		for _, times := range []int{1, 2, -1} { // with the syncs that mending needs, or without
			path := fmt.Sprint(path, n, times)
			if err := migrateFailing(path, failFrom(n+1, times)); err != nil { // opening the file takes one sync
				return fmt.Errorf("sync %d fails %d times: %w", n, times, err)
			}
		}
	}
	return nil
}

func migrateFailing(path string, fault syncFault) error {
	if err := writeVersion1(path); err != nil {
		return err
	}
	setFault(fault)
	_, err := Open(path, Options{})
	setFault(nil)
	if !errors.Is(err, ErrUnavailable) {
		return fmt.Errorf("open: got %w, want ErrUnavailable", err)
	}
	s, err := Open(path, Options{})
	if err != nil {
		return err
	}
	got, err := readAll(s, "a")
	if fmt.Sprint(got) != "[one two]" || err != nil {
		return fmt.Errorf("room a holds %q, %w", got, err)
	}
	return errors.Join(putSessionWait(s, "key", "value"), s.Close(), checkFile(path))
}
