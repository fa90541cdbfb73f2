package render

import (
	"cmp"
	"io"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/reconcile"
)

// NotSentText says what of a replication is not sent: what waits for a person, what is blocked, and what waits for
// something else, with what can be done.
func NotSentText(w io.Writer, name string, left *reconcile.Plan) error {
	t := &text{}
	t.printf("%s: this is not sent:\n", clean(name))
	for _, a := range left.Actions {
		if a.Verb == drivers.Blocked {
			t.lines("  ", "blocked:", a.Object.Name+": "+a.Reason.Observed)
			for _, n := range a.Notes {
				t.lines("    ", "-", n)
			}
		} else if a.Verb != drivers.Update { // the ways out of what is blocked are told there
			t.lines("  ", "waits:", cmp.Or(a.Held, a.Reason.Observed))
			for _, n := range a.Notes {
				t.lines("    ", "-", n)
			}
		}
	}
	for _, n := range left.Notices {
		t.lines("  ", "waits:", n)
	}
	return t.writeTo(w)
}
