package pdf

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/klippa-app/go-pdfium"
	pdferrors "github.com/klippa-app/go-pdfium/errors"
	"github.com/klippa-app/go-pdfium/references"
	"github.com/klippa-app/go-pdfium/requests"
	"github.com/klippa-app/go-pdfium/webassembly"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"parlor/protocol/chat"
)

// The exit statuses of the process that say what is wrong with a file.
const (
	exitLocked = iota + 10
	exitDamaged
	exitEmpty
	exitSlow
)

var refusals = map[int]*chat.Error{exitLocked: errLocked, exitDamaged: errDamaged, exitEmpty: errEmpty, exitSlow: errSlow}

// Extract is the process that reads one file. It returns its exit status.
func Extract(args []string) int {
	if len(args) != 3 {
		return 2
	}
	memory, err := strconv.ParseInt(args[0], 10, 64)
	timeout, timeErr := time.ParseDuration(args[1])
	if err = errors.Join(err, timeErr); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	runtime.GOMAXPROCS(max(2, runtime.GOMAXPROCS(0))) // PDFium lets nothing else run in its thread
	pool, err := compiled(memory, args[2])
	if err != nil {
		return statusOf(err)
	}
	time.AfterFunc(timeout, func() { os.Exit(exitSlow) }) // also if our parent is gone
	file, err := io.ReadAll(os.Stdin)
	if err == nil {
		out := bufio.NewWriter(os.Stdout)
		err = errors.Join(extract(out, file, pool), out.Flush())
	}
	return statusOf(err)
}

// compiled is PDFium, ready to run. That takes seconds without a cache.
func compiled(memory int64, cache string) (pdfium.Pool, error) {
	return webassembly.Init(webassembly.Config{
		MaxTotal: 1, MaxIdle: 1, RuntimeConfig: sandbox(memory, cache), Stdout: io.Discard, Stderr: io.Discard,
		FSConfig: wazero.NewFSConfig(), // nothing of ours
	})
}

func statusOf(err error) int {
	if err == nil {
		return 0
	}
	for status, refusal := range refusals {
		if errors.Is(err, refusal) {
			return status
		}
	}
	fmt.Fprintln(os.Stderr, err)
	return 1
}

// extract writes the text of a file.
func extract(out io.Writer, file []byte, pool pdfium.Pool) error {
	reader, err := pool.GetInstanceWithContext(context.Background())
	if err != nil {
		return err
	}
	defer reader.Close()
	opened, err := reader.OpenDocument(&requests.OpenDocument{File: &file})
	switch {
	case errors.Is(err, pdferrors.ErrPassword), errors.Is(err, pdferrors.ErrSecurity):
		return errLocked
	case err != nil:
		return errDamaged
	}
	pages, err := reader.FPDF_GetPageCount(&requests.FPDF_GetPageCount{Document: opened.Document})
	if err != nil {
		return errDamaged
	}
	return write(out, reader, opened.Document, pages.PageCount)
}

// sandbox is where PDFium runs. Its module throws exceptions.
func sandbox(memory int64, cache string) wazero.RuntimeConfig {
	const page = 64 << 10
	c := wazero.NewRuntimeConfig().WithCoreFeatures(api.CoreFeaturesV2 | experimental.CoreFeaturesExceptionHandling).WithMemoryLimitPages(uint32(min(memory/page, 1<<16)))
	if cache == "" {
		return c
	}
	if kept, err := wazero.NewCompilationCacheWithDir(cache); err == nil {
		c = c.WithCompilationCache(kept)
	}
	return c
}

// write writes the text of all pages. One that cannot be read is empty.
func write(out io.Writer, reader pdfium.Pdfium, document references.FPDF_DOCUMENT, pages int) error {
	empty := true
	for i := range pages {
		var text string
		page := requests.Page{ByIndex: &requests.PageByIndex{Document: document, Index: i}}
		if read, err := reader.GetPageText(&requests.GetPageText{Page: page}); err == nil {
			text = clean(read.Text)
		}
		empty = empty && strings.TrimSpace(text) == ""
		if i > 0 {
			text = "\f" + text
		}
		if _, err := io.WriteString(out, text); err != nil {
			return err
		}
	}
	if empty {
		return errEmpty
	}
	return nil
}

// clean leaves of a page's text what may be in a file of text.
func clean(text string) string {
	text = strings.ReplaceAll(strings.ToValidUTF8(text, ""), "\r\n", "\n")
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\r':
			return '\n'
		case r == '\n' || r == '\t':
			return r
		case r == '\u00ad' || r == '\ufffe' || r == '\uffff': // hyphens at the ends of lines
			return '-'
		case unicode.IsControl(r):
			return -1
		}
		return r
	}, text)
}
