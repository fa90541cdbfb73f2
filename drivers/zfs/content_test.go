package zfs

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"
)

// rec is a record of a stream: its kind, numbers of 64 bits by their offsets, and what follows it.
func rec(order binary.ByteOrder, kind uint32, at map[int]uint64, data []byte) []byte {
	b := make([]byte, recordSize)
	order.PutUint32(b, kind)
	for off, v := range at {
		order.PutUint64(b[off:], v)
	}
	return append(b, data...)
}

// object is one of 8 bytes of bonus; its numbers of 32 bits are put by themselves.
func object(order binary.ByteOrder, id uint64, blksz uint32, bonus string) []byte {
	b := rec(order, drrObject, map[int]uint64{8: id}, nil)
	for off, v := range map[int]uint32{16: 19, 20: 44, 24: blksz, 28: uint32(len(bonus))} {
		order.PutUint32(b[off:], v)
	}
	return append(append(b, bonus...), make([]byte, int(up8(uint64(len(bonus))))-len(bonus))...)
}

func write(order binary.ByteOrder, id, offset uint64, data []byte) []byte {
	return rec(order, drrWrite, map[int]uint64{8: id, 24: offset, 32: uint64(len(data))}, data)
}

func begin(order binary.ByteOrder, name string, guid uint64) []byte {
	b := rec(order, drrBegin, map[int]uint64{8: beginMagic, 16: streamPlain | 4<<2, 40: guid}, nil)
	order.PutUint32(b[32:], 2)
	copy(b[56:], name)
	return b
}

func digestOf(t *testing.T, step int, parts ...[]byte) (Digest, error) {
	t.Helper()
	c := NewContent()
	for all := bytes.Join(parts, nil); len(all) > 0; {
		n := min(step, len(all))
		if _, err := c.Write(all[:n]); err != nil {
			return Digest{}, err
		}
		all = all[n:]
	}
	return c.Sum()
}

// What is no content changes nothing, and whatever is changes the digest; in whatever pieces it comes.
func TestContent(t *testing.T) {
	le := binary.LittleEndian
	end := rec(le, drrEnd, nil, nil)
	block := bytes.Repeat([]byte("x"), 3*grain)
	half := append(bytes.Repeat([]byte("x"), grain), make([]byte, grain)...)
	base := [][]byte{begin(le, "tank/a@1", 7), object(le, 3, 131072, "bonus"), write(le, 3, 0, block), write(le, 3, 1<<20, half), end}
	want, err := digestOf(t, 1<<20, base...)
	if err != nil || want.GUID != "7" || want.Raw || want.Bytes == 0 {
		t.Fatalf("%+v, %v", want, err)
	}
	for name, parts := range map[string][][]byte{
		"another name, and object size":     {begin(le, "usb/b@2", 7), object(le, 3, 1<<20, "bonus"), base[2], base[3], end},
		"what is free":                      {base[0], rec(le, drrFreeObjects, map[int]uint64{8: 9, 16: 3}, nil), base[1], rec(le, drrFree, map[int]uint64{8: 3}, nil), base[2], base[3], end},
		"a hole for zeros":                  {base[0], base[1], base[2], write(le, 3, 1<<20, half[:grain]), end},
		"zeros for a hole":                  {base[0], base[1], base[2], write(le, 3, 1<<19, make([]byte, 1<<17)), base[3], end},
		"a block that is cut":               {base[0], base[1], write(le, 3, 0, block[:grain]), write(le, 3, grain, block[grain:]), base[3], end},
		"a machine of the other byte order": {begin(binary.BigEndian, "a@1", 7), object(binary.BigEndian, 3, 512, "bonus"), write(binary.BigEndian, 3, 0, block), write(binary.BigEndian, 3, 1<<20, half), rec(binary.BigEndian, drrEnd, nil, nil)},
	} {
		for _, step := range []int{1, 311, 1 << 20} {
			if got, err := digestOf(t, step, parts...); err != nil || got.Sum != want.Sum {
				t.Errorf("%s, in steps of %d: %+v, %v", name, step, got, err)
			}
		}
	}
	other := bytes.Clone(block)
	other[2*grain+1] = 'y'
	for name, parts := range map[string][][]byte{
		"a byte":          {base[0], base[1], write(le, 3, 0, other), base[3], end},
		"an owner":        {base[0], object(le, 3, 131072, "bonuS"), base[2], base[3], end},
		"another place":   {base[0], base[1], write(le, 3, grain, block), base[3], end},
		"another object":  {base[0], object(le, 4, 131072, "bonus"), write(le, 4, 0, block), write(le, 4, 1<<20, half), end},
		"one object less": {base[0], base[2], base[3], end},
		"a block less":    {base[0], base[1], base[2], end},
		"one more spill":  {base[0], base[1], rec(le, drrSpill, map[int]uint64{8: 3, 16: 512}, make([]byte, 512)), base[2], base[3], end},
	} {
		if got, err := digestOf(t, 1000, parts...); err != nil || got.Sum == want.Sum {
			t.Errorf("%s is not seen: %v", name, err)
		}
	}
}

