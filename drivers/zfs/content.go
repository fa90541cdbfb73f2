package zfs

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
)

// Content reads a full stream (zfs send without -i), and gives a digest of what the snapshot holds: two snapshots with the
// same digest have the same files, or the same volume, down to owners and times.
//
// It is taken of the objects and what is written in them, not of the stream, for the streams of a replica and of its
// source differ in what is no content: names, what is free, holes that one end has as zeros, and blocks of more than
// 128 KiB, which are cut where -L is missing (so that both are read without -L and -c). The records are those of
// dmu_replay_record in include/sys/zfs_ioctl.h; their checksums cover the name, and are left to who receives.
//
// It must never believe a length: what it reads may come from a far side.
type Content struct {
	sum   hash.Hash
	buf   []byte // the record that is being read
	need  int    // its length, as far as it is known
	order binary.ByteOrder
	began bool
	ended bool
	raw   bool
	guid  uint64
	bytes int64
	err   error
}

// Digest is what a Content gives.
type Digest struct {
	Sum   string // SHA-256
	GUID  string // of the snapshot
	Raw   bool   // as it stands on the disks, encrypted
	Bytes int64  // of the stream
}

// NewContent is one of which nothing was read yet.
func NewContent() *Content { return &Content{sum: sha256.New(), need: recordSize} }

const (
	recordSize  = 312      // of each record, without its payload
	mostPayload = 32 << 20 // a block has 16 MiB at most
	beginMagic  = 0x2f5bacbac
	grain       = 4096 // bytes that are left out where all are zero
)

// The kinds of records (enum drr_type).
const (
	drrBegin = iota
	drrObject
	drrFreeObjects
	drrWrite
	drrFree
	drrEnd
	drrWriteByRef
	drrSpill
	drrWriteEmbedded
	drrObjectRange
	drrRedact
)

// The bits of a stream's begin (DMU_BACKUP_FEATURE_* in include/sys/zfs_ioctl.h, above two bits of the kind).
const (
	streamPlain     = 1 // DMU_SUBSTREAM
	featureRaw      = 1 << 24
	featureRedacted = 1 << 21
)

// Sum is the digest, once all of the stream was written.
func (c *Content) Sum() (Digest, error) {
	switch {
	case c.err != nil:
		return Digest{}, c.err
	case !c.ended || len(c.buf) > 0:
		return Digest{}, errors.New("the stream ends early")
	}
	return Digest{Sum: hex.EncodeToString(c.sum.Sum(nil)), GUID: fmt.Sprint(c.guid), Raw: c.raw, Bytes: c.bytes}, nil
}

// Write takes the next bytes of the stream.
func (c *Content) Write(p []byte) (int, error) {
	n := 0
	for n < len(p) && c.err == nil {
		if c.ended {
			c.err = errors.New("the stream goes on after its end")
			break
		}
		k := min(c.need-len(c.buf), len(p)-n)
		c.buf = append(c.buf, p[n:n+k]...)
		n += k
		if len(c.buf) == c.need {
			c.err = c.reached()
		}
	}
	c.bytes += int64(n)
	return n, c.err
}

// reached is called where as much is there as is known to be needed: the head of a record, or all of it.
func (c *Content) reached() error {
	if c.need == recordSize {
		if err := c.begins(); err != nil {
			return err
		}
		size, err := c.payload()
		if err != nil {
			return err
		}
		if c.need += size; size > 0 {
			return nil
		}
	}
	err := c.record(c.buf[recordSize:])
	c.buf, c.need = c.buf[:0], recordSize
	return err
}

// begins tells a stream from anything else, and in which order its bytes are.
func (c *Content) begins() error {
	if c.began {
		return nil
	}
	c.began, c.order = true, binary.LittleEndian
	if c.u64(8) != beginMagic {
		c.order = binary.BigEndian
	}
	if c.u64(8) != beginMagic || c.u32(0) != drrBegin {
		return errors.New("it is no stream of zfs send")
	}
	return nil
}

func (c *Content) u64(at int) uint64 { return c.order.Uint64(c.buf[at:]) }
func (c *Content) u32(at int) uint32 { return c.order.Uint32(c.buf[at:]) }

