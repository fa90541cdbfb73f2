package spec

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestPattern(t *testing.T) {
	for _, tc := range []struct{ pattern, fits, fitsNot string }{
		{"tank", "tank", "tank/a tank2 tan"},
		{"tank/home", "tank/home", "tank tank/home/anna tank/homes"},
		{"tank/*", "tank/a tank/b", "tank tank/a/b other/a"},
		{"tank/**", "tank tank/a tank/a/b", "tank2 other/tank/a"},
		{"tank/**/cache", "tank/cache tank/a/cache tank/a/b/cache", "tank/cache/x tank/acache cache"},
		{"**/cache", "cache tank/cache tank/a/cache", "tank/cache/x"},
		{"**", "tank tank/a tank/a/b", ""},
		{"tank/*/cache", "tank/a/cache", "tank/cache tank/a/b/cache"},
		{"tank/vm-*-disk*", "tank/vm-1-disk0 tank/vm--disk tank/vm-a-b-disk", "tank/vm-disk tank/vm-1-dis"},
		{"t*k/a*a", "tank/aa tank/aba tk/aa", "tank/a tank/ab"},
		{"tank/a**b", "tank/ab tank/axb", "tank/a/b"},
	} {
		p, err := ParsePattern(tc.pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range strings.Fields(tc.fits) {
			if !p.Match(n) {
				t.Errorf("%s does not match %s", p, n)
			}
		}
		for _, n := range strings.Fields(tc.fitsNot) {
			if p.Match(n) {
				t.Errorf("%s matches %s", p, n)
			}
		}
	}
	for _, bad := range []string{"", "/tank", "tank/", "tank//a", "tank/../a", "tank/[ab]", "tank/a@*", "tank/a?"} {
		if p, err := ParsePattern(bad); err == nil {
			t.Errorf("%q is taken for the pattern %q", bad, p)
		}
	}
}

// A name is a pattern of itself alone, each part of it may become a star, and what is below is covered.
func TestPatternLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		part := rapid.StringMatching(`[ab:._-][ab]{0,3}`)
		name := rapid.SliceOfN(part, 1, 4).Draw(t, "name")
		i := rapid.IntRange(0, len(name)-1).Draw(t, "i")
		whole := strings.Join(name, "/")
		starred := append([]string{}, name...)
		starred[i] = name[i][:rapid.IntRange(0, len(name[i])).Draw(t, "cut")] + "*"
		if !Pattern(whole).Match(whole) || !Pattern(strings.Join(starred, "/")).Match(whole) {
			t.Fatalf("%s or %v does not match %s", whole, starred, whole)
		}
		starred[i] = "**"
		if !Pattern(strings.Join(starred, "/")).Match(whole) {
			t.Fatalf("%v does not match %s", starred, whole)
		}
		other := strings.Join(rapid.SliceOfN(part, 1, 4).Draw(t, "other"), "/")
		if Pattern(whole).Match(other) != (whole == other) {
			t.Fatalf("%s matches %s", whole, other)
		}
		if !Pattern(whole).Covers(whole+"/"+other) || Pattern(whole).Covers(other) != DatasetName(other).Under(DatasetName(whole)) {
			t.Fatalf("%s covers %s wrongly", whole, other)
		}
	})
}
