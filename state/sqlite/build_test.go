package sqlite

import (
	"go/build"
	"strings"
	"testing"
)

// Without cgo or the tag the package must not compile, and the message must say what to do; with both,
// the guards must be out of the way (this test runs) and the library complete.
func TestGuards(t *testing.T) {
	plain := build.Default
	plain.BuildTags, plain.CgoEnabled = nil, false
	full := build.Default
	full.BuildTags, full.CgoEnabled = []string{"sqlite_fts5"}, true
	for _, file := range []string{"needs_cgo.go", "needs_fts5.go"} {
		if in, err := plain.MatchFile(".", file); !in || err != nil {
			t.Errorf("%s does not guard a plain build: %v", file, err)
		}
		if in, err := full.MatchFile(".", file); in || err != nil {
			t.Errorf("%s stops a full build: %v", file, err)
		}
	}
	var on bool
	if err := open(t).r.QueryRow("SELECT sqlite_compileoption_used('ENABLE_FTS5')").Scan(&on); err != nil || !on {
		t.Errorf("full-text search is missing: %v", err)
	}
	if v := LibraryVersion(); !strings.HasPrefix(v, "3.") {
		t.Errorf("version %q", v)
	}
}
