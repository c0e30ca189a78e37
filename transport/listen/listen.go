// Package listen opens the address at which HTTP is served: a port, a Unix
// socket, or what systemd has opened, each with or without TLS.
//
//	HOST:PORT ─┐
//	unix:PATH ─┼→ Open → net.Listener ─→ TLS, if there is a certificate → http.Server
//	systemd ───┘
package listen

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/coreos/go-systemd/v22/activation"
)

// Systemd as an address is the socket that systemd has opened for the service. It stays
// open while the service starts again, so no connection is refused meanwhile.
const Systemd = "systemd"

// UnixPrefix begins the address of a Unix socket; its path follows.
const UnixPrefix = "unix:"

// socketMode lets every user of this computer connect to a Unix socket, as they could to
// a port. The directory that it is in can keep them out.
const socketMode = 0o666

// Options say where to listen, and with which certificate.
type Options struct {
	// Address is HOST:PORT, [Systemd], or [UnixPrefix] and a path.
	Address string

	// CertFile and KeyFile are PEM files of a certificate and its key. They are read
	// again when they have changed. Empty is no TLS, unless ACME has hosts.
	CertFile, KeyFile string

	ACME ACME

	Logger *slog.Logger // nil discards
}

// A Listener accepts connections for an [http.Server]. All methods may be called from any
// goroutine.
type Listener struct {
	net.Listener
	url   string
	files *files // nil: the certificate comes from elsewhere
}

// Check returns what is wrong with an address, without opening it.
func Check(address string) error {
	if address == Systemd {
		return nil
	}
	if path, ok := strings.CutPrefix(address, UnixPrefix); ok {
		return checkPath(path)
	}
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return errors.New("is not HOST:PORT, such as 127.0.0.1:8080 or :8080, nor unix:PATH, nor systemd")
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return errors.New("has no port from 0 to 65535")
	}
	return nil
}

// checkPath returns an error for paths that no socket can have (unix(7), sun_path).
func checkPath(path string) error {
	const longest = 107
	switch {
	case path == "" || strings.HasPrefix(path, "@"):
		return errors.New("needs the path of a file, as in unix:/run/parlor.sock")
	case len(path) > longest:
		return fmt.Errorf("has a path of %d bytes, and a socket's may have %d", len(path), longest)
	}
	return nil
}

// Local reports whether only this computer can reach an address. What systemd has
// opened may be reached from anywhere.
func Local(address string) bool {
	if strings.HasPrefix(address, UnixPrefix) {
		return true
	}
	host, _, err := net.SplitHostPort(address)
	return err == nil && (host == "localhost" || net.ParseIP(host).IsLoopback())
}

// Open begins to listen. The caller closes the listener.
func Open(o Options) (*Listener, error) {
	log := cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	config, files, err := o.tls(log)
	if err != nil {
		return nil, err
	}
	l, err := open(o.Address)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	url := urlOf(l.Addr(), config != nil)
	if l.Addr().Network() == "unix" {
		l = neighbours{l}
	}
	if config != nil {
		l = tls.NewListener(l, config)
	}
	return &Listener{Listener: l, url: url, files: files}, nil
}

func open(address string) (net.Listener, error) {
	if address == Systemd {
		return passed()
	}
	if path, ok := strings.CutPrefix(address, UnixPrefix); ok {
		return openSocket(path)
	}
	return net.Listen("tcp", address)
}

// passed returns the one socket that systemd has passed to this process
// (sd_listen_fds(3)).
func passed() (net.Listener, error) {
	all, err := activation.Listeners()
	if err != nil {
		return nil, err
	}
	if len(all) != 1 || all[0] == nil {
		for _, l := range all {
			if l != nil {
				l.Close()
			}
		}
		return nil, fmt.Errorf("systemd has passed %d sockets that can be listened on, and not one: the service needs a .socket unit", len(all))
	}
	if unix, ok := all[0].(*net.UnixListener); ok {
		unix.SetUnlinkOnClose(false) // the file is systemd's
	}
	return all[0], nil
}

// openSocket makes a Unix socket. It takes the place of one that a server has left which
// was killed, but not of one that is answered.
func openSocket(path string) (net.Listener, error) {
	l, err := net.Listen("unix", path)
	if errors.Is(err, syscall.EADDRINUSE) && abandoned(path) {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		l, err = net.Listen("unix", path)
	}
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, socketMode); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// abandoned reports whether path is a socket that nobody listens on.
func abandoned(path string) bool {
	info, err := os.Lstat(path)
	if err != nil || info.Mode().Type() != fs.ModeSocket {
		return false
	}
	c, err := net.Dial("unix", path)
	if err != nil {
		return errors.Is(err, syscall.ECONNREFUSED)
	}
	c.Close()
	return false
}

// URL is where clients of this computer reach the listener.
func (l *Listener) URL() string { return l.url }

func urlOf(a net.Addr, secure bool) string {
	switch {
	case a.Network() == "unix":
		return UnixPrefix + a.String()
	case secure:
		return "https://" + a.String()
	}
	return "http://" + a.String()
}

// neighbours makes those who come over a Unix socket clients at 127.0.0.1, which they
// are: a proxy there is trusted, and limited, by that address.
type neighbours struct{ net.Listener }

// Accept implements [net.Listener].
func (n neighbours) Accept() (net.Conn, error) {
	c, err := n.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return neighbour{c}, nil
}

type neighbour struct{ net.Conn }

// RemoteAddr implements [net.Conn].
func (neighbour) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }

// Reload reads the certificate's files again, which may be other ones now. The ones before
// stay if there is something wrong with them. It reports whether they have changed. TLS
// cannot be switched on or off.
func (l *Listener) Reload(cert, key string) (changed bool, err error) {
	if l.files == nil {
		if cert != "" {
			return false, errors.New("TLS is switched on with a restart")
		}
		return false, nil
	}
	return l.files.reload(cert, key)
}
