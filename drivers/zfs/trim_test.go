package zfs

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/dplaneos/dplane/state"
)

// What zpool status -t says of trims, in words and as JSON, and that it leaves no note on the devices.
func TestTrims(t *testing.T) {
	parse := func(release, file, pool string) *state.Pool {
		p := &state.Pool{Name: pool}
		var err error
		if strings.HasSuffix(file, ".json") {
			err = ParsePoolStatusJSON(golden(t, release, file), time.Unix(1795505890, 0), p)
		} else {
			err = ParsePoolStatus(golden(t, release, file), p)
		}
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	for _, c := range []struct{ release, file, pool, want string }{
		{"2.1.11", "status_trim.txt", "tank", "running true, none false, newest 0001-01-01 00:00:00"},
		{"2.3.9", "status_trim.txt", "tank", "running true, none false, newest 0001-01-01 00:00:00"},
		{"2.3.9", "status_trim.json", "tank", "running true, none false, newest 0001-01-01 00:00:00"},
		{"2.4.4", "status_trim.json", "tank", "running true, none false, newest 0001-01-01 00:00:00"},
		{"2.3.9", "status_trimmed.txt", "t", "running false, none false, newest 2026-11-24 12:01:41"},
		{"2.3.9", "status_scrub.txt", "tank", "running false, none false, newest 0001-01-01 00:00:00"},
	} {
		p := parse(c.release, c.file, c.pool)
		if got := fmt.Sprintf("running %v, none %v, newest %s", p.Trimming != nil, p.Trimless, p.Trimmed.Format(time.DateTime)); got != c.want {
			t.Errorf("%s %s: %s, want %s", c.release, c.file, got, c.want)
		}
		if s := short(p.Vdevs); strings.Contains(s, "<") {
			t.Errorf("%s %s: a note is left: %s", c.release, c.file, s)
		}
	}
	w := parse("2.3.9", "status_trim.json", "tank").Trimming // of three devices
	if w.Done != 148480000+135897088+167649280 || w.Total != 2*207187968+251539456 || w.Start.Unix() != 1795505881 {
		t.Errorf("progress: %+v", w)
	}
	table := func(notes ...string) *state.Pool {
		p := &state.Pool{Name: "t"}
		text := "  pool: t\n state: ONLINE\nconfig:\n\n\tNAME      STATE     READ WRITE CKSUM\n\tt         ONLINE       0     0     0\n"
		for i, n := range notes {
			text += fmt.Sprintf("\t  /pool/%c  ONLINE       0     0     0  %s\n", 'a'+i, n)
		}
		if err := ParsePoolStatus([]byte(text+"\nerrors: No known data errors\n"), p); err != nil {
			t.Fatal(err)
		}
		return p
	}
	if p := table("(trim unsupported)", "(trim unsupported)"); !p.Trimless || p.Trimming != nil {
		t.Errorf("no device can: %+v", p)
	}
	p := table("was /dev/x  (trim unsupported)", "(100% trimmed, completed at Wed Nov  4 02:00:09 2026)", "(5% trimmed, suspended, started at Wed Nov  4 03:00:09 2026)")
	if p.Trimless || p.Trimming != nil || !p.Trimmed.Equal(time.Date(2026, 11, 4, 3, 0, 9, 0, time.UTC)) || p.Vdevs[0].Note != "was /dev/x" || p.Vdevs[0].Path != "/dev/x" {
		t.Errorf("one can: %+v", p)
	}
}
