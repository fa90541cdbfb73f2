package spec

import (
	"fmt"
	"strings"
)

// A file of nothing but mistakes must not take minutes: what is suggested in one load, and out of how many words.
const (
	maxSuggest = 200
	maxKnown   = 20_000
)

// suggest is ` (did you mean "x"?)`, or nothing where no word is near.
func (l *loader) suggest(word string, known []string) string {
	return meant(l.near(word, known))
}

func meant(near string) string {
	if near == "" {
		return ""
	}
	return fmt.Sprintf(" (did you mean %q?)", near)
}

// near is nearest, within the bounds of a load.
func (l *loader) near(word string, known []string) string {
	if l.suggests >= maxSuggest || len(known) > maxKnown {
		return ""
	}
	l.suggests++
	return nearest(word, known)
}

// nearest is the known word with the fewest mistakes, at most two and less than half of it; else the one
// that begins with it; "" if none. The word itself would be no advice.
func nearest(word string, known []string) (best string) {
	least := 3
	for _, k := range known {
		if k != word && strings.EqualFold(k, word) {
			return k
		}
		if d := distance(word, k, least); d > 0 && d < least && 2*d <= max(len(k), len(word)) {
			best, least = k, d
		}
	}
	if best == "" && len(word) >= 3 {
		best = longer(word, known)
	}
	return best
}

// longer is the one known word that begins with the word; "" where there are none or several.
func longer(word string, known []string) (one string) {
	for _, k := range known {
		if strings.HasPrefix(k, word) && k != word {
			if one != "" {
				return ""
			}
			one = k
		}
	}
	return one
}

// distance counts inserted, deleted, changed and swapped letters (optimal string alignment); what reaches the limit is the limit.
func distance(a, b string, limit int) int {
	if len(a)-len(b) >= limit || len(b)-len(a) >= limit || len(a) > 300 {
		return limit
	}
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		least := i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
			least = min(least, row[j])
		}
		if least >= limit {
			return limit
		}
		before, last, row = last, row, before
	}
	return min(last[len(b)], limit)
}
