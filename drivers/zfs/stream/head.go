package stream

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// HeadSize is how much of a stream tells what it is.
const HeadSize = 40

// Head is the beginning of a stream: the first bytes of a dmu_replay_record_t that is a drr_begin (sys/zfs_ioctl.h).
type Head struct {
	Row    bool // several snapshots: see Sift
	more   bool // with properties, or of several datasets (zfs send -p, -R)
	Volume bool
	clone  bool // it begins with a snapshot of another dataset, wherever zfs finds one of that guid
}

const (
	magic    = 0x2F5bacbac // DMU_BACKUP_MAGIC
	ofVolume = 3           // DMU_OST_ZVOL
	ofFiles  = 2           // DMU_OST_ZFS
)

// ParseHead reads the beginning of a stream, which has the byte order of who made it.
func ParseHead(b []byte) (Head, error) {
	if len(b) < HeadSize {
		return Head{}, errors.New("the stream is cut off")
	}
	var order binary.ByteOrder = binary.LittleEndian
	if order.Uint64(b[8:]) != magic {
		order = binary.BigEndian
	}
	kind, of := order.Uint64(b[16:])&3, order.Uint32(b[32:]) // DMU_SUBSTREAM 1, DMU_COMPOUNDSTREAM 2
	switch {
	case order.Uint64(b[8:]) != magic || order.Uint32(b) != 0:
		return Head{}, errors.New("it is no stream of zfs")
	case kind == 2: // one of a row of snapshots alone says nothing more of itself
		return Head{Row: true, more: order.Uint32(b[4:]) != 0}, nil
	case kind != 1 || of != ofFiles && of != ofVolume:
		return Head{}, errors.New("it is no stream of a file system or volume")
	}
	return Head{Volume: of == ofVolume, clone: order.Uint32(b[36:])&1 != 0}, nil // DRR_FLAG_CLONE
}

// Fits refuses what dplane never sends.
func (h Head) Fits(volume bool) error {
	switch {
	case h.clone:
		return errors.New("the stream is of a clone, which would hang on a dataset of somebody else")
	case h.more:
		return errors.New("the stream has properties, or is of several datasets (zfs send -p, -R)")
	case !h.Row && h.Volume != volume:
		return fmt.Errorf("the stream is of a %s, and the request of a %s", Kind(h.Volume), Kind(volume))
	}
	return nil
}

// Kind is what a dataset is called that is a volume, or none.
func Kind(volume bool) string {
	if volume {
		return "volume"
	}
	return "file system"
}
