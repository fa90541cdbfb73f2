package zfs_test

import (
	"math"
	"strings"
	"testing"

	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/drivers/zfs"
	"github.com/dplaneos/dplane/state"
)

func TestStreamCommands(t *testing.T) {
	for _, c := range []struct {
		s    zfs.Stream
		want string
	}{
		{zfs.Stream{Snapshot: "tank/a@1"}, "zfs send -P -v tank/a@1"},
		{zfs.Stream{Snapshot: "tank/a@2", From: "@1"}, "zfs send -P -v -i @1 tank/a@2"},
		{zfs.Stream{Snapshot: "tank/a@2", From: "#b", Raw: true}, "zfs send -P -v -w -i #b tank/a@2"},
		{zfs.Stream{Snapshot: "tank/a@3", From: "tank/a@1", Between: true, Compressed: true, LargeBlocks: true, Embedded: true}, "zfs send -P -v -L -c -e -I tank/a@1 tank/a@3"},
		{zfs.Stream{Snapshot: "tank/a@3", Between: true}, "zfs send -P -v tank/a@3"},
	} {
		send, estimate := c.s.Send(), c.s.Estimate()
		if send.String() != c.want || send.Effect != host.Reads {
			t.Errorf("%+v: %s", c.s, send)
		}
		if want := strings.Replace(c.want, "send", "send -n", 1); estimate.String() != want || estimate.Effect != host.Reads {
			t.Errorf("%+v: %s", c.s, estimate)
		}
	}
	receive := zfs.Receive("tank/b", map[string]string{"readonly": "on", "dplane:x": "a b"}, []string{"mountpoint", "quota"})
	if got := receive.String(); got != "zfs receive -s -u -o 'dplane:x=a b' -o readonly=on -x mountpoint -x quota tank/b" || receive.Effect != host.Writes {
		t.Error(got)
	}
	if c := zfs.DiscardPartial("tank/b"); c.String() != "zfs receive -A tank/b" || c.Effect != host.Writes {
		t.Error(c)
	}
}

func TestParseEstimate(t *testing.T) {
	for _, c := range []struct {
		out   string
		bytes int64
		known bool
	}{
		{"full\ttank/a@1\t5297968\nsize\t5297968\n", 5297968, true},
		{"incremental\t1\ttank/a@2\t3187632\nincremental\t2\ttank/a@3\t2137584\nsize\t5325216\n", 5325216, true},
		{"resume token contents:\nnvlist version: 0\n\tobject = 0x2\nfull\ttank/a@1\t2799112\nsize\t2799112\n", 2799112, true},
		{"size\t0\n", 0, true},
		{"", 0, false},
		{"full\ttank/a@1\n", 0, false},
		{"size\t18446744073170717728\n", 0, false}, // it wrapped
		{"size\t-1\n", 0, false},
		{"size\t\n", 0, false},
		{"size\t2.67M\n", 0, false},
	} {
		if n, known := zfs.ParseEstimate([]byte(c.out)); n != c.bytes || known != c.known {
			t.Errorf("%q: %d, %v", c.out, n, known)
		}
	}
}

func TestSendProgress(t *testing.T) {
	for line, want := range map[string]int64{
		"08:10:40\t3024704\tsrc/a@1":              3024704,
		"08:13:31\t134256\tsrc/empty@with sp\n":   134256,
		"full\tsrc/a@1\t5297968":                  -1,
		"incremental\tsrc/a@1\tsrc/a@2\t3187632":  -1,
		"size\t5297968":                           -1,
		"08:10:40\t18446744073709551615\tsrc/a@1": -1,
		"08:10:40\t3M\tsrc/a@1":                   -1,
		"warning: cannot send 'a@1': Broken pipe": -1,
		"\tobject = 0x2":                          -1,
		"":                                        -1,
		"08:10:40\t12":                            -1,
	} {
		if n, ok := zfs.SendProgress(line); ok != (want >= 0) || ok && n != want {
			t.Errorf("%q: %d, %v", line, n, ok)
		}
	}
}

const token = "1-cb4b038e6-d8-789c636064000310a501c49c50360710a715e5e7a69766a63040c19522fdb9596ab70e2a00d9ec48eaf293b252934b18"

func TestCheckToken(t *testing.T) {
	if c, err := (zfs.Stream{}).Resume(token); err != nil || c.String() != "zfs send -P -v -t "+token || c.Effect != host.Reads {
		t.Error(c, err)
	}
	if c, err := (zfs.Stream{Snapshot: "tank/a@1", From: "@0", Raw: true, Compressed: true}).Resume(token); err != nil || c.String() != "zfs send -P -v -w -c -t "+token {
		t.Error(c, err)
	}
	if c, err := zfs.DescribeToken(token); err != nil || c.String() != "zfs send -n -P -v -t "+token || c.Effect != host.Reads {
		t.Error(c, err)
	}
	for _, bad := range []string{
		"", "-", "---", "1-2-3", "1-2-3-4-5", "-t", "--help", "1-2-3-4\n", " 1-2-3-4", "1-2-3-4 tank/a", "1-2-3-G", "1-A-3-4", "1-2-3-$(reboot)", "1-2-3-;", "1-2-3-<x",
		"1-2-3-" + strings.Repeat("0", 9000),
	} {
		if err := zfs.CheckToken(bad); err == nil {
			t.Errorf("%.30q is a token", bad)
		}
		if _, err := (zfs.Stream{}).Resume(bad); err == nil {
			t.Errorf("%.30q is resumed", bad)
		}
		if _, err := zfs.DescribeToken(bad); err == nil {
			t.Errorf("%.30q is described", bad)
		}
	}
}

