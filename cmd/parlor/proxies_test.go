//go:build unix

package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	mathrand "math/rand/v2"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"parlor/transport/doctor"
)

// proxySecret is one for servers that are asked through proxies.
const proxySecret = "--jwt-secret=0123456789abcdef0123456789abcdef"

// startProxied runs a server that trusts proxies of this computer.
func startProxied(t *testing.T, args ...string) *url.URL {
	t.Helper()
	u, err := url.Parse(startServer(t, append([]string{proxySecret, "--trusted-proxies=127.0.0.1,::1"}, args...)...))
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// A programme is a proxy that can be installed.
type programme struct {
	name    string   // of the program
	example string   // its file in docs/deploy/proxies
	rewrite []string // old and new, for a run as nobody in particular; PORT, SERVER, DIR are filled in
	around  string   // the configuration, in which EXAMPLE is filled in
	args    []string // DIR likewise
}

var programmes = []programme{
	{
		name: "nginx", example: "nginx.conf",
		rewrite: []string{"listen 443 ssl", "listen 127.0.0.1:PORT ssl", "/etc/nginx/parlor/", "DIR/"},
		around: "daemon off; master_process off; pid DIR/pid; error_log stderr warn; worker_processes 1; events { }\n" +
			"http { access_log off; client_body_temp_path DIR/a; proxy_temp_path DIR/b; fastcgi_temp_path DIR/c; uwsgi_temp_path DIR/d; scgi_temp_path DIR/e;\nEXAMPLE\n}",
		args: []string{"-p", "DIR", "-c", "DIR/conf"},
	},
	{
		name: "caddy", example: "Caddyfile",
		rewrite: []string{"chat.example.com {", "https://localhost:PORT {\n\ttls DIR/fullchain.pem DIR/key.pem"},
		around:  "{\n\tadmin off\n\tauto_https off\n\tstorage file_system DIR/caddy\n}\nEXAMPLE",
		args:    []string{"run", "--config", "DIR/conf", "--adapter", "caddyfile"},
	},
	{
		name: "haproxy", example: "haproxy.cfg",
		rewrite: []string{"bind :443 ssl crt /etc/haproxy/chat.pem", "bind 127.0.0.1:PORT ssl crt DIR/chat.pem"},
		around:  "EXAMPLE", args: []string{"-db", "-f", "DIR/conf"},
	},
	{
		name: "apache2", example: "apache.conf",
		rewrite: []string{"*:443", "127.0.0.1:PORT", "/etc/apache2/parlor/", "DIR/"},
		around: "ServerRoot DIR\nPidFile DIR/pid\nErrorLog DIR/log\nListen 127.0.0.1:PORT\nServerName localhost\nMutex posixsem\n" +
			"LoadModule mpm_event_module MODULES/mod_mpm_event.so\nLoadModule authz_core_module MODULES/mod_authz_core.so\nLoadModule ssl_module MODULES/mod_ssl.so\n" +
			"LoadModule socache_shmcb_module MODULES/mod_socache_shmcb.so\nLoadModule proxy_module MODULES/mod_proxy.so\nLoadModule proxy_http_module MODULES/mod_proxy_http.so\nLoadModule headers_module MODULES/mod_headers.so\nEXAMPLE",
		args: []string{"-D", "FOREGROUND", "-d", "DIR", "-f", "DIR/conf"},
	},
}

// composed are the proxies of the Compose files, for which only the address of parlor differs.
func composed() []programme {
	nginx, caddy := programmes[0], programmes[1]
	nginx.example, caddy.example = "../compose/nginx.conf", "../compose/Caddyfile"
	nginx.rewrite = append([]string{"parlor:8080", "127.0.0.1:8080", "listen 80;", "listen 127.0.0.1:OTHER;"}, nginx.rewrite...)
	caddy.rewrite = []string{"parlor:8080", "127.0.0.1:8080", "{$PARLOR_HOST} {", caddy.rewrite[1]}
	return []programme{nginx, caddy}
}

// start runs the proxy as its example says, with one thing changed, until the end of the
// test. It returns the URL that people open, and the configuration to open it with. Where the
// program is not installed, the test is skipped.
func (p programme) start(t *testing.T, server *url.URL, change ...string) (string, *tls.Config) {
	t.Helper()
	path, err := exec.LookPath(p.name)
	if err != nil {
		t.Skipf("%s is not installed, so docs/deploy/proxies/%s is not tried", p.name, p.example)
	}
	text, err := os.ReadFile(filepath.Join(repository, "docs", "deploy", "proxies", p.example))
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "proxy") // [testing.T.TempDir] may have a $ in its name
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	port := freePort(t)
	config := replaceAll(t, replaceAll(t, string(text), change...), append(p.rewrite, "127.0.0.1:8080", server.Host)...)
	config = strings.Replace(p.around, "EXAMPLE", config, 1)
	fill := strings.NewReplacer("DIR", dir, "PORT", port, "OTHER", freePort(t), "MODULES", "/usr/lib/apache2/modules")
	roots := writeCertificate(t, dir, "localhost", time.Now().AddDate(1, 0, 0))
	if err := os.WriteFile(filepath.Join(dir, "conf"), []byte(fill.Replace(config)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var args []string
	for _, arg := range p.args {
		args = append(args, fill.Replace(arg))
	}
	runProxy(t, exec.Command(path, args...), "localhost:"+port)
	return "https://localhost:" + port, &tls.Config{RootCAs: roots}
}

// replaceAll replaces pairs of texts, each of which has to be there.
func replaceAll(t *testing.T, text string, pairs ...string) string {
	t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(text, pairs[i]) {
			t.Fatalf("there is no %q in the example", pairs[i])
		}
		text = strings.ReplaceAll(text, pairs[i], pairs[i+1])
	}
	return text
}

// freePort is a port below those that the system gives to connections, so that none of these takes it
// before the proxy does.
func freePort(t *testing.T) string {
	t.Helper()
	for range 100 {
		port := strconv.Itoa(10_000 + mathrand.IntN(20_000))
		if l, err := net.Listen("tcp", "127.0.0.1:"+port); err == nil {
			l.Close()
			return port
		}
	}
	t.Fatal("there is no free port")
	return ""
}

// writeCertificate writes one that is signed by itself, and its key, in all forms that proxies
// want, and returns who vouches for it.
func writeCertificate(t *testing.T, dir, name string, until time.Time) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), DNSNames: []string{name}, NotBefore: until.AddDate(-2, 0, 0), NotAfter: until}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})
	for name, text := range map[string][]byte{"fullchain.pem": certPEM, "key.pem": keyPEM, "chat.pem": append(bytes.Clone(certPEM), keyPEM...)} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(certPEM)
	return pool
}

