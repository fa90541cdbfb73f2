package spec

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Size is a number of bytes.
type Size uint64

var sizeForm = regexp.MustCompile(`^([0-9]+)([.][0-9]+)?(?:([KMGTPE])(?:I?B)?|B)?$`)

// ParseSize reads bytes or a number with one of K M G T P E (powers of 1024, any case, an optional
// B or iB after it), as `2T`, `1.5G`, `50M`, `1024`. A fraction of a byte is cut, as libzfs does.
func ParseSize(s string) (Size, error) {
	m := sizeForm.FindStringSubmatch(strings.ToUpper(s))
	if m == nil {
		return 0, fmt.Errorf("%q is not a size (such as 100G, 1.5T or a number of bytes)", cut(s, 100))
	}
	shift := 0
	if m[3] != "" {
		shift = 10 * (strings.Index("KMGTPE", m[3]) + 1)
	}
	tooMuch := fmt.Errorf("%q is more than 16 EiB", cut(s, 100))
	if m[2] == "" {
		n, err := strconv.ParseUint(m[1], 10, 64)
		if err != nil || n > math.MaxUint64>>shift {
			return 0, tooMuch
		}
		return Size(n << shift), nil
	}
	f, err := strconv.ParseFloat(m[1]+m[2], 64)
	if f = math.Ldexp(f, shift); err != nil || f >= math.Ldexp(1, 64) {
		return 0, tooMuch
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
			return 0, fmt.Errorf("%q is more than 292 years", cut(s, 100))
		}
		return Duration(time.Duration(n) * u.d), nil
	}
	return 0, fmt.Errorf("%q is not a duration (a whole number and s, m, h, d, w or y, such as 15m)", cut(s, 100))
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
