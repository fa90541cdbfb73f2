package stream

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/drivers/zfs"
)

// recordOf is a record of this kind, in this byte order.
func recordOf(order binary.ByteOrder, kind uint32, fill func(b []byte)) []byte {
	b := make([]byte, zfs.RecordSize)
	order.PutUint32(b, kind)
	if fill != nil {
		fill(b)
	}
	return b
}

// beginOf is the begin of a stream: hdr is 2 for the whole, 1 for a part.
func beginOf(order binary.ByteOrder, hdr uint64, name string, of, flags uint32) []byte {
	return recordOf(order, recordBegin, func(b []byte) {
		order.PutUint64(b[8:], magic)
		order.PutUint64(b[16:], hdr|1<<20)
		order.PutUint32(b[32:], of)
		order.PutUint32(b[36:], flags)
		copy(b[nameAt:], name)
	})
}

// writeOf is a record that a payload follows.
func writeOf(order binary.ByteOrder, payload []byte) []byte {
	return append(recordOf(order, 3, func(b []byte) { order.PutUint64(b[32:], uint64(len(payload))) }), payload...)
}

// A row of snapshots of one dataset comes through as it is; what is hung under another name, or isn't told apart from what a
// payload holds, does not, nor anything behind it.
func TestSift(t *testing.T) {
	le := binary.LittleEndian
	end := func(order binary.ByteOrder) []byte { return recordOf(order, recordEnd, nil) }
	head := func(order binary.ByteOrder) []byte {
		return append(beginOf(order, 2, "tank/home@3", 0, 0), end(order)...)
	}
	part := func(order binary.ByteOrder, name string) []byte {
		return bytes.Join([][]byte{beginOf(order, 1, name, ofFiles, 4), writeOf(order, beginOf(order, 1, "tank/evil@1", ofFiles, 0)), recordOf(order, 4, nil), end(order)}, nil)
	}
	good := func(order binary.ByteOrder) []byte {
		return bytes.Join([][]byte{head(order), part(order, "tank/home@2"), part(order, "tank/home@3"), end(order)}, nil)
	}
	for what, stream := range map[string][]byte{"little": good(le), "big": good(binary.BigEndian), "none new": append(head(le), end(le)...)} {
		for _, in := range []io.Reader{bytes.NewReader(stream), iotest.OneByteReader(bytes.NewReader(stream))} {
			var out bytes.Buffer
			if err := Row(in, &out, false); err != nil || !bytes.Equal(out.Bytes(), stream) {
				t.Errorf("%s: %d bytes of %d came through: %v", what, out.Len(), len(stream), err)
			}
		}
	}
	first := append(head(le), part(le, "tank/home@2")...)
	for what, c := range map[string]struct {
		rest    []byte
		through int // bytes of rest that may come through
	}{
		"a sibling":                  {part(le, "tank/home-evil@1"), 0},
		"a child":                    {part(le, "tank/home/kid@1"), 0},
		"one of another name":        {part(le, "tank/hom@1"), 0},
		"without a snapshot":         {part(le, "tank/home"), 0},
		"without an end of the name": {beginOf(le, 1, "tank/home@"+strings.Repeat("x", 300), ofFiles, 0), 0},
		"of a clone":                 {beginOf(le, 1, "tank/home@9", ofFiles, 1), 0},
		"of a volume":                {beginOf(le, 1, "tank/home@9", ofVolume, 0), 0},
		"a row within":               {head(le), 0},
		"of another byte order":      {part(binary.BigEndian, "tank/home@3"), 0},
		"no begin":                   {writeOf(le, []byte("x")), 0},
		"behind its end":             {append(end(le), part(le, "tank/home-evil@1")...), zfs.RecordSize},
		"a begin within a part":      {append(beginOf(le, 1, "tank/home@3", ofFiles, 0), part(le, "tank/home-evil@1")...), zfs.RecordSize},
		"a record by reference":      {append(beginOf(le, 1, "tank/home@3", ofFiles, 0), recordOf(le, 6, nil)...), zfs.RecordSize},
		"a length without bounds":    {append(beginOf(le, 1, "tank/home@3", ofFiles, 0), recordOf(le, 3, func(b []byte) { le.PutUint64(b[32:], 1<<40) })...), zfs.RecordSize},
	} {
		var out bytes.Buffer
		err := Row(bytes.NewReader(append(bytes.Clone(first), c.rest...)), &out, false)
		var refused *host.Unfit
		if !errors.As(err, &refused) || out.Len() != len(first)+c.through {
			t.Errorf("%s: %d bytes of it came through: %v", what, out.Len()-len(first), err)
		}
	}
	for n := range len(first) { // one that breaks off is not refused: zfs keeps what came
		err := Row(bytes.NewReader(first[:n]), io.Discard, false)
		if refused := new(host.Unfit); err == nil || errors.As(err, &refused) {
			t.Fatalf("broken off after %d bytes: %v", n, err)
		}
	}
	if err := Row(bytes.NewReader(good(le)), io.Discard, true); err == nil {
		t.Error("files as a volume")
	}
}

