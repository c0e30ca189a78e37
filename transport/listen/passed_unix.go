//go:build unix

package listen

import (
	"net"
	"os"
	"strconv"
	"syscall"
)

// firstPassed is the file descriptor of the first socket that systemd passes (sd_listen_fds(3)).
const firstPassed = 3

// Address returns where an [Options.Address] leads to before it is opened: for [Systemd], as
// HOST:PORT, if it has passed such a socket.
func Address(address string) string {
	if address != Systemd || os.Getenv("LISTEN_PID") != strconv.Itoa(os.Getpid()) {
		return address
	}
	name, err := syscall.Getsockname(firstPassed)
	if err != nil {
		return address
	}
	switch a := name.(type) {
	case *syscall.SockaddrInet4:
		return net.JoinHostPort(net.IP(a.Addr[:]).String(), strconv.Itoa(a.Port))
	case *syscall.SockaddrInet6:
		return net.JoinHostPort(net.IP(a.Addr[:]).String(), strconv.Itoa(a.Port))
	}
	return address
}
