package spec

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestParseSize(t *testing.T) {
	for text, want := range map[string]Size{
		"0": 0, "1024": 1024, "1K": 1024, "1k": 1024, "1KB": 1024, "1KiB": 1024, "1kib": 1024, "12B": 12,
		"2T": 2 << 40, "1.5G": 3 << 29, "0.5K": 512, "1.9": 1, "50M": 50 << 20, "1P": 1 << 50, "15E": 15 << 60,
		"18446744073709551615": math.MaxUint64, "16383P": 16383 << 50, "007": 7,
	} {
		if got, err := ParseSize(text); err != nil || got != want {
			t.Errorf("%q: %d %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{
		"", " ", "G", "1GG", "1 G", " 1G", "-1", "+1", "1e3", "0x10", "1.G", ".5G", "1,5G", "1I", "1IB", "1Z", "one", "1K1", "1\n", "１G",
		"16E", "18446744073709551616", "18446744073709551615.9", "99999999999999999999999999T",
	} {
		if got, err := ParseSize(text); err == nil {
			t.Errorf("%q is taken for %d", text, got)
		}
	}
}

func TestSizeStringIsExact(t *testing.T) {
	for size, want := range map[Size]string{0: "0", 1: "1", 1000: "1000", 1024: "1K", 1536 << 20: "1536M", 2 << 40: "2T", 1 << 60: "1E"} {
		if size.String() != want {
			t.Errorf("%d is %s, want %s", uint64(size), size, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		n := Size(rapid.Uint64().Draw(t, "n"))
		if rapid.Bool().Draw(t, "round") {
			n = n >> 30 << 30
		}
		if back, err := ParseSize(n.String()); err != nil || back != n {
			t.Fatalf("%d -> %s -> %d %v", uint64(n), n, uint64(back), err)
		}
	})
}

func TestParseDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"0s": 0, "15m": 15 * time.Minute, "90s": 90 * time.Second, "24h": 24 * time.Hour, "7d": 168 * time.Hour, "2w": 336 * time.Hour,
		"1y": 8760 * time.Hour, "007h": 7 * time.Hour, "292y": 292 * 8760 * time.Hour,
	} {
		if got, err := ParseDuration(text); err != nil || got.Std() != want {
			t.Errorf("%q: %s %v, want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"", "s", "15", "15 m", " 15m", "15M", "1.5h", "-1s", "+1s", "1h30m", "1ms", "1_0s", "293y", "99999999999999999999s", "m15", "1m\n"} {
		if got, err := ParseDuration(text); err == nil {
			t.Errorf("%q is taken for %s", text, got)
		}
	}
}

func TestDurationStringIsExact(t *testing.T) {
	for d, want := range map[time.Duration]string{0: "0s", 60 * time.Second: "1m", 90 * time.Minute: "90m", 168 * time.Hour: "1w", 8760 * time.Hour: "1y"} {
		if got := Duration(d).String(); got != want {
			t.Errorf("%s is %s, want %s", d, got, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		d := Duration(rapid.Int64Range(0, math.MaxInt64/int64(time.Second)).Draw(t, "s")) * second
		if back, err := ParseDuration(d.String()); err != nil || back != d {
			t.Fatalf("%d -> %s -> %d %v", d, d, back, err)
		}
	})
}

func FuzzParseSize(f *testing.F) {
	for _, s := range []string{"1.5G", "100", "2TiB", "", "18446744073709551616"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := ParseSize(s)
		if err != nil {
			return
		}
		if back, err := ParseSize(n.String()); err != nil || back != n {
			t.Errorf("%q -> %s -> %d %v", s, n, uint64(back), err)
		}
	})
}

func FuzzParseDuration(f *testing.F) {
	for _, s := range []string{"15m", "2w", "", "292y", "-1s"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, err := ParseDuration(s)
		if err != nil {
			return
		}
		if back, err := ParseDuration(d.String()); err != nil || back != d || d < 0 {
			t.Errorf("%q -> %s -> %s %v", s, d, back, err)
		}
	})
}
