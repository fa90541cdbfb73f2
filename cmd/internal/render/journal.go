package render

import (
	"fmt"
	"io"
	"time"

	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/reconcile"
	"github.com/dplaneos/dplane/state"
)

type eventsDocument struct {
	Version int           `json:"version"`
	Events  []state.Event `json:"events"`
}

// EventsJSON is the document of events: {"version": 1, "events": []}.
func EventsJSON(events []state.Event) ([]byte, error) {
	return document(eventsDocument{1, list(events)})
}

var levelColor = map[string]string{state.Warn: yellow, state.Error: red}

// EventsText writes events for people, one line each, and what went wrong below.
func EventsText(w io.Writer, events []state.Event, opt TextOptions) error {
	t := &text{opt: opt}
	if len(events) == 0 {
		t.printf("No events.\n")
	}
	for _, e := range events {
		lines := splitLines(eventLine(e))
		t.printf("%s  %s  %s\n", timeText(e.At), t.in(levelColor[e.Level], pad(clean(e.Level), 5)), lines[0])
		for _, line := range lines[1:] {
			t.printf("    %s\n", line)
		}
		if e.Action == nil {
			continue
		}
		if e.Action.Reason != "" {
			t.lines("    ", "why:", e.Action.Reason)
		}
		if e.Action.Error != "" {
			t.lines("    ", "error:", e.Action.Error)
		}
		for _, argv := range e.Action.Commands {
			t.printf("    %s\n", t.in(dim, "$ "+clean(host.Command{Argv: argv}.String())))
		}
	}
	return t.writeTo(w)
}

// eventLine names an action by what was done to what and how it ended.
func eventLine(e state.Event) string {
	a := e.Action
	if a == nil {
		return e.Message
	}
	s := fmt.Sprintf("%s: %s %s %s", a.Outcome, a.Verb, a.Kind, a.Name)
	if e.Message != "" {
		s += ": " + e.Message
	}
	if a.By != "" {
		s += " (by " + a.By + ")"
	}
	return s
}

type generation struct {
	Number int64     `json:"number"`
	Hash   string    `json:"hash"`
	At     time.Time `json:"at"`
	Who    string    `json:"who"`
	Commit string    `json:"commit"`
	Dirty  bool      `json:"dirty"`
}

type historyDocument struct {
	Version     int          `json:"version"`
	Generations []generation `json:"generations"`
}

// HistoryJSON is the document of the generations: {"version": 1, "generations": []}.
func HistoryJSON(gens []state.Generation) ([]byte, error) {
	d := historyDocument{1, []generation{}}
	for _, g := range gens {
		d.Generations = append(d.Generations, generation{g.Number, g.Hash, g.At.UTC(), g.Who, g.Commit, g.Dirty})
	}
	return document(d)
}

// HistoryText writes the generations for people, one line each.
func HistoryText(w io.Writer, gens []state.Generation, opt TextOptions) error {
	t := &text{opt: opt}
	if len(gens) == 0 {
		t.printf("No generation was recorded yet.\n")
		return t.writeTo(w)
	}
	var rows [][]string
	for _, g := range gens {
		commit := ""
		if g.Commit != "" {
			commit = "commit " + short(g.Commit)
			if g.Dirty {
				commit += ", with changes that are not committed"
			}
		}
		rows = append(rows, []string{fmt.Sprint(g.Number), short(g.Hash), timeText(g.At), clean(g.Who), commit})
	}
	t.table("", rows, nil)
	return t.writeTo(w)
}

type outcome struct {
	ID      string `json:"id"`
	Object  object `json:"object"`
	Verb    string `json:"verb"`
	Outcome string `json:"outcome"`
	Error   string `json:"error"`
}

type outcomesDocument struct {
	Version    int       `json:"version"`
	Generation string    `json:"generation"`
	Outcomes   []outcome `json:"outcomes"`
	Remaining  *plan     `json:"remaining"`
}

// OutcomesJSON is the document of an apply: what was done, and the plan of what is left.
func OutcomesJSON(s reconcile.Step) ([]byte, error) {
	d := outcomesDocument{Version: 1, Generation: s.Plan.Generation, Outcomes: []outcome{}, Remaining: newPlan(s.Remaining)}
	for _, o := range s.Outcomes {
		x := outcome{ID: o.Action.ID, Object: object{string(o.Action.Object.Kind), o.Action.Object.Name}, Verb: string(o.Action.Verb), Outcome: o.Outcome}
		if o.Err != nil {
			x.Error = o.Err.Error()
		}
		d.Outcomes = append(d.Outcomes, x)
	}
	return document(d)
}

// OutcomesText writes the end of an apply for people: how many actions ended how, and what is left.
func OutcomesText(w io.Writer, s reconcile.Step) error {
	t := &text{}
	for _, o := range s.Outcomes {
		if o.Outcome == state.Done {
			continue
		}
		t.printf("%s: %s\n", o.Outcome, clean(fmt.Sprintf("%s %s", o.Action.Verb, o.Action.Object)))
		if o.Err != nil {
			t.lines("    ", "why:", o.Err.Error())
		}
	}
	bad := s.Outcomes.Count(state.Failed, state.Skipped, state.Interrupted, state.Refused)
	line := "Applied: " + count(s.Outcomes.Count(state.Done), "action") + " done"
	if bad > 0 {
		line += fmt.Sprintf(", %d not", bad)
	}
	if n := s.Remaining.Pending(); n > 0 {
		line += fmt.Sprintf("; %s left, `dplane plan` shows why", count(n, "action"))
	}
	t.printf("%s.\n", line)
	return t.writeTo(w)
}
