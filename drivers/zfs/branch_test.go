package zfs

import (
	"encoding/binary"
	"errors"
	"testing"
)

// A stream that holds nothing is its first record, what belongs to that, and its last, however it comes in parts.
func TestUntouched(t *testing.T) {
	for _, c := range []struct {
		length, payload, part int
		touched, whole        bool
	}{
		{2 * RecordSize, 0, 1000, false, true},
		{2 * RecordSize, 0, 1, false, true},
		{2*RecordSize + 128, 128, 7, false, true},
		{2*RecordSize + 1, 0, 100, true, true},
		{2*RecordSize + 129, 128, 5000, true, true},
		{3 * RecordSize, 0, 3 * RecordSize, true, true},
		{RecordSize, 0, 100, false, false},
		{0, 0, 1, false, false},
	} {
		text := make([]byte, c.length)
		if c.length > 8 {
			binary.LittleEndian.PutUint32(text[4:], uint32(c.payload))
		}
		u, touched := &Untouched{}, false
		for len(text) > 0 {
			n := min(c.part, len(text))
			if _, err := u.Write(text[:n]); err != nil {
				touched = errors.Is(err, ErrTouched)
				break
			}
			text = text[n:]
		}
		if touched != c.touched || u.Whole() != c.whole {
			t.Errorf("%+v: touched %t, whole %t", c, touched, u.Whole())
		}
	}
	if _, err := (&Untouched{}).Write(append([]byte{4}, make([]byte, 2*RecordSize)...)); !errors.Is(err, ErrTouched) {
		t.Errorf("what begins with no first record: %v", err)
	}
}
