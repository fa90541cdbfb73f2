package stream

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/drivers/zfs"
)

// odd is a stream that no dplane sends.
func odd(format string, args ...any) error { return &host.Unfit{Why: fmt.Sprintf(format, args...)} }

// The kinds of records and of streams that make up a row (include/sys/zfs_ioctl.h).
const (
	recordBegin, recordEnd = 0, 5
	nameAt, nameSize       = 56, 256 // of drr_toname
)

// Row copies a row of snapshots of one dataset (zfs send -I), and ends with a *host.Unfit at the first record that does not belong
// to one.
//
// zfs receive takes the name in each part, cuts off as many bytes as the name of the whole has, and hangs the rest on the
// target: a part that is called tank/home-x lands in backup/home-x beside the target, writable, and one called tank/home/x
// below it (2.3.9). So each has to have the name of the whole. Where a record ends is told by what zfs itself goes by.
func Row(in io.Reader, out io.Writer, volume bool) error {
	s := &sifter{in: bufio.NewReaderSize(in, 1<<20), out: bufio.NewWriterSize(out, 1<<18), volume: volume}
	err := s.all()
	return errors.Join(err, s.out.Flush())
}

// Sift copies a stream of one snapshot, or a row of them, of a file system or volume, and ends it with a *host.Unfit where it
// is anything else: whoever sends it must not be able to make more of it than its target. One that is cut off is for zfs to tell.
func Sift(volume bool) func(in io.Reader, out io.Writer) error {
	return func(in io.Reader, out io.Writer) error {
		first := make([]byte, HeadSize)
		n, err := io.ReadFull(in, first)
		if err != nil {
			_, err := out.Write(first[:n])
			return err
		}
		h, err := ParseHead(first)
		if err == nil {
			err = h.Fits(volume)
		}
		switch {
		case err != nil:
			return &host.Unfit{Why: err.Error()}
		case h.Row:
			return Row(io.MultiReader(bytes.NewReader(first), in), out, volume)
		}
		if _, err := out.Write(first); err != nil {
			return err
		}
		_, err = io.Copy(out, in)
		return err
	}
}

type sifter struct {
	in     *bufio.Reader
	out    *bufio.Writer
	volume bool
	order  binary.ByteOrder
	name   string // of the whole
	record [zfs.RecordSize]byte
}

func (s *sifter) all() error {
	if _, err := io.ReadFull(s.in, s.record[:]); err != nil {
		return err
	}
	h, err := ParseHead(s.record[:HeadSize])
	if err != nil || !h.Row || h.more {
		return odd("it is no row of snapshots")
	}
	s.order = binary.LittleEndian
	if s.order.Uint64(s.record[8:]) != magic {
		s.order = binary.BigEndian
	}
	if s.name = s.dataset(); s.name == "" {
		return odd("it has no name")
	}
	if err := s.pass(); err != nil {
		return err
	}
	if err := s.next(); err != nil {
		return err
	}
	if s.kind() != recordEnd {
		return odd("its head has no end")
	}
	if err := s.pass(); err != nil {
		return err
	}
	for {
		if err := s.next(); err != nil {
			return err
		}
		if s.kind() == recordEnd { // of all
			break
		}
		if err := s.part(); err != nil {
			return err
		}
	}
	if err := s.pass(); err != nil {
		return err
	}
	if _, err := s.in.ReadByte(); !errors.Is(err, io.EOF) {
		return odd("it goes on after its end")
	}
	return nil
}

// part copies the stream of one snapshot, whose first record was read.
func (s *sifter) part() error {
	h, err := ParseHead(s.record[:HeadSize])
	switch {
	case err != nil || h.Row:
		return odd("a part of it is no stream of a snapshot")
	case s.order.Uint64(s.record[8:]) != magic:
		return odd("a part of it is of another byte order")
	case h.clone:
		return odd("a part of it is of a clone")
	case h.Volume != s.volume:
		return odd("a part of it is of a %s, and the request of a %s", Kind(h.Volume), Kind(s.volume))
	case s.dataset() != s.name:
		return odd("a part of it is of %q, and the whole of %q", s.dataset(), s.name)
	}
	for {
		if err := s.pass(); err != nil || s.kind() == recordEnd {
			return err
		}
		if err := s.next(); err != nil {
			return err
		}
		if s.kind() == recordBegin {
			return odd("a part of it begins within another")
		}
	}
}

func (s *sifter) kind() uint32 { return s.order.Uint32(s.record[:]) }

// dataset is the name that a begin has, without that of the snapshot; "": it is none.
func (s *sifter) dataset() string {
	text, _, ended := strings.Cut(string(s.record[nameAt:nameAt+nameSize]), "\x00")
	name, _, ok := strings.Cut(text, "@")
	if !ended || !ok {
		return ""
	}
	return name
}

func (s *sifter) next() error {
	_, err := io.ReadFull(s.in, s.record[:])
	return err
}

// pass copies the record that was read, and what follows it.
func (s *sifter) pass() error {
	n, err := zfs.Payload(s.order, s.record[:])
	if err != nil {
		return odd("%v", err)
	}
	if _, err := s.out.Write(s.record[:]); err != nil {
		return err
	}
	_, err = io.CopyN(s.out, s.in, int64(n))
	return err
}
