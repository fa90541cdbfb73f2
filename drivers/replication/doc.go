// Package replication sends the snapshots of one dataset, with what is below it, to another one: it finds what both ends
// have in common, plans the streams that are missing, and carries them out so that a kill at any point needs no full
// stream.
//
// It must never overwrite a target that has what its source has not, and never send an encrypted dataset in plain that
// is not declared so.
package replication
