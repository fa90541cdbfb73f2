package zfs_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/drivers/zfs"
	"github.com/dplaneos/dplane/state"
)

// listed are the releases whose lists were captured.
var listed = []string{"2.1.11", "2.3.9"}

// endRow is a line of the list: its type, guid, createtxg, userrefs and name; the rest is as that type mostly has it.
func endRow(kind, guid, txg, refs, name string) string {
	written, readonly := "5", "-"
	switch kind {
	case "filesystem", "volume":
		readonly = "off"
	case "bookmark":
		written = "-"
	}
	return strings.Join([]string{kind, guid, txg, "1795853426", written, "6", "7", refs, readonly, "0", "-", "-", "-", name}, "\t") + "\n"
}

func TestListEnds(t *testing.T) {
	const columns = " -t filesystem,volume,snapshot,bookmark -o type,guid,createtxg,creation,written,used,referenced,userrefs,readonly,inconsistent,receive_resume_token,encryptionroot,keystatus,name "
	for _, c := range []struct {
		below bool
		want  string
	}{{false, "zfs list -Hp -d 1" + columns + "tank/a tank/b"}, {true, "zfs list -Hp -r" + columns + "tank/a tank/b"}} {
		if all := zfs.ListEnds(c.below, "tank/a", "tank/b"); len(all) != 1 || all[0].String() != c.want || all[0].Effect != host.Reads {
			t.Error(all)
		}
	}
}

func TestParseEnds(t *testing.T) {
	out := endRow("filesystem", "1", "2", "-", "tank/a") + endRow("snapshot", "11", "9", "2", "tank/a@z") + endRow("snapshot", "12", "3", "0", "tank/a@with space") +
		endRow("bookmark", "13", "8", "-", "tank/a#m") + endRow("bookmark", "12", "3", "-", "tank/a#l") +
		endRow("volume", "2", "4", "-", "tank/a/v") + endRow("snapshot", "11", "5", "0", "tank/a/v@z")
	list, err := zfs.ParseEnds([]byte(out), true, "tank/a")
	if err != nil || len(list) != 2 || list[0].Name != "tank/a" || list[1].Type != "volume" || len(list[1].Snapshots) != 1 {
		t.Fatalf("%+v, %v", list, err)
	}
	a := list[0]
	if a.GUID != "1" || a.TXG != 2 || a.Written != 5 || a.Used != 6 || a.Referenced != 7 || a.Encrypted || a.ReadOnly || a.Partial || a.Token != "" {
		t.Errorf("%+v", a)
	}
	if s := a.Snapshots; len(s) != 2 || s[0].Name != "with space" || s[1].Name != "z" || s[1].Holds != 2 || s[1].TXG != 9 || s[1].Creation.Unix() != 1795853426 || s[1].Written != 5 {
		t.Errorf("%+v", s)
	}
	if b := a.Bookmarks; len(b) != 2 || b[0].Name != "l" || b[0].GUID != "12" || b[1].Name != "m" {
		t.Errorf("%+v", b)
	}
	if list, err := zfs.ParseEnds([]byte(out[:strings.Index(out, "volume")]+endRow("volume", "2", "4", "-", "tank/a/v")), false, "tank/a"); err != nil || len(list) != 1 {
		t.Errorf("a child that comes unasked: %+v, %v", list, err)
	}
	if list, err := zfs.ParseEnds(nil, true, "tank/a"); err != nil || len(list) != 0 {
		t.Error(list, err)
	}
}

