package replication

import (
	"fmt"
	"strings"
	"testing"

	"github.com/dplaneos/dplane/state"
)

// endOf reads "@name,guid" of snapshots and "#name,guid" of bookmarks, oldest first, and "+N" for bytes written after
// the one before it. A bookmark has the createtxg of the snapshot of its guid.
func endOf(text string) *state.End {
	if text == "none" {
		return nil
	}
	e := &state.End{Name: "tank/a"}
	txg, by := uint64(0), map[string]uint64{}
	for _, word := range strings.Fields(text) {
		var n uint64
		if _, err := fmt.Sscanf(word, "+%d", &n); err == nil {
			e.Written += n
			continue
		}
		name, guid, _ := strings.Cut(word[1:], ",")
		if by[guid] == 0 {
			txg += 10
			by[guid] = txg
		}
		p := state.Point{Name: name, GUID: guid, TXG: by[guid]}
		if word[0] == '#' {
			e.Bookmarks = append(e.Bookmarks, p)
			continue
		}
		p.Written, e.Written = e.Written, 0
		e.Snapshots = append(e.Snapshots, p)
	}
	return e
}

func (l leg) String() string {
	switch {
	case l.From == "":
		return "@" + l.To.Name
	case l.Between > 0:
		return l.From + ">>@" + l.To.Name
	}
	return l.From + ">@" + l.To.Name
}

func (j judgement) String() string {
	var words []string
	for _, l := range j.Legs {
		words = append(words, l.String())
	}
	if d := j.Diverged; d != nil {
		words = append(words, fmt.Sprintf("%s %d %d +%d", d.Kind, len(d.SourceOnly), len(d.TargetOnly), d.Written))
	}
	return strings.Join(words, " ")
}

func TestJudge(t *testing.T) {
	for _, c := range []struct{ name, source, target, skip, want string }{
		{"nothing there yet", "@a,1", "none", "", "@a"},
		{"all of the past", "@a,1 @b,2 @c,3", "none", "", "@a @a>>@c"},
		{"two", "@a,1 @b,2", "none", "", "@a @a>@b"},
		{"no snapshot", "", "none", "", ""},
		{"none that is wanted", "@a,1", "none", "a", ""},
		{"the same", "@a,1 @b,2", "@a,1 @b,2", "", ""},
		{"one more", "@a,1 @b,2", "@a,1", "", "@a>@b"},
		{"many more", "@a,1 @b,2 @c,3 @d,4", "@a,1", "", "@a>>@d"},
		{"from a bookmark", "#x,1 @b,2", "@a,1", "", "#x>@b"},
		{"from a bookmark, and on", "#x,1 @b,2 @c,3 @d,4", "@a,1", "", "#x>@b @b>>@d"},
		{"a snapshot rather than its bookmark", "#x,1 @a,1 @b,2 @c,3", "@a,1", "", "@a>>@c"},
		{"a newer bookmark than the common snapshot", "@a,1 #x,2 @c,3", "@a,1 @b,2", "", "#x>@c"},
		{"names don't matter", "@other,1 @b,2", "@a,1", "", "@other>@b"},
		{"nor does the same name", "@a,1 @b,2", "@b,1 @a,2", "", ""},
		{"left out at the end", "@a,1 @b,2 @c,3", "@a,1", "c", "@a>@b"},
		{"left out between", "@a,1 @b,2 @c,3 @d,4 @e,5", "@a,1", "c", "@a>@b @b>@d @d>@e"},
		{"left out at the begin", "@a,1 @b,2 @c,3 @d,4", "@a,1", "b", "@a>@c @c>@d"},
		{"left out at the begin of all", "@a,1 @b,2 @c,3", "none", "a", "@b @b>@c"},
		{"a basis that is not wanted", "@a,1 @b,2", "@a,1", "a", "@a>@b"},
		{"nothing in common", "@a,1 @b,2", "@x,8 @y,9", "", "unrelated 2 2 +0"},
		{"no snapshot there", "@a,1", "", "", "occupied 1 0 +0"},
		{"no snapshot there, and data", "@a,1", "+7", "", "occupied 1 0 +7"},
		{"rolled back at the source", "@a,1 @b2,4", "@a,1 +1 @b,2 @c,3", "", "branched 1 2 +0"},
		{"written to at the target", "@a,1 @b,2", "@a,1 +5", "", "modified 1 0 +5"},
		{"written to, and nothing to send", "@a,1", "@a,1 +5", "", "modified 0 0 +5"},
		{"a snapshot of its own, and nothing written", "@a,1 @b,2", "@a,1 @own,9", "", "@a>@b"},
		{"a snapshot of its own, with data", "@a,1 @b,2", "@a,1 +1 @own,9", "", "branched 1 1 +0"},
		{"a snapshot of its own long ago", "@a,1 @b,2 @c,3", "@a,1 @own,9 @b,2", "", "@b>@c"},
		{"the target is ahead by what is gone at the source", "@a,1", "@a,1 +1 @b,2", "", "branched 0 1 +0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			wanted := func(p state.Point) bool { return !strings.Contains(c.skip, p.Name) }
			if got := judge(endOf(c.source), endOf(c.target), wanted, false).String(); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
	all := func(state.Point) bool { return true }
	if got := judge(endOf("@a,1 @b,2"), endOf("@a,1 @own,9"), all, true).String(); got != "branched 1 1 +0" {
		t.Errorf("raw, on top of a snapshot of its own: %s", got)
	}
}
