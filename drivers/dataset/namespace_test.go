package dataset

import (
	"reflect"
	"testing"
)

// As find prints them: 1 and 700 are in dplane's namespace, 7 ended, the others are containers.
func TestOtherNamespaces(t *testing.T) {
	const out = "/proc/1/ns/mnt\tmnt:[10]\n/proc/7/ns/mnt\t\n/proc/912/ns/mnt\tmnt:[30]\n/proc/88/ns/mnt\tmnt:[30]\n/proc/90/ns/mnt\tmnt:[20]\n/proc/700/ns/mnt\tmnt:[10]\n"
	if got := otherNamespaces(out + "/proc/self/ns/mnt\tmnt:[10]\n"); !reflect.DeepEqual(got, []string{"90", "88"}) {
		t.Errorf("%q", got)
	}
	if got := otherNamespaces(out); got != nil {
		t.Errorf("without a namespace of its own there is none to tell from others: %q", got)
	}
}

// A private mount stays when the tree is unmounted here; a slave, and one that is shared with it, goes along.
func TestMountedElsewhere(t *testing.T) {
	const out = `/proc/self/mountinfo:49 38 0:32 / /tank rw,relatime shared:1 - zfs tank rw,xattr
/proc/self/mountinfo:50 49 0:33 / /tank/old rw,relatime shared:25 - zfs tank/old rw,xattr
/proc/88/mountinfo:51 38 0:33 / /ctr rw,relatime - zfs tank/old rw,xattr
/proc/88/mountinfo:52 38 0:34 / /ctr/a\040b rw,relatime shared:77 - zfs tank/old/a\040b rw,xattr
/proc/88/mountinfo:53 38 0:32 / /tank rw,relatime - zfs tank rw,xattr
/proc/90/mountinfo:54 38 0:33 / /tank/old rw,relatime master:25 - zfs tank/old rw,xattr
/proc/91/mountinfo:55 38 0:33 / /tank/old rw,relatime shared:25 - zfs tank/old rw,xattr
/proc/92/mountinfo:56 38
`
	want := map[string][]string{"88": {"tank/old mounted at /ctr", "tank/old/a b mounted at /ctr/a b"}}
	if got := mountedElsewhere(out, []string{"tank/old", "tank/old/a b"}); !reflect.DeepEqual(got, want) {
		t.Errorf("%q", got)
	}
}
