//go:build race

package spec

// slow tells that the race detector is watching: ten times the work, and nothing is concurrent here.
const slow = true
