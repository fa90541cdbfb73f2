// Package stream reads what zfs send writes, as far as it tells what a stream is made of, and lets through what is one snapshot
// or a row of one dataset: whoever sends it must not be able to make more of it than its target.
//
// It must never change a byte of a stream, nor hold one back that is what it should be.
package stream
