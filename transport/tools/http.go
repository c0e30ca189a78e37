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
	Guide       string            `yaml:"guide" json:"guide,omitempty"` // see [Setting]
}

// with returns h with the variables in its headers replaced.
func (h HTTP) with(lookup func(string) (string, bool)) (_ HTTP, err error) {
	if h.Headers, err = Expand(h.Headers, lookup); err != nil {
		err = fmt.Errorf("headers: %w", err)
	}
	return h, err
}

// Expand returns values with the variables in them replaced, each written as ${NAME}.
func Expand(values map[string]string, lookup func(string) (string, bool)) (map[string]string, error) {
	var missing []string
	expanded := make(map[string]string, len(values))
	for name, value := range values {
		expanded[name] = os.Expand(value, func(variable string) string {
			if lookup != nil {
				if v, set := lookup(variable); set {
					return v
				}
			}
			missing = append(missing, variable)
			return ""
		})
	}
	if missing != nil {
		return expanded, fmt.Errorf("not set in the environment: %s", strings.Join(missing, ", "))
	}
	return expanded, nil
}

func (h HTTP) tool(name string) (Tool, error) {
	u, err := url.Parse(h.URL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return Tool{}, errors.New("url: must be absolute, http or https")
	}
	if h.Approval != "" && !h.Approval.Valid() {
		return Tool{}, errors.New("approval: must be always, ask or never")
	}
	if len(h.Guide) > MaxGuide {
		return Tool{}, errLongGuide
	}
	schema, err := json.Marshal(h.Parameters)
	if err != nil {
		return Tool{}, fmt.Errorf("parameters: %w", err)
	}
	if h.Parameters == nil {
		schema = json.RawMessage(`{"type":"object"}`)
	}
	return Tool{
		Tool:     chat.Tool{Name: name, Description: h.Description, Schema: schema, Guide: h.Guide},
		Approval: h.Approval,
		Run:      h.run,
	}, nil
}

// client follows no redirects: they would carry the headers elsewhere.
var client = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

// run asks the tool. The key of the run is its Idempotency-Key.
func (h HTTP) run(ctx context.Context, r chat.ToolRun, _ func()) (string, error) {
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
