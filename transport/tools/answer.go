package tools

import (
	"encoding/json"
	"net/http"
)

// Answer answers a request with JSON, which nothing on its way may keep.
func Answer(w http.ResponseWriter, body map[string]any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write(text) // fails only when the client is gone
	return nil
}
