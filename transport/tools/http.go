package tools

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"

	"parlor/protocol/chat"
)

// maxBody limits what is read of the answer of a tool.
const maxBody = 1 << 20

// HTTP is a tool behind a URL: a call is a POST with the arguments as its body, and the
// body of the answer is the result.
type HTTP struct {
	URL         string            `yaml:"url" json:"url"`
	Description string            `yaml:"description" json:"description,omitempty"`
	Parameters  map[string]any    `yaml:"parameters" json:"parameters,omitempty"` // JSON Schema
	Headers     map[string]string `yaml:"headers" json:"headers,omitempty"`
	Approval    chat.Approval     `yaml:"approval" json:"approval,omitempty"`
}

// with returns h with the variables in its headers replaced.
func (h HTTP) with(lookup func(string) (string, bool)) (HTTP, error) {
	var missing []string
	headers := make(map[string]string, len(h.Headers))
	for name, value := range h.Headers {
		headers[name] = os.Expand(value, func(variable string) string {
			if lookup != nil {
				if v, set := lookup(variable); set {
					return v
				}
			}
			missing = append(missing, variable)
			return ""
		})
	}
	h.Headers = headers
	if missing != nil {
		return h, fmt.Errorf("headers: not set in the environment: %s", strings.Join(missing, ", "))
	}
	return h, nil
}

func (h HTTP) tool(name string) (tool, error) {
	u, err := url.Parse(h.URL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return tool{}, errors.New("url: must be absolute, http or https")
	}
	if h.Approval != "" && !h.Approval.Valid() {
		return tool{}, errors.New("approval: must be always, ask or never")
	}
	schema, err := json.Marshal(h.Parameters)
	if err != nil {
		return tool{}, fmt.Errorf("parameters: %w", err)
	}
	if h.Parameters == nil {
		schema = json.RawMessage(`{"type":"object"}`)
	}
	return tool{
		Tool:     chat.Tool{Name: name, Description: h.Description, Schema: schema},
		approval: h.Approval,
		run:      h.run,
	}, nil
}

// client follows no redirects: they would carry the headers elsewhere.
var client = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

// run asks the tool. The key of the run is its Idempotency-Key.
func (h HTTP) run(ctx context.Context, r chat.ToolRun) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.URL, strings.NewReader(r.Call.Arguments))
	if err != nil {
		return "", err
	}
	for name, value := range h.Headers {
		req.Header.Set(name, value)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Idempotency-Key", r.Key)
	req.Header.Set("User-Agent", "parlor")
	resp, err := client.Do(req)
	if err != nil {
		return "", chat.Refuse(chat.CodeInternal, "the tool cannot be reached")
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	if err != nil {
		return "", chat.Refuse(chat.CodeInternal, "the answer of the tool was cut off")
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return "", chat.Refuse(chat.CodeInternal, fmt.Sprintf("the tool answered %d: %s", resp.StatusCode, bytes.TrimSpace(body)))
	}
	return string(body), nil
}