// What another machine sends that is fetched from: a stream of one snapshot or a row comes through as it is, what is cut off too, and
// nothing of anything else.
func TestSiftOfWhatIsFetched(t *testing.T) {
	le := binary.LittleEndian
	end := recordOf(le, recordEnd, nil)
	one := bytes.Join([][]byte{beginOf(le, 1, "tank/home@2", ofFiles, 4), writeOf(le, []byte("12345678")), end}, nil)
	row := bytes.Join([][]byte{beginOf(le, 2, "tank/home@2", 0, 0), end, one, end}, nil)
	for what, stream := range map[string][]byte{"one": one, "a row": row, "nothing": nil, "cut off": one[:20]} {
		var out bytes.Buffer
		if err := Sift(false)(bytes.NewReader(stream), &out); err != nil || !bytes.Equal(out.Bytes(), stream) {
			t.Errorf("%s: %d bytes of %d came through: %v", what, out.Len(), len(stream), err)
		}
	}
	more := beginOf(le, 2, "tank/home@2", 0, 0)
	le.PutUint32(more[4:], 100) // a list of properties follows
	for what, stream := range map[string][]byte{
		"of a volume": beginOf(le, 1, "tank/home@2", ofVolume, 0), "of a clone": beginOf(le, 1, "tank/home@2", ofFiles, 1),
		"with properties": append(more, make([]byte, 1000)...), "no stream": make([]byte, 1000),
	} {
		var out bytes.Buffer
		var unfit *host.Unfit
		if err := Sift(false)(bytes.NewReader(stream), &out); !errors.As(err, &unfit) || out.Len() > 0 {
			t.Errorf("%s: %d bytes came through: %v", what, out.Len(), err)
		}
	}
	evil := bytes.Replace(row, []byte("tank/home@2"), []byte("tank/hom@22"), 1)
	var unfit *host.Unfit
	if err := Sift(false)(bytes.NewReader(evil), io.Discard); !errors.As(err, &unfit) {
		t.Errorf("a row with a part of another name: %v", err)
	}
}

// Whatever comes, what goes through is its beginning, and has no begin of another dataset than the whole's.
func FuzzSift(f *testing.F) {
	le := binary.LittleEndian
	whole := append(beginOf(le, 2, "tank/home@3", 0, 0), recordOf(le, recordEnd, nil)...)
	for _, name := range []string{"tank/home@2", "tank/home-x@2"} {
		f.Add(bytes.Join([][]byte{whole, beginOf(le, 1, name, ofFiles, 0), writeOf(le, []byte("12345678")), recordOf(le, recordEnd, nil), recordOf(le, recordEnd, nil)}, nil))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		var out bytes.Buffer
		_ = Row(bytes.NewReader(in), &out, false)
		if !bytes.HasPrefix(in, out.Bytes()) {
			t.Fatal("what goes through is not what came")
		}
	})
}