func TestParseEndsRefuses(t *testing.T) {
	fs := endRow("filesystem", "1", "2", "-", "tank/a")
	for what, bad := range map[string]string{
		"no end":                 strings.TrimSuffix(fs, "\n"),
		"twice":                  fs + fs,
		"a snapshot twice":       fs + endRow("snapshot", "11", "9", "0", "tank/a@z") + endRow("snapshot", "12", "9", "0", "tank/a@z"),
		"no dataset":             endRow("snapshot", "11", "9", "0", "tank/a@z"),
		"another dataset":        fs + endRow("filesystem", "1", "2", "-", "tank/b"),
		"one that begins alike":  fs + endRow("filesystem", "1", "2", "-", "tank/ab"),
		"one above":              fs + endRow("filesystem", "1", "2", "-", "tank"),
		"up and away":            fs + endRow("filesystem", "1", "2", "-", "tank/a/../b"),
		"an option":              fs + endRow("filesystem", "1", "2", "-", "-R"),
		"no name":                endRow("filesystem", "1", "2", "-", ""),
		"a command":              fs + endRow("snapshot", "11", "9", "0", "tank/a@$(reboot)"),
		"a semicolon":            fs + endRow("snapshot", "11", "9", "0", "tank/a@x;y"),
		"two at":                 fs + endRow("snapshot", "11", "9", "0", "tank/a@x@y"),
		"an empty snapshot":      fs + endRow("snapshot", "11", "9", "0", "tank/a@"),
		"a bookmark's type":      fs + endRow("bookmark", "11", "9", "-", "tank/a@x"),
		"a snapshot's type":      fs + endRow("snapshot", "11", "9", "0", "tank/a#x"),
		"a file system's type":   fs + endRow("filesystem", "11", "9", "-", "tank/a@x"),
		"an unknown type":        endRow("pool", "1", "2", "-", "tank/a"),
		"a long name":            fs + endRow("snapshot", "11", "9", "0", "tank/a@"+strings.Repeat("x", 250)),
		"no guid":                endRow("filesystem", "-", "2", "-", "tank/a"),
		"a guid of 0":            endRow("filesystem", "0", "2", "-", "tank/a"),
		"another form of a guid": endRow("filesystem", "01", "2", "-", "tank/a"),
		"a negative guid":        endRow("filesystem", "-1", "2", "-", "tank/a"),
		"a txg of letters":       endRow("filesystem", "1", "x", "-", "tank/a"),
		"holds without end":      fs + endRow("snapshot", "11", "9", "18446744073709551615", "tank/a@z"),
		"a far future":           strings.ReplaceAll(fs+endRow("snapshot", "11", "9", "0", "tank/a@z"), "1795853426", "9999999999999"),
		"a token that is none":   strings.Replace(fs, "0\t-\t-", "0\t-t tank\t-", 1),
		"a root that is none":    strings.Replace(fs, "0\t-\t-", "0\t-\t$(x)", 1),
		"a column less":          strings.Replace(fs, "\t-\t", "\t", 1),
		"a column more":          strings.Replace(fs, "\t-\t", "\t-\t-\t", 1),
		"a tab in a name":        endRow("filesystem", "1", "2", "-", "tank/a\tb"),
		"a newline in a name":    fs + endRow("snapshot", "1", "2", "0", "tank/a@b\nc"),
	} {
		if list, err := zfs.ParseEnds([]byte(bad), true, "tank/a"); err == nil {
			t.Errorf("%s: %+v", what, list)
		}
	}
}

// What comes of any answer has names that were asked for, each once, and is in the order of its transaction groups.
func FuzzParseEnds(f *testing.F) {
	f.Add([]byte(endRow("filesystem", "1", "2", "-", "tank/a")+endRow("snapshot", "11", "9", "2", "tank/a@z")+endRow("bookmark", "13", "8", "-", "tank/a#m")), true)
	for _, release := range listed {
		out, err := os.ReadFile(filepath.Join("testdata", release, "zfs_list_ends.txt"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(out, true)
		f.Add([]byte(strings.ReplaceAll(string(out), "src/", "tank/a/")), false)
	}
	f.Fuzz(func(t *testing.T, out []byte, below bool) {
		list, err := zfs.ParseEnds(out, below, "tank/a", "src")
		if err != nil {
			return
		}
		seen := map[string]bool{}
		for _, e := range list {
			names := []string{e.Name}
			for _, s := range e.Snapshots {
				names = append(names, e.Name+"@"+s.Name)
			}
			for _, b := range e.Bookmarks {
				names = append(names, e.Name+"#"+b.Name)
			}
			for _, n := range names {
				if seen[n] || strings.ContainsAny(n, "\t\n$;'\"<>|&`\\") || len(n) > 255 || !strings.HasPrefix(n, "tank/a") && !strings.HasPrefix(n, "src") {
					t.Errorf("%q", n)
				}
				seen[n] = true
			}
			byTXG := func(a, b state.Point) int { return int(min(max(int64(a.TXG-b.TXG), -1), 1)) }
			if e.GUID == "" || e.Type != "filesystem" && e.Type != "volume" || !slices.IsSortedFunc(e.Snapshots, byTXG) && len(e.Snapshots) < 2 || e.Token != "" && zfs.CheckToken(e.Token) != nil {
				t.Errorf("%+v", e)
			}
		}
	})
}

// What real ones print is read, and each part of it is there.
func TestParseEndsOfReleases(t *testing.T) {
	for _, release := range listed {
		out, err := os.ReadFile(filepath.Join("testdata", release, "zfs_list_ends.txt"))
		if err != nil {
			t.Fatal(err)
		}
		list, err := zfs.ParseEnds(out, true, "src", "dst")
		if err != nil || len(list) < 5 {
			t.Fatalf("%s: %d, %v", release, len(list), err)
		}
		var snapshots, bookmarks, held, partial, encrypted, volumes int
		for _, e := range list {
			snapshots, bookmarks = snapshots+len(e.Snapshots), bookmarks+len(e.Bookmarks)
			for _, s := range e.Snapshots {
				held += s.Holds
			}
			if e.Partial && e.Token != "" {
				partial++
			}
			if e.Encrypted {
				encrypted++
			}
			if e.Type == "volume" {
				volumes++
			}
		}
		if snapshots == 0 || bookmarks == 0 || held == 0 || partial == 0 || encrypted == 0 || volumes == 0 {
			t.Errorf("%s: %d snapshots, %d bookmarks, %d holds, %d partial, %d encrypted, %d volumes", release, snapshots, bookmarks, held, partial, encrypted, volumes)
		}
	}
}
