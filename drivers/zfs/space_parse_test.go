package zfs

import (
	"os"
	"testing"
)

// The space of top-level vdevs is the same in what each release prints, of a single device as well.
func TestParseSpace(t *testing.T) {
	for _, release := range []string{"2.1.11", "2.3.9", "2.4.4"} {
		out, err := os.ReadFile("testdata/" + release + "/zpool_list_-HpvP_tank.txt")
		if err != nil {
			t.Fatal(err)
		}
		got, err := ParseSpace("tank", out)
		if err != nil || got["mirror-0"] != 251658240 || got["/pool/l.img"] != 251658240 || got["/pool/a.img"] != 0 {
			t.Errorf("%s: %v, %v", release, got, err)
		}
	}
	if _, err := ParseSpace("tank", []byte("other\t1\t2\t3\t-\t-\t4\n")); err == nil {
		t.Error("another pool's lines are taken")
	}
	if got := ParseAshift([]byte("mirror-0\t12\n/pool/l.img\t9\n")); got["mirror-0"] != 12 || got["/pool/l.img"] != 9 {
		t.Error(got)
	}
}
