//go:build !race

package spec

const slow = false
