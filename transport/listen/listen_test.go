package listen

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestCheck(t *testing.T) {
	for _, address := range []string{"127.0.0.1:80", ":0", "[::1]:65535", "localhost:1", "unix:/run/parlor.sock", "unix:a", "systemd"} {
		if err := Check(address); err != nil {
			t.Errorf("%s %v", address, err)
		}
	}
	for _, address := range []string{"", "80", "h:65536", "h:-1", "h:http", "unix:", "unix:@a", "unix:" + strings.Repeat("a", 108)} {
		if Check(address) == nil {
			t.Errorf("%q is taken", address)
		}
	}
}

func TestLocal(t *testing.T) {
	for address, want := range map[string]bool{
		"127.0.0.1:80": true, "localhost:80": true, "[::1]:80": true, "unix:/a": true,
		":80": false, "0.0.0.0:80": false, "systemd": false, "10.0.0.1:80": false,
	} {
		if got := Local(address); got != want {
			t.Errorf("Local(%q) = %v", address, got)
		}
	}
}

func TestSystemdWithoutSocket(t *testing.T) {
	if _, err := Open(Options{Address: Systemd}); err == nil || !strings.Contains(err.Error(), ".socket unit") {
		t.Errorf("got %v, want a word about the unit that is missing", err)
	}
}

func TestUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	address := UnixPrefix + path
	first, err := Open(Options{Address: address})
	if err != nil {
		t.Fatal(err)
	}
	if got := first.URL(); got != address {
		t.Errorf("URL %q, want %q", got, address)
	}
	go func() {
		c, err := net.Dial("unix", path)
		if err == nil {
			c.Close()
		}
	}()
	c, err := first.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if host, _, err := net.SplitHostPort(c.RemoteAddr().String()); host != "127.0.0.1" {
		t.Errorf("who comes over it is %v (%v), want 127.0.0.1", c.RemoteAddr(), err)
	}
	c.Close()

	if _, err := Open(Options{Address: address}); err == nil {
		t.Fatal("it took the place of a socket that is answered")
	}
	first.Listener.(neighbours).Listener.(*net.UnixListener).SetUnlinkOnClose(false) // as kill -9 leaves it
	first.Close()
	second, err := Open(Options{Address: address})
	if err != nil {
		t.Fatalf("it did not take the place of a socket that was left: %v", err)
	}
	second.Close()
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Options{Address: address}); err == nil {
		t.Error("it took the place of a file that is no socket")
	}
}

// pair writes a certificate with the serial number, and its key.
func pair(t *testing.T, dir string, serial int64) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for name, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: pkcs8}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

// A certificate that has changed is used without a restart. One that is wrong is not, and
// the one before stays.
func TestCertificateChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		cert, key := pair(t, dir, 1)
		f := &files{log: slog.New(slog.DiscardHandler)}
		if _, err := f.reload(cert, key); err != nil {
			t.Fatal(err)
		}
		serial := func() int64 {
			c, err := f.certificate(nil)
			if err != nil {
				t.Fatal(err)
			}
			return c.Leaf.SerialNumber.Int64()
		}
		pair(t, dir, 2)
		touch(t, cert)
		if got := serial(); got != 1 {
			t.Errorf("serial %d before the time of a look", got)
		}
		time.Sleep(lookEvery)
		if got := serial(); got != 2 {
			t.Errorf("serial %d, want that of the new one", got)
		}
		if err := os.WriteFile(cert, []byte("no certificate"), 0o600); err != nil {
			t.Fatal(err)
		}
		time.Sleep(lookEvery)
		if got := serial(); got != 2 {
			t.Errorf("serial %d, want that of the last one that was right", got)
		}
		if _, err := f.reload(cert, key); err == nil {
			t.Error("a wrong certificate was reloaded without an error")
		}
		pair(t, dir, 3)
		if changed, err := f.reload(cert, key); !changed || err != nil || serial() != 3 {
			t.Errorf("reload: %v %v, serial %d", changed, err, serial())
		}
	})
}

// touch gives the file another time, whatever the clock of the file system counts in.
// A hangup brings a certificate also if its files have the size and the time of those before, as in images that
// are built reproducibly; the same certificate is no change.
func TestReloadReadsTheFiles(t *testing.T) {
	dir, at := t.TempDir(), time.Unix(1e9, 0)
	write := func(serial int64) (cert, key string) {
		cert, key = pair(t, dir, serial)
		for _, name := range []string{cert, key} {
			text, err := os.ReadFile(name)
			if err == nil {
				err = os.WriteFile(name, append(text, bytes.Repeat([]byte("\n"), 4000-len(text))...), 0o600)
			}
			if err := errors.Join(err, os.Chtimes(name, at, at)); err != nil {
				t.Fatal(err)
			}
		}
		return cert, key
	}
	cert, key := write(1)
	f := &files{log: slog.New(slog.DiscardHandler)}
	for _, step := range []struct {
		serial  int64
		changed bool
	}{{1, true}, {1, false}, {2, true}} {
		if step.serial != 1 {
			write(step.serial)
		}
		if changed, err := f.reload(cert, key); changed != step.changed || err != nil || f.now.Leaf.SerialNumber.Int64() != step.serial {
			t.Errorf("changed = %v, %v, serial %v, want %v and %d", changed, err, f.now.Leaf.SerialNumber, step.changed, step.serial)
		}
	}
}

func touch(t *testing.T, name string) {
	t.Helper()
	if err := os.Chtimes(name, time.Time{}, time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
}

func TestTLS(t *testing.T) {
	cert, key := pair(t, t.TempDir(), 1)
	if _, err := Open(Options{Address: "127.0.0.1:0", CertFile: cert, KeyFile: cert}); err == nil {
		t.Error("a key that is none was taken")
	}
	l, err := Open(Options{Address: "127.0.0.1:0", CertFile: cert, KeyFile: key})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if !strings.HasPrefix(l.URL(), "https://127.0.0.1:") {
		t.Errorf("URL %q", l.URL())
	}
	go func() {
		if c, err := l.Accept(); err == nil {
			_ = c.(*tls.Conn).Handshake()
			c.Close()
		}
	}()
	c, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2", "http/1.1"}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got := c.ConnectionState().NegotiatedProtocol; got != "http/1.1" {
		t.Errorf("protocol %q, want http/1.1", got)
	}
}

// systemd is told that the service is ready, and twice in each period of its watchdog that
// it works, as long as that is so.
func TestSystemdIsTold(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	told := func() string {
		buffer := make([]byte, 1000)
		n, err := c.Read(buffer)
		if err != nil {
			t.Fatal(err)
		}
		return string(buffer[:n])
	}
	Ready() // nobody is there
	t.Setenv("NOTIFY_SOCKET", path)
	Ready()
	Stopping()
	if got := told() + told(); got != "READY=1STOPPING=1" {
		t.Errorf("told %q", got)
	}

	t.Setenv("WATCHDOG_USEC", "20000")
	ctx, cancel := context.WithCancel(context.Background())
	checks, done := make(chan error), make(chan struct{})
	go func() {
		defer close(done)
		Watch(ctx, func(context.Context) error { return <-checks })
	}()
	for _, check := range []error{nil, errors.New("hangs"), nil} {
		checks <- check
	}
	if got := told() + told(); got != "WATCHDOG=1WATCHDOG=1" {
		t.Errorf("told %q", got)
	}
	cancel()
	close(checks)
	<-done
}
