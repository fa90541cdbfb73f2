// Package receive is the forced command of a replication key: all that the key may ask of this machine. It parses a request
// as data, refuses what is not on a closed list, and lets zfs run what is.
//
// The list is short, and each form of it is built anew by drivers/zfs from what was read: only a request that is, word for
// word, one that dplane itself would send is let through, with names at or below the key's own datasets.
//
// What zfs answers is passed on as it is. Two of its columns may name a dataset that is not below the key's own: that whose key
// unlocks one of them (encryptionroot), and the clones of a snapshot (clones), without which the far side would plan to prune
// what can't be. Those are names, of what is bound to the key's datasets, and nothing of them can be asked for.
//
// It must never pass anything to a shell, never destroy a file system or a volume, never force (-F, -f, -R), and never
// begin a request before all of it was judged.
package receive
