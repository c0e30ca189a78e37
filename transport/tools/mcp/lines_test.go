package mcp

import (
	"io"
	"log/slog"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
)

type nowhere struct{ io.Writer }

func (nowhere) Close() error { return nil }

// Of all that a server writes, its messages are read and the rest is dropped.
func FuzzLines(f *testing.F) {
	f.Add("")
	f.Add("Welcome!\n{}\n[]\nnull\n{\"jsonrpc\":\"2.0\"}\n")
	f.Add("{\"jsonrpc\":\"2.0\",\"id\":1,\"res")
	f.Fuzz(func(t *testing.T, said string) {
		const good = `{"jsonrpc":"2.0","id":7,"result":{}}`
		l := newLines(io.NopCloser(strings.NewReader(said+"\n"+good+"\n")), nowhere{io.Discard}, slog.New(slog.DiscardHandler))
		defer l.Close()
		var last jsonrpc.Message
		for {
			m, err := l.Read(t.Context())
			if err == io.EOF {
				break
			}
			if err != nil || m == nil {
				t.Fatalf("got %v, %v", m, err)
			}
			last = m
		}
		id, _ := jsonrpc.MakeID(float64(7))
		if r, is := last.(*jsonrpc.Response); !is || r.ID != id {
			t.Errorf("the message behind it was lost; got %v", last)
		}
	})
}
