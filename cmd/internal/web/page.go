package web

import (
	"bytes"
	_ "embed"
	"html/template"
	"net/http"
	"time"

	"github.com/dplaneos/dplane/cmd/internal/render"
	"github.com/dplaneos/dplane/state"
)

//go:embed page.html
var pageText string

// pageTemplate escapes all values for their place in the page; it needs no script.
func pageTemplate() *template.Template {
	return template.Must(template.New("page").Funcs(template.FuncMap{
		"time": func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") },
	}).Parse(pageText))
}

type pageData struct {
	Status *render.Status
	Plan   string
	Query  string
	Events []state.Event
}

// pageEvents is the number of events on the page.
const pageEvents = 50

// page is for people. What can't be read is said on it.
func (h *Handler) page(w http.ResponseWriter, r *http.Request) {
	rec, err := h.store.Record(r.Context())
	d := pageData{Status: render.NewStatus(rec, h.clock.Now()), Query: r.URL.Query().Get("q")}
	note := func(err error) {
		if err != nil {
			d.Status.Errors = append(d.Status.Errors, render.StatusError{Message: err.Error()})
		}
	}
	note(err)
	d.Events, err = h.store.Events(r.Context(), d.Query, pageEvents)
	note(err)
	if rec != nil && len(rec.Plan) > 0 {
		var b bytes.Buffer
		note(render.RecordedPlanText(&b, rec.Plan, render.TextOptions{Commands: true}))
		d.Plan = b.String()
	}
	var b bytes.Buffer
	if err := h.html.Execute(&b, d); err != nil {
		fail(w, http.StatusInternalServerError, err.Error(), "look at the daemon's log")
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(b.Bytes())
}
