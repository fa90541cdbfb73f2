// Package sqlite is the memory of one machine: the journal of what was done, the accepted
// configurations, what was seen last. It is the only package that knows SQL.
//
// Chosen: one writing connection and a few reading ones on a write-ahead log, so that a reader never
// waits for a reconcile; synchronous=FULL, since an intent must outlive a power cut (NORMAL can lose
// the last commits); parts rewritten only where they changed, so that an idle daemon writes little.
// Refused: updating a "last seen" on each row of each pass, which would rewrite the table every minute.
//
// It must never be an authority on what the machine is: with the file lost, only history is lost.
package sqlite
