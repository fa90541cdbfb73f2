// Package ha decides what a node of a group does: who is well, who may write, what proves that another one does not.
//
// It must never do anything: no I/O, no clock, no goroutine. What it decides is data, which its caller persists first and
// carries out then.
package ha