// runProxy runs a command until the end of the test, and returns when it can be reached.
func runProxy(t *testing.T, cmd *exec.Cmd, address string) {
	t.Helper()
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr, cmd.Env = &output, &output, append(os.Environ(), "HOME="+t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // it may have children
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-ended
	})
	for {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			conn.Close()
			return
		}
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("%s: %v\n%s", cmd.Path, err, &output)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// examine has a doctor look at a URL.
func examine(t *testing.T, url string, config *tls.Config) *doctor.Report {
	t.Helper()
	report, err := doctor.Examine(context.WithoutCancel(t.Context()), doctor.Options{URL: url, TLS: config})
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// written is a report as people read it.
func written(t *testing.T, report *doctor.Report) string {
	t.Helper()
	var b strings.Builder
	if err := report.Write(&b, ""); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestExampleProxies starts each proxy as its example says, and has a doctor find nothing.
func TestExampleProxies(t *testing.T) {
	if testing.Short() {
		t.Skip("to start four proxies takes its time")
	}
	server := startProxied(t, "--ping-interval=1s")
	for _, p := range append(composed(), programmes...) {
		t.Run(p.example, func(t *testing.T) {
			t.Parallel()
			address, config := p.start(t, server)
			if report := examine(t, address, config); report.Faults() > 0 || len(report.Findings) < 10 {
				t.Errorf("%s", written(t, report))
			}
		})
	}
}

// TestProxyLines: each line of a proxy in docs/proxies.md is in its example.
func TestProxyLines(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(repository, "docs", "proxies.md"))
	if err != nil {
		t.Fatal(err)
	}
	for heading, example := range map[string]string{"nginx": "nginx.conf", "Caddy": "Caddyfile", "Traefik": "traefik.yml", "HAProxy": "haproxy.cfg", "Apache": "apache.conf"} {
		_, section, _ := strings.Cut(string(page), "\n## "+heading+"\n")
		_, block, _ := strings.Cut(section, "```")
		block, _, ended := strings.Cut(block, "\n```")
		text, err := os.ReadFile(filepath.Join(repository, "docs", "deploy", "proxies", example))
		if err != nil || !ended {
			t.Fatal(heading, err)
		}
		for _, line := range strings.Split(block, "\n")[1:] {
			if !strings.Contains(string(text), strings.TrimSpace(line)) {
				t.Errorf("docs/proxies.md, %s: %q is not in docs/deploy/proxies/%s", heading, line, example)
			}
		}
		if strings.HasSuffix(example, ".yml") {
			var any any
			if err := yaml.Unmarshal(text, &any); err != nil {
				t.Errorf("%s: %v", example, err)
			}
		}
	}
}

// TestDoctorCommand runs the command against a server without a proxy.
func TestDoctorCommand(t *testing.T) {
	server, err := url.Parse(startServer(t, proxySecret, "--ping-interval=200ms"))
	if err != nil {
		t.Fatal(err)
	}
	var stdout, stderr strings.Builder
	out := &streams{&stdout, &stderr}
	if status := run(t.Context(), []string{"doctor", server.String()}, nil, out); status != 0 || !strings.Contains(stdout.String(), "no faults") {
		t.Errorf("status %d\n%s%s", status, &stdout, &stderr)
	}
	stdout.Reset()
	if status := run(t.Context(), []string{"doctor", server.String() + "/chat", "--proxy", "caddy"}, nil, out); status != exitFailure ||
		!strings.Contains(stdout.String(), "handle_path") || strings.Contains(stdout.String(), "nginx") {
		t.Errorf("status %d\n%s%s", status, &stdout, &stderr)
	}
	if status := run(t.Context(), []string{"doctor", "ftp://x"}, nil, out); status != exitUsage || !strings.Contains(stderr.String(), "as people open it") {
		t.Errorf("status %d\n%s", status, &stderr)
	}
	stdout.Reset()
	if status := run(t.Context(), []string{"health", "--listen", server.Host}, nil, out); status != 0 || !strings.Contains(stdout.String(), `"ready"`) {
		t.Errorf("status %d\n%s%s", status, &stdout, &stderr)
	}
	for listen, want := range map[string]int{"127.0.0.1:1": exitFailure, "unix:/nowhere/x": exitFailure, "systemd": exitUsage} {
		if status := run(t.Context(), []string{"health", "--listen", listen}, nil, out); status != want {
			t.Errorf("health of %s: status %d, want %d\n%s", listen, status, want, &stderr)
		}
	}
}

// TestBrokenProxies takes one thing after the other from proxies that do well. The doctor has
// to name it.
func TestBrokenProxies(t *testing.T) {
	if testing.Short() {
		t.Skip("to start many proxies takes its time")
	}
	server, quiet := startProxied(t, "--ping-interval=2s"), startProxied(t, "--ping-interval=7s") // long before its heartbeat a limit of 1 s cuts
	for _, tt := range []struct {
		proxy  string
		change []string // in its example
		check  string   // that finds the fault
		says   string
		others bool // checks that fail with it
	}{
		{"nginx", []string{"proxy_set_header Upgrade           $http_upgrade;", ""}, "websocket", "the header Upgrade is missing", false},
		{"nginx", []string{"proxy_set_header Connection        $connection_upgrade;", ""}, "websocket", "the header Connection: upgrade is missing", false},
		{"nginx", []string{"proxy_http_version 1.1;", "", "proxy_set_header Connection        $connection_upgrade;", ""}, "websocket", "HTTP/1.0", false},
		{"nginx", []string{"proxy_set_header Host              $http_host;", "", "proxy_set_header X-Forwarded-Host  $http_host;", ""}, "host", "The header Host is changed", true},
		{"nginx", []string{"proxy_read_timeout 90s", "proxy_read_timeout 1s"}, "polling", "a poll was cut after", true},
		{"nginx", []string{"client_max_body_size 110m;", ""}, "body", "max-file-bytes", false},
		{"nginx", []string{"proxy_buffering off;", "proxy_cookie_path / /elsewhere/;"}, "cookies", `Path="/elsewhere/"`, false},
		{"nginx", []string{"proxy_buffering off;", "proxy_ignore_headers X-Accel-Buffering;"}, "stream", "held back", false},
		{"nginx", []string{"X-Forwarded-Proto $scheme", "X-Forwarded-Proto http"}, "forwarded", `X-Forwarded-Proto is "http"`, false},
		{"nginx", []string{"proxy_buffering off;", `proxy_set_header Authorization "";`}, "authorization", "does not reach parlor", false},
		{"nginx", []string{"http://127.0.0.1:8080;", "http://127.0.0.1:1; # 127.0.0.1:8080"}, "reach", "does not reach parlor: status 502", true},
		{"nginx", []string{"location / {", "location / { return 301 https://$http_host$request_uri;"}, "reach", "redirects lead on and on", true},
		{"nginx", []string{"http://127.0.0.1:8080;", "http://127.0.0.1:8080$uri;"}, "reach", "the query of the URL", true},
		{"haproxy", []string{"option forwardfor", ""}, "forwarded", "X-Forwarded-For is missing", false},
		{"haproxy", []string{"http-request set-header X-Forwarded-Proto https", ""}, "forwarded", "X-Forwarded-Proto is missing", false},
		{"haproxy", []string{"timeout tunnel  1h", "timeout tunnel  1s"}, "websocket", "cut after", false},
		{"haproxy", []string{"timeout server  90s", "timeout server  1s"}, "polling", "status 504", true},
		{"haproxy", []string{"default_backend parlor", "default_backend parlor\n    http-request del-header Upgrade"}, "websocket", "the header Upgrade or Connection is missing", false},
		{"caddy", []string{"reverse_proxy 127.0.0.1:8080", "reverse_proxy 127.0.0.1:8080 {\n header_up Host {upstream_hostport}\n header_up -X-Forwarded-Host\n }"}, "host", "The header Host is changed", true},
		{"caddy", []string{"reverse_proxy 127.0.0.1:8080", "handle /app/* {\n reverse_proxy 127.0.0.1:8080\n }"}, "reach", "no parlor answers", true},
		{"caddy", []string{"reverse_proxy 127.0.0.1:8080", "request_body {\n max_size 100KB\n }\n reverse_proxy 127.0.0.1:8080"}, "body", "bytes (max-payload)", false},
		{"apache2", []string{"upgrade=websocket", ""}, "websocket", "the header Upgrade is missing", false},
	} {
		t.Run(fmt.Sprint(tt.proxy, " ", strings.Join(tt.change[:1], "")), func(t *testing.T) {
			t.Parallel()
			server, i := server, indexProgramme(tt.proxy)
			if strings.HasSuffix(tt.change[1], " 1s") {
				server = quiet
			}
			address, config := programmes[i].start(t, server, tt.change...)
			wantFault(t, examine(t, address, config), tt.check, tt.says, tt.others)
		})
	}
}

func indexProgramme(name string) int {
	for i, p := range programmes {
		if p.name == name {
			return i
		}
	}
	return -1
}

// wantFault checks that a report has a fault of a check, and no other unless others may be.
func wantFault(t *testing.T, report *doctor.Report, check, says string, others bool) {
	t.Helper()
	found := false
	for _, f := range report.Findings {
		if f.Level == doctor.Fault && f.Check == check && strings.Contains(f.Text, says) {
			found = true
		}
	}
	if !found || report.Faults() > 1 && !others {
		t.Errorf("want one fault of %s that says %q, others %v:\n%s", check, says, others, written(t, report))
	}
}
