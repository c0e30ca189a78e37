// Package console serves the page at /: a chat with an assistant, in the browser.
//
//	GET {base}/ → index.html, page.css, page.js → view.js
//	                                            → room.js → transcript.js, socket.io.esm.min.js
//	                                            → push.js ⇢ sw.js, the service worker
//
//	page.js → {base}/api/v1       who am I, which models are there
//	room.js ⇄ {base}/socket.io/   the namespace /assistant/realtime, WebSocket only
//
// The files in page/ are served unchanged: there is no build step and no
// template. All their URLs are relative to the page's own address. So the page
// finds the server with a base path, without one, and behind a proxy that strips
// one.
//
// # Vendored
//
// page/socket.io.esm.min.js is dist/socket.io.esm.min.js of the npm package
// socket.io-client 4.8.4 (MIT), unchanged; page/socket.io.LICENSE.txt is its
// notice. To update it, run npm pack socket.io-client@VERSION and copy the file.
// Then change the version here, in the notice and in the test, which also has
// the hash of the file.
package console

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"net/http"
	"path"
	"strings"
	"time"
)

//go:embed page
var files embed.FS

// index is served for the path of the directory.
const index = "index.html"

// contentSecurityPolicy lets the page load from and connect to this server only
// ('self' includes ws: and wss: of the same host). The page can run only scripts
// that are files of the server, and cannot turn text into HTML or script
// (trusted-types): the one policy that it may make is for the URL of sw.js.
const contentSecurityPolicy = "default-src 'self'; script-src 'self'; style-src 'self'; connect-src 'self'; " +
	"object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; " +
	"trusted-types sw; require-trusted-types-for 'script'"

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
	return console(embedded(strings.TrimSuffix(o.BasePath, "/") + "/"))
}

// console holds the files by URL path.
type console map[string]file

// file is one file of the page, with the headers of its responses.
type file struct {
	contentType string
	etag        string
	body        []byte
}

// embedded returns the files by URL path, below the directory dir. The page
// itself has the path dir.
func embedded(dir string) map[string]file {
	entries, err := files.ReadDir("page")
	if err != nil {
		panic("console: " + err.Error()) // cannot happen: the files are in the binary
	}
	byPath := make(map[string]file)
	for _, e := range entries {
		body, err := files.ReadFile("page/" + e.Name())
		if err != nil {
			panic("console: " + err.Error())
		}
		byPath[dir+strings.TrimSuffix(e.Name(), index)] = newFile(e.Name(), body)
	}
	return byPath
}

func newFile(name string, body []byte) file {
	sum := sha256.Sum256(body)
	return file{
		contentType: contentTypes[path.Ext(name)],
		etag:        `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`,
		body:        body,
	}
}

// contentTypes are the same on all machines. Those of package mime are not.
var contentTypes = map[string]string{
	".html": "text/html; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".svg":  "image/svg+xml",
	".txt":  "text/plain; charset=utf-8",
}

// ServeHTTP implements http.Handler.
func (c console) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", contentSecurityPolicy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")

	f, ok := c[r.URL.Path]
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

// serve answers with the file, or with 304 if the client has it already. The
// name of a file stays when its content changes, so caches must ask each time.
func (f file) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", f.contentType)
	h.Set("Cache-Control", "no-cache")
	h.Set("ETag", f.etag)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(f.body))
}
