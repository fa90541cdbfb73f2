package render

import (
	"testing"
	"time"
)

func TestProgress(t *testing.T) {
	const mega = 1 << 20
	for _, c := range []struct {
		bytes, size int64
		took        time.Duration
		want        string
	}{
		{0, 0, 0, "off: tank/a: 0"},
		{500, 0, 0, "off: tank/a: 500"},
		{64 * mega, 256 * mega, 16 * time.Second, "off: tank/a: 64M of about 256M, 4M/s, 48s left"},
		{12*mega + 77, 0, 2 * time.Second, "off: tank/a: 12M, 6M/s"},
		{20*mega + 5, 20 * mega, 10 * time.Second, "off: tank/a: 20M of about 20M, 2M/s"}, // more than was expected
		{0, mega, 10 * time.Second, "off: tank/a: 0 of about 1M, 0/s"},
	} {
		if got := Progress("off", "tank/a", c.bytes, c.size, c.took); got != c.want {
			t.Errorf("%d of %d in %s: %q, want %q", c.bytes, c.size, c.took, got, c.want)
		}
	}
}
