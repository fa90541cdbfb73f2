// Package render gives what dplane knows as text for people and as JSON for programs: one rendering
// for the command line and the status endpoint. All of it is pure.
//
// It must never look at the machine, the clock or the terminal, nor let a value that came from a
// machine or a file steer the terminal: control characters are shown, not sent.
package render

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// document encodes a JSON document, indented, with a newline at its end.
func document(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return nil, fmt.Errorf("encode document: %w", err)
	}
	return b.Bytes(), nil
}

// list is a copy that JSON shows as [], never as null.
func list[T any](in []T) []T { return append([]T{}, in...) }

type errorDocument struct {
	Error errorBody `json:"error"`
}

type errorBody struct {
	Message string `json:"message"`
	Hint    string `json:"hint"`
}

// ErrorJSON is the document of a command or request that failed: {"version": 1, "error": {"message", "hint"}}.
func ErrorJSON(message, hint string) ([]byte, error) {
	return document(struct {
		Version int `json:"version"`
		errorDocument
	}{1, errorDocument{errorBody{message, hint}}})
}
