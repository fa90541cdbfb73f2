package render

import (
	"io"
	"slices"

	"github.com/dplaneos/dplane/state"
)

// ChecksJSON is the document of `replication test`.
func ChecksJSON(replication string, all []state.Check) ([]byte, error) {
	return document(struct {
		Version     int           `json:"version"`
		Replication string        `json:"replication"`
		OK          bool          `json:"ok"`
		Checks      []state.Check `json:"checks"`
	}{1, replication, !slices.ContainsFunc(all, func(c state.Check) bool { return c.State == state.CheckFailed }), list(all)})
}

var checkColor = map[string]string{state.CheckOK: green, state.CheckWarning: yellow, state.CheckFailed: red, state.CheckSkipped: dim}

// ChecksText is it for people: a line for each, and below what did not pass what to do.
func ChecksText(w io.Writer, all []state.Check, opt TextOptions) error {
	t := &text{opt: opt}
	for _, c := range all {
		t.printf("%s  %s  %s\n", t.in(checkColor[c.State], pad(clean(c.State), len(state.CheckSkipped))), pad(clean(c.Name), len("authentication")), clean(c.Detail))
		if c.Hint != "" {
			t.lines("         ", "", c.Hint)
		}
	}
	return t.writeTo(w)
}
