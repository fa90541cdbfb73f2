package zfs

import (
	"maps"
	"slices"
	"testing"
)

func TestParseGrown(t *testing.T) {
	const listed = "t\t251658240\t63200256\t188457984\t-\t150994944\t24\t25\t1.00\tONLINE\t-\n" +
		"\tmirror-0\t251658240\t63200256\t188457984\t-\t150994944\t24\t25\t-\tONLINE\n" +
		"\t/pool/a b\t419430400\t-\t-\t-\t150994944\t-\t-\t-\tONLINE\n" +
		"\t/pool/b\t419430400\t-\t-\t-\t-\t-\t-\t-\tONLINE\n" +
		"logs                 -      -      -        -         -      -      -      -         -\n" +
		"\t/pool/l.img\t268435456\t0\t251658240\t-\t-\t0\t0\t-\tONLINE\n"
	got, err := ParseGrown("t", []byte(listed)) // captured on 2.3.9, with a heading
	if err != nil || !maps.Equal(got, map[string]uint64{"mirror-0": 144 << 20, "/pool/a b": 144 << 20}) {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := ParseGrown("u", []byte(listed)); err == nil {
		t.Error("another pool is taken for it")
	}
}

func TestParseFeatureSet(t *testing.T) {
	got := ParseFeatureSet([]byte("# Features of a release\nallocation_classes\nasync_destroy, bookmarks # two\n\n  draid\n#livelist\ndraid\n"))
	if !slices.Equal(got, []string{"allocation_classes", "async_destroy", "bookmarks", "draid"}) {
		t.Errorf("%q", got)
	}
}
