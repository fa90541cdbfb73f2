package render

import (
	"fmt"
	"io"
	"slices"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/state"
)

// VerifiedJSON is the document of `replication verify`.
func VerifiedJSON(replication string, all []state.Verified) ([]byte, error) {
	return document(struct {
		Version     int              `json:"version"`
		Replication string           `json:"replication"`
		OK          bool             `json:"ok"`
		Datasets    []state.Verified `json:"datasets"`
	}{1, replication, !slices.ContainsFunc(all, func(v state.Verified) bool { return !v.OK() }), list(all)})
}

// VerifiedText is it for people.
func VerifiedText(w io.Writer, all []state.Verified, opt TextOptions) error {
	t := &text{opt: opt}
	for _, v := range all {
		word, color := "ok", green
		if !v.OK() {
			word, color = "failed", red
		}
		t.printf("%s  %s -> %s: %s in common\n", t.in(color, pad(word, len("failed"))), clean(v.Source), clean(v.Target), count(v.Common, "snapshot"))
		for _, f := range v.Faults {
			t.lines("       ", "", f)
		}
		for _, r := range v.Renamed {
			t.lines("       ", "", fmt.Sprintf("%s is called %s there", r.Source, r.Target))
		}
		if len(v.Missing) > 0 {
			t.lines("       ", "", "the target has not: "+drivers.Some(v.Missing))
		}
		switch d := v.Deep; {
		case d == nil:
		case d.Error != "":
			t.lines("       ", "", d.Snapshot+" can't be compared: "+d.Error)
		case d.Equal:
			t.lines("       ", "", fmt.Sprintf("%s holds the same on both ends (%s read)", d.Snapshot, bytesText(uint64(d.Bytes))))
		default:
			t.lines("       ", "", d.Snapshot+" holds something else on the target: its content differs")
		}
	}
	return t.writeTo(w)
}
