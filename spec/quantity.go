package spec

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Size is a number of bytes.
type Size uint64

// ParseSize reads bytes or a number with one of K M G T P E (powers of 1024, any case, an optional
// B or iB after it), as `2T`, `1.5G`, `50M`, `1024`.
func ParseSize(s string) (Size, error) {
	t := strings.ToUpper(strings.TrimSpace(s))
	t = strings.TrimSuffix(strings.TrimSuffix(t, "B"), "I")
	shift := 0
	if n := len(t); n > 0 {
		if i := strings.IndexByte("KMGTPE", t[n-1]); i >= 0 {
			shift, t = 10*(i+1), t[:n-1]
		}
	}
	bad := fmt.Errorf("%q is not a size (such as 100G, 1.5T or a number of bytes)", s)
	if t == "" || strings.Trim(t, "0123456789.") != "" {
		return 0, bad
	}
	if n, err := strconv.ParseUint(t, 10, 64); err == nil {
		if n > math.MaxUint64>>shift {
			return 0, fmt.Errorf("%q is more than 16 EiB", s)
		}
		return Size(n << shift), nil
	}
	f, err := strconv.ParseFloat(t, 64)
	if err != nil {
		return 0, bad
	}
	f *= math.Ldexp(1, shift)
	if f >= math.Ldexp(1, 64) {
		return 0, fmt.Errorf("%q is more than 16 EiB", s)
	}
	return Size(f), nil
}

// String is the shortest exact form: 2T, 1536M, 1000.
func (s Size) String() string {
	units := "KMGTPE"
	n, u := uint64(s), -1
	for n != 0 && n%1024 == 0 && u < len(units)-1 {
		n, u = n/1024, u+1
	}
	if u < 0 {
		return strconv.FormatUint(n, 10)
	}
	return strconv.FormatUint(n, 10) + units[u:u+1]
}

// Duration is a whole number of seconds.
type Duration time.Duration

var durationUnits = []struct {
	suffix string
	d      time.Duration
}{
	{"y", 365 * 24 * time.Hour}, {"w", 7 * 24 * time.Hour}, {"d", 24 * time.Hour},
	{"h", time.Hour}, {"m", time.Minute}, {"s", time.Second},
}

// ParseDuration reads a whole number of s, m, h, d, w or y (24 h, 7 d, 365 d).
func ParseDuration(s string) (Duration, error) {
	for _, u := range durationUnits {
		num, ok := strings.CutSuffix(s, u.suffix)
		if !ok {
			continue
		}
		n, err := strconv.ParseUint(num, 10, 63)
		if err != nil {
			break
		}
		if n > uint64(math.MaxInt64/int64(u.d)) {
			return 0, fmt.Errorf("%q is more than 292 years", s)
		}
		return Duration(time.Duration(n) * u.d), nil
	}
	return 0, fmt.Errorf("%q is not a duration (a whole number and s, m, h, d, w or y, such as 15m)", s)
}

// Std is the standard library's form.
func (d Duration) Std() time.Duration { return time.Duration(d) }

// String is the form with the largest unit that is exact: 15m, 7d, 2w.
func (d Duration) String() string {
	if d == 0 {
		return "0s"
	}
	for _, u := range durationUnits {
		if time.Duration(d)%u.d == 0 {
			return strconv.FormatInt(int64(time.Duration(d)/u.d), 10) + u.suffix
		}
	}
	return time.Duration(d).String()
}