func (c *Content) payload() (int, error) { return Payload(c.order, c.buf[:recordSize]) }

// RecordSize is the length of each record of a stream, without its payload.
const RecordSize = recordSize

// Payload is how many bytes follow this record of a stream. The offsets are those of its struct behind drr_type and
// drr_payloadlen. What no stream of dplane's has is an error.
func Payload(order binary.ByteOrder, record []byte) (int, error) {
	u32 := func(at int) uint64 { return uint64(order.Uint32(record[at:])) }
	u64 := func(at int) uint64 { return order.Uint64(record[at:]) }
	var n uint64
	switch kind := u32(0); kind {
	case drrBegin:
		n = u32(4)
	case drrObject:
		if n = up8(u32(28)); u32(36) != 0 {
			n = u32(36)
		}
	case drrWrite:
		if n = u64(32); record[50] != 0 {
			n = u64(96)
		}
	case drrSpill:
		if n = u64(16); u64(40) != 0 {
			n = u64(40)
		}
	case drrWriteEmbedded:
		n = up8(u32(52))
	case drrFreeObjects, drrFree, drrEnd, drrObjectRange:
	default:
		return 0, fmt.Errorf("the stream has a record of kind %d, which dplane sends none of", kind)
	}
	if n > mostPayload {
		return 0, fmt.Errorf("the stream has a record of %d bytes", n)
	}
	return int(n), nil
}

func up8(n uint64) uint64 { return (n + 7) &^ 7 }

// record takes what counts of a whole record.
func (c *Content) record(data []byte) error {
	switch c.u32(0) {
	case drrBegin:
		return c.begin()
	case drrObject:
		if !c.raw {
			data = data[:min(len(data), int(c.u32(28)))]
		}
		// Of its block size nothing counts: it is another one where the blocks are cut.
		c.take('O', data, c.u64(8), uint64(c.u32(16)), uint64(c.u32(20)))
	case drrWrite:
		return c.write(data)
	case drrSpill:
		c.take('S', data, c.u64(8), c.u64(16))
		c.sum.Write(c.buf[48:84]) // salt, iv and mac; zero in plain
	case drrWriteEmbedded:
		c.take('E', data, c.u64(8), c.u64(16), c.u64(24), uint64(c.buf[40]), uint64(c.buf[41]))
	case drrEnd:
		c.ended = true
	}
	return nil
}

func (c *Content) begin() error {
	kind, features := c.u64(16)&3, c.u64(16)>>2
	switch {
	case c.guid != 0:
		return errors.New("the stream begins twice")
	case kind != streamPlain || c.u64(48) != 0 || features&featureRedacted != 0:
		return errors.New("it is not the full stream of one snapshot")
	}
	c.guid, c.raw = c.u64(40), features&featureRaw != 0
	c.take('B', nil, uint64(c.u32(32)))
	return nil
}

// write takes a block: in plain its bytes but those that are zero, raw all that decrypts it too.
func (c *Content) write(data []byte) error {
	object, offset := c.u64(8), c.u64(24)
	if c.raw {
		c.take('R', c.buf[50:51], object, offset, c.u64(32), c.u64(96)) // compression
		c.sum.Write(c.buf[104:140])                                     // salt, iv and mac
		c.sum.Write(data)
		return nil
	}
	if c.buf[50] != 0 {
		return errors.New("the stream has compressed blocks, and was asked for without")
	}
	for len(data) > 0 {
		n := min(grain-int(offset%grain), len(data))
		if some := data[:n]; !bytes.Equal(some, zeros[:n]) {
			c.take('W', some, object, offset)
		}
		data, offset = data[n:], offset+uint64(n)
	}
	return nil
}

var zeros [grain]byte

// take adds what a record says to the sum: its kind, numbers and data, each so that no two records read alike.
func (c *Content) take(kind byte, data []byte, numbers ...uint64) {
	head := make([]byte, 0, 64)
	head = append(head, kind)
	for _, n := range append(numbers, uint64(len(data))) {
		head = binary.LittleEndian.AppendUint64(head, n)
	}
	c.sum.Write(head)
	c.sum.Write(data)
}
