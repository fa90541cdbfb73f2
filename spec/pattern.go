package spec

import (
	"fmt"
	"strings"
)

// Pattern stands for names of pools and datasets: * for any text within one component, ** as a component of its
// own for any number of components, none included. So tank/* is what is right below tank, and tank/** is tank
// with all that is below it.
type Pattern string

// ParsePattern checks that names can match at all.
func ParsePattern(s string) (Pattern, error) {
	if err := patternComponents(s); err != nil {
		return "", fmt.Errorf("pattern %q: %w", s, err)
	}
	return Pattern(s), nil
}

// Match tells whether the whole name fits.
func (p Pattern) Match(name string) bool {
	return matchComponents(strings.Split(string(p), "/"), strings.Split(name, "/"))
}

// Covers tells whether the name, or one above it, fits.
func (p Pattern) Covers(name string) bool {
	for {
		if p.Match(name) {
			return true
		}
		i := strings.LastIndexByte(name, '/')
		if i < 0 {
			return false
		}
		name = name[:i]
	}
}

func matchComponents(pattern, name []string) bool {
	switch {
	case len(pattern) == 0:
		return len(name) == 0
	case pattern[0] == "**":
		return matchComponents(pattern[1:], name) || len(name) > 0 && matchComponents(pattern, name[1:])
	case len(name) == 0:
		return false
	}
	return matchText(pattern[0], name[0]) && matchComponents(pattern[1:], name[1:])
}

// matchText matches one component: the text between the stars stands in it in order, the first and the last at
// its ends.
func matchText(pattern, text string) bool {
	parts := strings.Split(pattern, "*")
	rest, ok := strings.CutPrefix(text, parts[0])
	if len(parts) == 1 {
		return ok && rest == ""
	}
	for _, part := range parts[1 : len(parts)-1] {
		_, after, found := strings.Cut(rest, part)
		ok, rest = ok && found, after
	}
	return ok && strings.HasSuffix(rest, parts[len(parts)-1])
}
