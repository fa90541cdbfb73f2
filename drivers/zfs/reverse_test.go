package zfs

import (
	"strings"
	"testing"

	"github.com/dplaneos/dplane/drivers/host"
)

func TestReverse(t *testing.T) {
	for _, tc := range []struct{ command, answer, back string }{
		{"zfs set compression=lz4 t/a", "guid\t7\t-\ncompression\tzstd\tlocal\n", "zfs set compression=zstd t/a"},
		{"zfs set compression=lz4 t/a", "guid\t7\t-\ncompression\ton\tdefault\n", "zfs inherit compression t/a"},
		{"zfs set compression=lz4 t/a", "guid\t7\t-\ncompression\tzstd\tinherited from t\n", "zfs inherit compression t/a"},
		{"zfs set compression=lz4 t/a", "guid\t7\t-\ncompression\tgzip\treceived\n", "zfs inherit -S compression t/a"},
		{"zfs set quota=1G t/a", "guid\t7\t-\nquota\t0\tdefault\n", "zfs inherit -S quota t/a"},
		{"zfs set quota=1G t/a", "guid\t7\t-\nquota\t0\tlocal\n", "zfs set quota=none t/a"},
		{"zfs set a:b=c t/a", "guid\t7\t-\na:b\t-\t-\n", "zfs inherit a:b t/a"},
		{"zfs set a:b=c t/a", "guid\t7\t-\na:b\tx\ty\nz\tlocal\n", "zfs set 'a:b=x\ty\nz' t/a"},
		{"zfs inherit -S atime t/a", "guid\t7\t-\natime\toff\tlocal\n", "zfs set atime=off t/a"},
		{"zfs set atime=off t/a", "guid\t7\t-\natime\toff\ttemporary\n", ""},
		{"zpool set comment=x t", "guid\t7\t-\ncomment\told\tlocal\n", "zpool set comment=old t"},
		{"zpool set comment=x t", "guid\t7\t-\ncomment\t-\tdefault\n", "zpool set comment= t"},
		{"zpool set comment=x t", "guid\t7\t-\ncomment\t-\tlocal\n", "zpool set comment=- t"},
		{"zpool set autotrim=on t", "guid\t7\t-\nautotrim\toff\tdefault\n", "zpool set autotrim=off t"},
		{"zfs mount t/a", "guid\t7\t-\nmounted\tno\t-\n", "zfs unmount t/a"},
		{"zfs unmount t/a", "guid\t7\t-\nmounted\tyes\t-\n", "zfs mount t/a"},
		{"zfs rename -u t/a t/b", "t/a\t7\n", "zfs rename -u t/b t/a"},
	} {
		r := Reverse(host.Write(strings.Fields(tc.command)...))
		if len(r) != 1 || r[0].Read.Effect != host.Reads {
			t.Errorf("%s: %+v", tc.command, r)
			continue
		}
		var lines []string
		for _, c := range r[0].Back(tc.answer) {
			lines = append(lines, c.String())
		}
		if got := strings.Join(lines, "; "); got != tc.back {
			t.Errorf("%s after %q: %s, want %s", tc.command, tc.answer, got, tc.back)
		}
	}
	if r := Reverse(host.Write("zfs", "set", "a:b=c", "atime=off", "t/a")); len(r) != 2 {
		t.Errorf("each property has its own: %+v", r)
	}
	for _, line := range []string{
		"zfs create t/a", "zfs destroy t/a", "zfs set volsize=1G t/v", "zfs rename t/a@x t/a@y", "zpool add t /dev/a", "zpool create t /dev/a",
		"zfs change-key t/a", "zfs promote t/a", "zpool set feature@x=enabled t", "zpool scrub t", "wipefs -a /dev/a", "zfs mount -a",
	} {
		if r := Reverse(host.Write(strings.Fields(line)...)); r != nil {
			t.Errorf("%s is said to be taken back by %+v", line, r)
		}
	}
}
