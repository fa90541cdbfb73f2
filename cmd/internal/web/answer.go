package web

import (
	"encoding/json"
	"net/http"

	"github.com/dplaneos/dplane/cmd/internal/render"
)

// send answers with a JSON document.
func send(w http.ResponseWriter, doc []byte, err error) {
	if err != nil {
		fail(w, http.StatusInternalServerError, err.Error(), "look at the daemon's log")
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(doc) // a client that went away is no concern of ours
}

// fail answers with {"error": {"message", "hint"}}.
func fail(w http.ResponseWriter, code int, message, hint string) {
	doc, err := render.ErrorJSON(message, hint)
	if err != nil {
		http.Error(w, message, code)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = w.Write(doc)
}

func answer(w http.ResponseWriter, code int, doc map[string]any) {
	b, err := json.Marshal(doc)
	if err != nil {
		fail(w, http.StatusInternalServerError, err.Error(), "")
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = w.Write(append(b, '\n'))
}
