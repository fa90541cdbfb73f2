package zfs

import (
	"encoding/binary"
	"errors"

	"github.com/dplaneos/dplane/drivers/host"
)

// Promote makes a clone the one that has the snapshots up to its origin; what it was cloned from is a clone of it then.
func Promote(clone string) host.Command { return host.Write("zfs", "promote", clone) }

// Rollback takes a dataset back to its newest snapshot. It refuses where that is another one, or a bookmark is newer.
func Rollback(snapshot string) host.Command { return host.Write("zfs", "rollback", snapshot) }

// SendHead sends what a dataset, which must not be mounted for writing, holds beyond its snapshot of this name; raw where it
// is encrypted. Untouched reads it.
func SendHead(dataset, from string, raw bool) host.Command {
	argv := []string{"zfs", "send"}
	if raw {
		argv = append(argv, "-w")
	}
	return host.Read(append(argv, "-i", "@"+from, dataset)...)
}

// ErrTouched is what Untouched says of a stream that holds anything.
var ErrTouched = errors.New("something was written since the snapshot")

// Untouched is written a stream of SendHead, and refuses the first byte beyond what a stream has that holds nothing: its first
// record with what belongs to that, and its last. The property written counts more: opening a volume, or a rollback
// of one, resets its log, which zfs-receive(8) does not take for a change (dsl_dataset_modified_since_snap).
type Untouched struct {
	seen int64
	head []byte
}

func (u *Untouched) Write(p []byte) (int, error) {
	if need := RecordSize - len(u.head); need > 0 {
		u.head = append(u.head, p[:min(need, len(p))]...)
	}
	u.seen += int64(len(p))
	if len(u.head) < RecordSize {
		return len(p), nil
	}
	payload := int64(binary.LittleEndian.Uint32(u.head[4:]))
	if binary.LittleEndian.Uint32(u.head) != 0 || u.seen > 2*RecordSize+payload {
		return len(p), ErrTouched
	}
	return len(p), nil
}

// Whole tells whether all of such a stream came.
func (u *Untouched) Whole() bool { return u.seen >= 2*RecordSize }
