package mcp

import (
	"encoding/json"
	"testing"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

// Content that is no text is described, and structured content is told once.
func TestTextOf(t *testing.T) {
	for result, want := range map[string]string{
		`{"content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}`:                                                                               "a\nb",
		`{"content":[{"type":"text","text":"{\"n\": 1}"}],"structuredContent":{"n":1}}`:                                                                     `{"n": 1}`,
		`{"content":[{"type":"text","text":"one found"}],"structuredContent":{"n":1}}`:                                                                      "one found\n{\"n\":1}",
		`{"content":[],"structuredContent":[1]}`:                                                                                                            "[1]",
		`{"content":[{"type":"image","data":"AAAA","mimeType":"image/png"}]}`:                                                                               "[an image, image/png, 3 bytes, which cannot be shown here]",
		`{"content":[{"type":"audio","data":"AAAA","mimeType":"audio/wav"}]}`:                                                                               "[a sound, audio/wav, 3 bytes, which cannot be played here]",
		`{"content":[{"type":"resource","resource":{"uri":"a:b","text":"t"}},{"type":"resource","resource":{"uri":"a:c","mimeType":"x/y","blob":"AAAA"}}]}`: "[a:b]\nt\n[the file a:c, x/y, 3 bytes, which cannot be shown here]",
		`{"content":[{"type":"resource_link","uri":"a:b","name":"n"}]}`:                                                                                     "[a link to n: a:b]",
		`{"content":null}`: "",
	} {
		var r sdk.CallToolResult
		if err := json.Unmarshal([]byte(result), &r); err != nil {
			t.Fatal(err)
		}
		if got := textOf(&r); got != want {
			t.Errorf("%s: got %q, want %q", result, got, want)
		}
	}
}