// Raw records count with what decrypts them.
func TestContentRaw(t *testing.T) {
	le := binary.LittleEndian
	end := rec(le, drrEnd, nil, nil)
	raw := func(iv byte) []byte {
		w := rec(le, drrWrite, map[int]uint64{8: 3, 32: 4096, 96: 16}, []byte("0123456789abcdef"))
		w[50], w[113] = 15, iv
		return w
	}
	head := rec(le, drrBegin, map[int]uint64{8: beginMagic, 16: streamPlain | featureRaw<<2, 40: 7}, nil)
	a, err := digestOf(t, 100, head, raw(1), end)
	b, err2 := digestOf(t, 100, head, raw(2), end)
	if err != nil || err2 != nil || !a.Raw || a.Sum == b.Sum {
		t.Errorf("%+v %v, %+v %v", a, err, b, err2)
	}
}

// What is no whole full stream is refused, and no length is believed.
func TestContentRefuses(t *testing.T) {
	le := binary.LittleEndian
	head, end := begin(le, "a@1", 7), rec(le, drrEnd, nil, nil)
	for name, parts := range map[string][][]byte{
		"early":        {head},
		"in part":      {head, end[:100]},
		"nothing":      {},
		"no stream":    {bytes.Repeat([]byte("hello "), 100)},
		"it goes on":   {head, end, []byte("x")},
		"twice":        {head, head, end},
		"incremental":  {rec(le, drrBegin, map[int]uint64{8: beginMagic, 16: streamPlain, 40: 7, 48: 6}, nil), end},
		"compound":     {rec(le, drrBegin, map[int]uint64{8: beginMagic, 16: 2, 40: 7}, nil), end},
		"a length":     {head, rec(le, drrWrite, map[int]uint64{32: 1 << 62}, nil)},
		"a kind":       {head, rec(le, drrWriteByRef, nil, nil), end},
		"another kind": {head, rec(le, drrRedact, nil, nil), end},
		"compressed, in plain": {head, func() []byte {
			w := rec(le, drrWrite, map[int]uint64{32: 4096, 96: 8}, make([]byte, 8))
			w[50] = 15
			return w
		}(), end},
	} {
		if got, err := digestOf(t, 77, parts...); err == nil {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func FuzzContent(f *testing.F) {
	le := binary.LittleEndian
	f.Add(bytes.Join([][]byte{begin(le, "a@1", 7), object(le, 3, 512, "bonus"), write(le, 3, 0, []byte(strings.Repeat("x", 512))), rec(le, drrEnd, nil, nil)}, nil))
	f.Fuzz(func(t *testing.T, stream []byte) {
		whole, err := digestOf(t, 1<<20, stream)
		pieces, err2 := digestOf(t, 13, stream)
		if whole != pieces || (err == nil) != (err2 == nil) {
			t.Errorf("%+v %v, in pieces %+v %v", whole, err, pieces, err2)
		}
	})
}
