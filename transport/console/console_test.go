package console

import (
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// get asks a handler for path, with headers given as "Name: value".
func get(t *testing.T, o Options, method, path string, headers ...string) *http.Response {
	t.Helper()
	r := httptest.NewRequest(method, path, nil)
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	Handler(o).ServeHTTP(w, r)
	response := w.Result()
	response.Request = r
	return response
}

func body(t *testing.T, r *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestServesThePageAndItsFiles(t *testing.T) {
	for path, contentType := range map[string]string{
		"/":         "text/html; charset=utf-8",
		"/sw.js":    "text/javascript; charset=utf-8",
		"/icon.svg": "image/svg+xml",
	} {
		r := get(t, Options{}, "GET", path)
		if r.StatusCode != http.StatusOK || body(t, r) == "" {
			t.Errorf("GET %s: status %d, want 200 and a body", path, r.StatusCode)
		}
		if got := r.Header.Get("Content-Type"); got != contentType {
			t.Errorf("GET %s: Content-Type %q, want %q", path, got, contentType)
		}
		if r := get(t, Options{}, "HEAD", path); r.StatusCode != http.StatusOK || body(t, r) != "" {
			t.Errorf("HEAD %s: status %d, want 200 and no body", path, r.StatusCode)
		}
	}
}

// Every file has a known type, so nothing was put into page/ by mistake.
func TestEveryFileHasAType(t *testing.T) {
	for path, f := range Handler(Options{}).(console).files {
		if f.contentType == "" {
			t.Errorf("%s has no content type", path)
		}
	}
}

func TestServesNothingElse(t *testing.T) {
	for _, path := range []string{
		"/index.html", "/console.go", "/page/", "/sw.js/", "/x", "//", "/../console.go", "/assistant/", "/index.deep.html", "/c", "/c/x/y", "/signin/", "/icon.svg.br", "/assets/", "/page/dist/icon.svg",
	} {
		if r := get(t, Options{}, "GET", "http://parlor"+path); r.StatusCode != http.StatusNotFound {
			t.Errorf("GET %s: status %d, want 404", path, r.StatusCode)
		}
	}
}

func TestOnlyGetAndHead(t *testing.T) {
	for _, method := range []string{"POST", "PUT", "DELETE", "OPTIONS", "TRACE"} {
		r := get(t, Options{}, method, "/")
		if r.StatusCode != http.StatusMethodNotAllowed || r.Header.Get("Allow") != "GET, HEAD" {
			t.Errorf("%s /: status %d, Allow %q", method, r.StatusCode, r.Header.Get("Allow"))
		}
	}
}

func TestBasePath(t *testing.T) {
	for _, base := range []string{"/assistant", "/assistant/"} {
		o := Options{BasePath: base}
		for path, status := range map[string]int{
			"/assistant/": 200, "/assistant/sw.js": 200,
			"/": 404, "/sw.js": 404, "/assistant": 404, "/assistantsw.js": 404,
		} {
			if r := get(t, o, "GET", path); r.StatusCode != status {
				t.Errorf("base %q: GET %s: status %d, want %d", base, path, r.StatusCode, status)
			}
		}
	}
}

func TestHeaders(t *testing.T) {
	for _, path := range []string{"/", "/sw.js", "/no-such-file", "/signin"} {
		h := get(t, Options{}, "GET", path).Header
		for name, want := range map[string]string{
			"X-Content-Type-Options":       "nosniff",
			"Referrer-Policy":              "no-referrer",
			"Cross-Origin-Resource-Policy": "same-origin",
		} {
			if got := h.Get(name); got != want {
				t.Errorf("GET %s: %s %q, want %q", path, name, got, want)
			}
		}
		csp := h.Get("Content-Security-Policy")
		for _, want := range []string{"default-src '", "connect-src 'self'", "frame-ancestors 'none'", "base-uri 'none'", "require-trusted-types-for 'script'"} {
			if !strings.Contains(csp, want) {
				t.Errorf("GET %s: policy %q lacks %s", path, csp, want)
			}
		}
		if strings.Contains(csp, "unsafe") {
			t.Errorf("GET %s: policy %q is unsafe", path, csp)
		}
	}
}

func TestETag(t *testing.T) {
	r := get(t, Options{}, "GET", "/sw.js")
	etag := r.Header.Get("ETag")
	if !regexp.MustCompile(`^"[\w-]{16}"$`).MatchString(etag) {
		t.Fatalf("ETag %q, want a strong one", etag)
	}
	if got := r.Header.Get("Cache-Control"); got != "no-cache" {
		t.Errorf("Cache-Control %q, want no-cache", got)
	}
	again := get(t, Options{BasePath: "/assistant"}, "GET", "/assistant/sw.js", "If-None-Match: "+etag)
	if got := body(t, again); again.StatusCode != http.StatusNotModified || got != "" {
		t.Errorf("status %d and %d bytes, want an empty 304", again.StatusCode, len(got))
	}
	if again.Header.Get("Content-Security-Policy") == "" {
		t.Error("a 304 replaces the stored headers, and has no policy")
	}
	if r := get(t, Options{}, "GET", "/icon.svg", "If-None-Match: "+etag); r.StatusCode != http.StatusOK {
		t.Errorf("another file with that ETag: status %d, want 200", r.StatusCode)
	}
}

// The page has nothing that its policy would block: no inline script or style, no
// handlers, no URLs that leave the base path.
func TestPageObeysItsPolicy(t *testing.T) {
	page := body(t, get(t, Options{}, "GET", "/"))
	for _, pattern := range []string{`<script[^>]*>[^<]`, `<style`, `\sstyle=`, `\son\w+=`, `(src|href)="(/|https?:)`} {
		if found := regexp.MustCompile(pattern).FindString(page); found != "" {
			t.Errorf("index.html has %q", found)
		}
	}
	for _, m := range regexp.MustCompile(`(?:src|href)="([^"]+)"`).FindAllStringSubmatch(page, -1) {
		if r := get(t, Options{}, "GET", "/"+strings.TrimPrefix(m[1], "./")); r.StatusCode != http.StatusOK {
			t.Errorf("index.html refers to %s: status %d", m[1], r.StatusCode)
		}
	}
}

// The words of people must reach the page as text only. Svelte makes its templates from
// HTML that was compiled, through the one policy for that.
func TestSourcesMakeNoHTML(t *testing.T) {
	unsafe := regexp.MustCompile(`\{@html|innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|\sstyle="`)
	err := filepath.WalkDir("page/src", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(name, ".test.ts") {
			return err
		}
		source, err := os.ReadFile(name)
		if found := unsafe.Find(source); found != nil {
			t.Errorf("%s has %q", name, found)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// The places of the page answer with the page, which finds its files from there.
func TestPlaces(t *testing.T) {
	scripts := regexp.MustCompile(`(?:src|href)="([^"]+)"`)
	for _, base := range []string{"", "/assistant"} {
		for _, path := range []string{"/signin", "/settings", "/c/abc", "/c/a%2Fb%20c", "/join/t", "/settings/profile"} {
			r := get(t, Options{BasePath: base}, "GET", base+path)
			if r.StatusCode != http.StatusOK || r.Header.Get("Cache-Control") != "no-cache" {
				t.Errorf("GET %s: status %d, Cache-Control %q", base+path, r.StatusCode, r.Header.Get("Cache-Control"))
			}
			found := scripts.FindAllStringSubmatch(body(t, r), -1)
			if len(found) == 0 {
				t.Errorf("GET %s: not the page", base+path)
			}
			for _, m := range found {
				file := r.Request.URL.ResolveReference(&url.URL{Path: m[1]}).Path
				if r := get(t, Options{BasePath: base}, "GET", file); r.StatusCode != http.StatusOK {
					t.Errorf("%s refers to %s: status %d", base+path, file, r.StatusCode)
				}
			}
		}
	}
}

// A file with a hash in its name may be kept for ever, in any coding that the client takes.
func TestHashedFiles(t *testing.T) {
	files := 0
	for name, f := range Handler(Options{}).(console).files {
		if !strings.HasPrefix(name, hashed) {
			continue
		}
		files++
		for header, want := range map[string]string{
			"gzip, deflate, br": "br", "gzip": "gzip", "BR;q=1": "br", "br;q=0, gzip": "gzip", "br; q=0.000, gzip;q=0": "", "": "", "brotli": "",
		} {
			if _, ok := f.bodies[want]; !ok {
				continue // too short to compress
			}
			r := get(t, Options{}, "GET", "/"+name, "Accept-Encoding: "+header)
			if got := r.Header.Get("Content-Encoding"); got != want {
				t.Errorf("%s for %q: Content-Encoding %q, want %q", name, header, got, want)
			}
			if got := r.Header.Get("Cache-Control"); !strings.Contains(got, "immutable") {
				t.Errorf("%s: Cache-Control %q", name, got)
			}
			if got := r.Header.Get("Vary"); got != "Accept-Encoding" {
				t.Errorf("%s: Vary %q", name, got)
			}
		}
	}
	if files == 0 {
		t.Error("no hashed files: run make page")
	}
}
