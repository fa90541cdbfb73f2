package replication

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/drivers/zfs"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// piped keeps what is asked of it.
type piped struct{ last host.Command }

func (p *piped) Run(_ context.Context, c host.Command) (host.Result, error) {
	p.last = c
	return host.Result{}, nil
}

// What another machine sends is looked at before zfs receives it, each kind as what it should be; what is sent from here goes by
// unseen: no byte of it is copied.
func TestFetchedIsSifted(t *testing.T) {
	begin := func(of byte) []byte { // drr_begin of the stream of one snapshot
		b := make([]byte, zfs.RecordSize)
		copy(b[8:], []byte{0xac, 0xcb, 0xba, 0xf5, 2})
		b[16], b[32] = 1, of
		return b
	}
	files, volume := begin(2), begin(3)
	for _, c := range []struct {
		from, kind string
		good, bad  []byte // good nil: there is nothing that looks
	}{{"", "filesystem", nil, nil}, {"nas", "filesystem", files, volume}, {"nas", "volume", volume, files}} {
		var p piped
		w := way(&spec.Replication{Name: "off", Source: spec.End{Remote: c.from, Dataset: "tank/a"}, Target: spec.End{Dataset: "usb/a"}})
		tr := &transfer{Driver: &Driver{Runner: &p, Memory: nothing{}, Now: time.Now}, Sending: w}
		tr.sent = map[string]state.Sent{}
		plan := drivers.SendingPair{Source: "tank/a", Target: "usb/a"}
		if err := tr.stream(t.Context(), plan, state.Pair{Source: state.End{Name: "tank/a", Type: c.kind}}, zfs.Stream{Snapshot: "tank/a@one"}.Send()); err != nil {
			t.Fatal(err)
		}
		if (p.last.Pipe.Sift != nil) != (c.good != nil) {
			t.Fatalf("%q, %s: sifted: %t", c.from, c.kind, p.last.Pipe.Sift != nil)
		}
		if c.good == nil {
			continue
		}
		var out bytes.Buffer
		if err := p.last.Pipe.Sift(bytes.NewReader(c.good), &out); err != nil || !bytes.Equal(out.Bytes(), c.good) {
			t.Errorf("%s: %d bytes come through: %v", c.kind, out.Len(), err)
		}
		var unfit *host.Unfit
		if err := p.last.Pipe.Sift(bytes.NewReader(c.bad), io.Discard); !errors.As(err, &unfit) {
			t.Errorf("%s: one of another kind: %v", c.kind, err)
		}
	}
}