// What 2.1.11 and 2.3.9 print.
const tokenContents = "resume token contents:\nnvlist version: 0\n\tfromguid = 0xc1da266a9d2f72d4\n\tobject = 0x80\n\toffset = 0x140000\n\tbytes = 0x1626b8\n\ttoguid = 0x964cb8341543e80a\n\ttoname = src/a@2\n" +
	"\tlargeblockok = 1\n\tembedok = 1\n\tcompressok = 1\n\trawok = 1\nincremental\tsrc/a@1\tsrc/a@2\t1735928\nsize\t1735928\n"

func TestParseToken(t *testing.T) {
	got, err := zfs.ParseToken([]byte(tokenContents))
	want := state.Token{ToName: "src/a@2", ToGUID: "10830233737753782282", FromGUID: "13968519433588536020", Bytes: 0x1626b8, Object: 0x80, Offset: 0x140000, Raw: true, Compressed: true, LargeBlocks: true, Embedded: true}
	if err != nil || got != want {
		t.Errorf("%+v, %v", got, err)
	}
	if n, known := zfs.ParseEstimate([]byte(tokenContents)); n != 1735928 || !known {
		t.Error(n, known)
	}
	full := "resume token contents:\nnvlist version: 0\n\tobject = 0x2\n\toffset = 0x0\n\tbytes = 0x1\n\ttoguid = 0x1\n\ttoname = src/a b@c d\n"
	if got, err := zfs.ParseToken([]byte(full)); err != nil || got != (state.Token{ToName: "src/a b@c d", ToGUID: "1", Bytes: 1, Object: 2}) {
		t.Errorf("%+v, %v", got, err)
	}
	for what, bad := range map[string]string{
		"nothing":          "",
		"no head":          strings.TrimPrefix(full, "resume token contents:\n"),
		"no name":          strings.Replace(full, "\ttoname = src/a b@c d\n", "", 1),
		"no guid":          strings.Replace(full, "\ttoguid = 0x1\n", "", 1),
		"no bytes":         strings.Replace(full, "\tbytes = 0x1\n", "", 1),
		"a guid of 0":      strings.Replace(full, "toguid = 0x1", "toguid = 0x0", 1),
		"twice":            full + "\ttoguid = 0x2\n",
		"a dataset":        strings.Replace(full, "@c d", "", 1),
		"a name with more": strings.Replace(full, "@c d", "@c$(d)", 1),
		"decimal":          strings.Replace(full, "0x2", "2", 1),
		"too large":        strings.Replace(full, "0x2", "0x10000000000000000", 1),
		"what is unknown":  full + "\tredact_snaps = 0x1\n",
		"a false flag":     full + "\trawok = 0\n",
	} {
		if got, err := zfs.ParseToken([]byte(bad)); err == nil {
			t.Errorf("%s: %+v", what, got)
		}
	}
}

// Whatever a far side's token says: what is read of it are a snapshot's name and guids that can be compared.
func FuzzParseToken(f *testing.F) {
	f.Add([]byte(tokenContents))
	f.Add([]byte("resume token contents:\nnvlist version: 0\n\tobject = 0x2\n\toffset = 0x0\n\tbytes = 0x1\n\ttoguid = 0x1\n\ttoname = a@b\n"))
	f.Fuzz(func(t *testing.T, out []byte) {
		got, err := zfs.ParseToken(out)
		if err != nil {
			return
		}
		if strings.Count(got.ToName, "@") != 1 || strings.ContainsAny(got.ToName, "\t\n$;'\"<>|&`\\") || strings.HasPrefix(got.ToName, "-") || len(got.ToName) > 255 || got.ToGUID == "" || got.ToGUID == "0" || got.FromGUID == "0" {
			t.Errorf("%+v", got)
		}
	})
}

func FuzzSendProgress(f *testing.F) {
	f.Add("08:10:40\t3024704\tsrc/a@1")
	f.Add("size\t3024704")
	f.Fuzz(func(t *testing.T, line string) {
		if n, _ := zfs.SendProgress(line); n < 0 {
			t.Errorf("%q: %d", line, n)
		}
		if n, known := zfs.ParseEstimate([]byte(line)); n < 0 || n > math.MaxInt64/2+1 || !known && n != 0 {
			t.Errorf("%q: %d", line, n)
		}
	})
}

// What a receive says of properties counts where it was told to set them, on that target, and nothing else counts.
func TestUnset(t *testing.T) {
	stderr := "cannot receive canmount property on tank/b: permission denied\ncannot receive readonly property on tank/b: permission denied\n" +
		"cannot receive mountpoint property on tank/b: permission denied\ncannot receive reservation property on tank/b: size is greater than available space\n" +
		"cannot receive quota property on tank/c: permission denied\ncannot receive new filesystem stream: permission denied\nreadonly\n"
	set := map[string]string{"canmount": "noauto", "readonly": "on", "quota": "1G", "reservation": "10T"}
	got := zfs.Unset([]byte(stderr), "tank/b", set)
	if len(got) != 3 || got["canmount"] != "permission denied" || got["readonly"] != "permission denied" || got["reservation"] != "size is greater than available space" {
		t.Errorf("%v", got)
	}
	if got := zfs.Unset(nil, "tank/b", set); len(got) != 0 {
		t.Errorf("%v", got)
	}
}
