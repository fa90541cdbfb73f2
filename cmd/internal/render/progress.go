package render

import (
	"fmt"
	"time"

	"github.com/dplaneos/dplane/spec"
)

// Progress is how far a stream is, in one line: bytes, rate and, where the whole size (bytes) is known, the time left. took
// is since it began.
func Progress(replication, source string, bytes, size int64, took time.Duration) string {
	line := fmt.Sprintf("%s: %s: %s", replication, source, amount(bytes))
	if size > 0 {
		line += " of about " + amount(size)
	}
	rate := int64(0)
	if took >= time.Second {
		rate = int64(float64(bytes) / took.Seconds())
		line += fmt.Sprintf(", %s/s", amount(rate))
	}
	if left := size - bytes; left > 0 && rate > 0 {
		line += fmt.Sprintf(", %s left", (time.Duration(float64(left)/float64(rate)) * time.Second).Round(time.Second))
	}
	return line
}

// amount is a number of bytes in the largest unit of which it has ten, so that it is never exact for long.
func amount(n int64) string {
	unit := int64(1)
	for n/unit >= 10<<10 {
		unit <<= 10
	}
	return spec.Size(max(0, n/unit*unit)).String()
}
