package zfs_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/drivers/zfs"
)

func TestHoldCommands(t *testing.T) {
	var names []string
	for range 12_000 {
		names = append(names, "tank/"+strings.Repeat("x", 100)+"@"+strings.Repeat("y", 100))
	}
	for _, all := range [][]host.Command{zfs.Hold("dplane:x", names), zfs.Release("dplane:x", names), zfs.ListHolds(names)} {
		n := 0
		for _, c := range all {
			n += len(c.Argv) - 3
			if size := len(c.String()); size > 127<<10 { // over SSH it is one word
				t.Errorf("a command of %d bytes", size)
			}
		}
		if n != len(names) || len(all) > 22 {
			t.Errorf("%d names in %d commands", n, len(all))
		}
	}
	if got := zfs.Hold("k", []string{"tank/a@1", "tank/b@2"})[0].String(); got != "zfs hold k tank/a@1 tank/b@2" {
		t.Error(got)
	}
	if got := zfs.Bookmark("tank/a@1", "b").String(); got != "zfs bookmark tank/a@1 tank/a#b" {
		t.Error(got)
	}
	if got := zfs.DestroyBookmark("tank/a", "b").String(); got != "zfs destroy tank/a#b" {
		t.Error(got)
	}
}

func TestParseHolds(t *testing.T) {
	const date = "\tSat Nov 28 08:11 2026\n"
	held := zfs.ParseHolds([]byte("src/a@3\tdplane:y" + date + "src/a@3\tdplane x" + date + "src/a b@4\tdplane:y" + date))
	if len(held) != 2 || !slices.Equal(held["src/a@3"], []string{"dplane:y", "dplane x"}) || !slices.Equal(held["src/a b@4"], []string{"dplane:y"}) {
		t.Errorf("%v", held)
	}
	for _, bad := range []string{"src/a@4\n", "src/a@4\tx\n", "src/a@4\tx\ty\tz\n", "src/a\tx\ty\n", "-r\tx\ty\n", "src/a@4\t\ty\n", "src/a@3\tx" + date} {
		if held := zfs.ParseHolds([]byte(bad + "src/a@3\tx" + date)); len(held) != 1 || !slices.Equal(held["src/a@3"], []string{"x"}) {
			t.Errorf("%q: %v", bad, held)
		}
	}
}

// A failed hold or release is well where each thing that it names is as it was to be.
func TestHeldAlready(t *testing.T) {
	const held, notHeld, gone = "cannot hold snapshot 'src/a@3': tag already exists on this dataset\n",
		"cannot release hold from snapshot 'src/a@3': no such tag on this dataset\n", "cannot hold snapshot 'src/a@gone': dataset does not exist\n"
	for _, c := range []struct {
		text           string
		held, released bool
	}{
		{held, true, false}, {held + held, true, false}, {held + gone, false, false}, {gone, false, true}, {"", false, false},
		{notHeld, false, true}, {notHeld + "cannot release hold from snapshot 'src/a@gone': dataset does not exist\n", false, true},
		{notHeld + "cannot release: permission denied\n", false, false},
		{held + "something else\n", false, false},
	} {
		err := &host.ExitError{Code: 1, Stderr: c.text}
		if zfs.AllHeld(err) != c.held || zfs.AllReleased(err) != c.released {
			t.Errorf("%q: %v, %v", c.text, zfs.AllHeld(err), zfs.AllReleased(err))
		}
	}
	if zfs.AllHeld(host.ErrTimeout) || zfs.AllReleased(host.ErrTimeout) || !zfs.AllHeld(nil) || !zfs.AllReleased(nil) {
		t.Error("only what zfs says is believed")
	}
}

func FuzzParseHolds(f *testing.F) {
	f.Add([]byte("src/a@3\tdplane:y\tSat Nov 28 08:11 2026\nsrc/a@3\tdplane x\tSat Nov 28 08:11 2026\n"))
	f.Fuzz(func(t *testing.T, out []byte) {
		for name, tags := range zfs.ParseHolds(out) {
			if strings.Count(name, "@") != 1 || len(tags) == 0 || slices.Contains(tags, "") {
				t.Errorf("%q: %q", name, tags)
			}
		}
	})
}
