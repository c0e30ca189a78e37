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
	"path"
	"strings"
	"time"

	"parlor/protocol/chat"
	"parlor/transport/traceparent"
	"parlor/transport/webhook"
)

// maxBody limits what is read of the answer of a tool.
const maxBody = 1 << 20

// HTTP is a tool behind a URL: a call is a POST with the arguments as its body, and the
// body of the answer is the result. With OpenAPI it is the operations of a document, each a
// tool.
type HTTP struct {
	URL         string            `yaml:"url" json:"url,omitempty"`               // with OpenAPI: in place of the document's server
	OpenAPI     string            `yaml:"openapi" json:"openapi,omitempty"`       // a file or a URL
	Operations  []string          `yaml:"operations" json:"operations,omitempty"` // operationIds, * for any letters; nil: all
	Description string            `yaml:"description" json:"description,omitempty"`
	Parameters  map[string]any    `yaml:"parameters" json:"parameters,omitempty"` // JSON Schema
	Headers     map[string]string `yaml:"headers" json:"headers,omitempty"`
	Approval    chat.Approval     `yaml:"approval" json:"approval,omitempty"`
	Guide       string            `yaml:"guide" json:"guide,omitempty"` // see [Setting]

	// SecretVar names the variable with the secret, or with two of them, by which requests are
	// signed as webhooks are. Empty: they are not.
	SecretVar string `yaml:"secret_var" json:"secret_var,omitempty"`

	secrets [][]byte
}

// with returns h with what the environment has for it: the variables in its headers, and its
// secrets.
func (h HTTP) with(lookup func(string) (string, bool)) (_ HTTP, err error) {
	if h.Headers, err = Expand(h.Headers, lookup); err != nil {
		return h, fmt.Errorf("headers: %w", err)
	}
	if h.SecretVar == "" {
		return h, nil
	}
	secret := ""
	if lookup != nil {
		secret, _ = lookup(h.SecretVar)
	}
	if h.secrets, err = webhook.ParseSecrets(secret); err != nil {
		err = fmt.Errorf("secret_var: the variable %s %w", h.SecretVar, err)
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

// check returns what is wrong with the tool, besides its document.
func (h HTTP) check() error {
	u, err := url.Parse(h.URL)
	absolute := err == nil && u.Host != "" && (u.Scheme == "http" || u.Scheme == "https")
	switch {
	case !absolute && (h.OpenAPI == "" || h.URL != ""):
		return errors.New("url: must be absolute, http or https")
	case h.Approval != "" && !h.Approval.Valid():
		return errors.New("approval: must be always, ask or never")
	case len(h.Guide) > MaxGuide:
		return errLongGuide
	case h.OpenAPI == "" && h.Operations != nil:
		return errors.New("operations: are those of a document, which openapi names")
	case h.OpenAPI != "" && (h.Parameters != nil || h.Description != ""):
		return errors.New("openapi: the document has the description and the parameters")
	}
	for _, pattern := range h.Operations {
		if _, err := path.Match(pattern, ""); err != nil {
			return fmt.Errorf("operations: %q is no pattern", pattern)
		}
	}
	return nil
}

// tools returns the tools that this is.
func (h HTTP) tools(name string) ([]Tool, error) {
	if err := h.check(); err != nil {
		return nil, err
	}
	if h.OpenAPI != "" {
		return h.described(name)
	}
	t, err := h.tool(name)
	return []Tool{t}, err
}

func (h HTTP) tool(name string) (Tool, error) {
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

func (h HTTP) run(ctx context.Context, r chat.ToolRun, _ func()) (string, error) {
	return h.ask(ctx, http.MethodPost, h.URL, http.Header{}, []byte(r.Call.Arguments), r.Key)
}

// ask sends a request with the header and those of the configuration, and a body unless it is
// nil. The key of the run is its Idempotency-Key, and the id under which it is signed.
func (h HTTP) ask(ctx context.Context, method, target string, header http.Header, sent []byte, key string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, method, target, bytes.NewReader(sent))
	if err != nil {
		return "", chat.Refuse(chat.CodeInvalid, "not run: no URL can be made of the arguments")
	}
	req.Header = header
	for name, value := range h.Headers {
		req.Header.Set(name, value)
	}
	if sent != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("Idempotency-Key", key)
	req.Header.Set("User-Agent", "parlor")
	traceparent.Set(ctx, req.Header)
	if h.secrets != nil {
		webhook.Sign(req.Header, h.secrets, key, time.Now(), sent)
	}
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
