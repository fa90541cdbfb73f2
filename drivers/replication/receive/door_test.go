package receive

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"testing"

	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/drivers/zfs"
)

// there is a machine where what is asked for is a file system.
type there struct{}

func (there) Run(context.Context, host.Command) (host.Result, error) {
	return host.Result{Stdout: []byte("filesystem\n")}, nil
}

// A row is fed to zfs through the sieve; one that says by its head that it is more is not begun.
func TestDoorSifts(t *testing.T) {
	le := binary.LittleEndian
	record := func(head []byte, name string) []byte {
		b := make([]byte, zfs.RecordSize)
		copy(b, head)
		copy(b[56:], name)
		return b
	}
	end := make([]byte, zfs.RecordSize)
	le.PutUint32(end, 5)
	evil := bytes.Join([][]byte{record(headOf(2, 0, 0), "tank/home@3"), end, record(headOf(1, ofFiles, 0), "tank/home-evil@1")}, nil)
	withProperties := bytes.Clone(evil)
	le.PutUint32(withProperties[4:], 612)
	for what, stream := range map[string][]byte{"evil": evil, "with properties": withProperties} {
		var got bytes.Buffer
		fed := false
		door := Door{Rules: plainKey, Runner: there{}, Head: func(n int) ([]byte, error) { return stream[:n], nil },
			Become: func([]string) error { t.Error("zfs has the stream itself"); return nil },
			Feed: func(_ []string, sift func(io.Reader, io.Writer) error) error {
				fed = true
				return sift(bytes.NewReader(stream), &got)
			}}
		err := door.Open(t.Context(), receiving+"backup/home")
		var refused *Refused
		if !errors.As(err, &refused) || refused.Late != (what == "evil") || fed != (what == "evil") || got.Len() > 2*zfs.RecordSize {
			t.Errorf("%s: fed %t with %d bytes: %v", what, fed, got.Len(), err)
		}
	}
}
