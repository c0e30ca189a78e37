// Package console serves the page: a chat with people and assistants, in the browser.
//
//	GET {base}/, /c/…, /join/…, /settings/…, /runtime/…, /signin → index.html → assets/…
//
//	the page → {base}/api/v1       who am I, which chats and models are there
//	         ⇄ {base}/socket.io/   the namespace /assistant/realtime
//
// page/ has the sources, and page/dist what they are built into (make page). The
// built files are committed, so that parlor needs no Node to be built. All their
// URLs are relative: the page finds the server with a base path, without one, and
// behind a proxy that strips one.
package console

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"io/fs"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"strings"
	"time"
)

//go:embed page/dist
var built embed.FS

const (
	folder    = "page/dist"
	index     = "index.html"
	deepIndex = "index.deep.html" // the same page for addresses one folder down
	hashed    = "assets/"         // the folder of files whose names have the hash of their content
)

// Addresses of the page itself: it decides what to show.
var (
	places     = regexp.MustCompile(`^(signin|settings|runtime)?$`)
	deepPlaces = regexp.MustCompile(`^(c|join|settings|runtime)/[^/]*$`)
)

// contentSecurityPolicy lets the page load from and connect to this server only
// ('self' includes ws: and wss: of the same host). Text cannot become HTML or
// script: of the two policies for trusted types, that of Svelte is for the
// templates that were compiled, and the other for the URLs of built workers.
const contentSecurityPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; " +
	"media-src 'self' blob:; connect-src 'self'; worker-src 'self'; manifest-src 'self'; frame-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; " +
	"require-trusted-types-for 'script'; trusted-types svelte-trusted-html parlor-script-url"

// Options configure a [Handler]. The zero value is ready to use.
type Options struct {
	// BasePath is the path below which the page is served, for example
	// "/assistant". Empty and "/" mean the top.
	BasePath string
}

// Handler serves the page and nothing else, for GET and HEAD. It may be used from
// any goroutine. Requests must still have the path that the client sent: do not
// strip the base path.
func Handler(o Options) http.Handler {
	files := readFiles()
	base := url.URL{Path: strings.TrimSuffix(o.BasePath, "/") + "/"}
	return console{base: base.EscapedPath(), files: files}
}

type console struct {
	base  string          // as it is written in a URL
	files map[string]file // by path below base
}

// file is one file of the page.
type file struct {
	contentType  string
	cacheControl string
	bodies       map[string]encoded // by content coding; that of "" is always there
}

type encoded struct {
	etag  string
	bytes []byte
}

// codings are the endings of compressed files and their names in HTTP, the best first.
var codings = []struct{ ending, name string }{{".br", "br"}, {".gz", "gzip"}}

// readFiles returns the built files by their path, those that are compressed with them.
func readFiles() map[string]file {
	bytes := make(map[string][]byte)
	err := fs.WalkDir(built, folder, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		bytes[strings.TrimPrefix(name, folder+"/")], err = built.ReadFile(name)
		return err
	})
	if err != nil {
		panic("console: " + err.Error()) // cannot happen: the files are in the binary
	}
	files := make(map[string]file)
	for name := range bytes {
		if !compressed(name) {
			files[name] = newFile(name, bytes)
		}
	}
	return files
}

func compressed(name string) bool {
	ext := path.Ext(name)
	return ext == codings[0].ending || ext == codings[1].ending
}

func newFile(name string, all map[string][]byte) file {
	f := file{
		contentType: contentTypes[path.Ext(name)], cacheControl: "no-cache",
		bodies: map[string]encoded{"": newBody(all[name])},
	}
	if strings.HasPrefix(name, hashed) {
		f.cacheControl = "public, max-age=31536000, immutable"
	}
	for _, c := range codings {
		if b, ok := all[name+c.ending]; ok {
			f.bodies[c.name] = newBody(b)
		}
	}
	return f
}

func newBody(b []byte) encoded {
	sum := sha256.Sum256(b)
	return encoded{etag: `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`, bytes: b}
}

// contentTypes are the same on all machines. Those of package mime are not.
var contentTypes = map[string]string{
	".html":        "text/html; charset=utf-8",
	".css":         "text/css; charset=utf-8",
	".js":          "text/javascript; charset=utf-8",
	".svg":         "image/svg+xml",
	".png":         "image/png",
	".txt":         "text/plain; charset=utf-8",
	".webmanifest": "application/manifest+json",
}

// ServeHTTP implements http.Handler.
func (c console) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", contentSecurityPolicy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")

	f, ok := c.find(r.URL.EscapedPath())
	switch {
	case !ok:
		http.NotFound(w, r)
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		h.Set("Allow", "GET, HEAD")
		http.Error(w, "only GET and HEAD are possible here", http.StatusMethodNotAllowed)
	default:
		f.serve(w, r)
	}
}

func (c console) find(escapedPath string) (file, bool) {
	name, below := strings.CutPrefix(escapedPath, c.base)
	if !below || name == index || name == deepIndex {
		return file{}, false
	}
	if f, ok := c.files[name]; ok {
		return f, true
	}
	switch {
	case places.MatchString(name):
		return c.files[index], true
	case deepPlaces.MatchString(name):
		return c.files[deepIndex], true
	}
	return file{}, false
}

// serve answers with the file in a coding that the client takes, or with 304 if
// the client has it already.
func (f file) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", f.contentType)
	h.Set("Cache-Control", f.cacheControl)
	h.Set("Vary", "Accept-Encoding")
	coding := f.coding(r.Header.Get("Accept-Encoding"))
	if coding != "" {
		h.Set("Content-Encoding", coding)
	}
	b := f.bodies[coding]
	h.Set("ETag", b.etag)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(b.bytes))
}

// coding returns the best content coding that the header Accept-Encoding allows, or "".
func (f file) coding(accepted string) string {
	for _, c := range codings {
		if _, ok := f.bodies[c.name]; ok && accepts(accepted, c.name) {
			return c.name
		}
	}
	return ""
}

var refused = regexp.MustCompile(`^q=0(\.0*)?$`)

func accepts(header, coding string) bool {
	for entry := range strings.SplitSeq(header, ",") {
		name, q, _ := strings.Cut(strings.TrimSpace(entry), ";")
		if strings.EqualFold(strings.TrimSpace(name), coding) {
			return !refused.MatchString(strings.ToLower(strings.ReplaceAll(q, " ", "")))
		}
	}
	return false
}
