package replication

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/drivers/zfs"
	"github.com/dplaneos/dplane/drivers/zfs/stream"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// stall is how long no byte may move.
const stall = 10 * time.Minute

// Progress is how far a stream is.
type Progress struct {
	Replication, Source string
	Bytes               int64 // that were sent
	Size                int64 // that the sender expects; 0: it does not tell
	Took                time.Duration
}

// stream runs one stream to its end.
func (t *transfer) stream(ctx context.Context, plan drivers.SendingPair, p state.Pair, send host.Command) error {
	var moved int64
	var size atomic.Int64 // the sender tells it while it runs
	began := t.Now()
	c := pipe(t.Sending, p.Source.Type, plan.Target, send)
	c.Pipe.Moved = func(n int64) {
		if moved = n; t.Tell != nil {
			t.Tell(Progress{Replication: t.Replication, Source: plan.Source, Bytes: n, Size: size.Load(), Took: t.Now().Sub(began)})
		}
	}
	c.Pipe.Count = counter(&size)
	if t.From != "" { // nobody vouches for what another machine sends
		c.Pipe.Sift = stream.Sift(p.Source.Type == "volume")
	}
	res, err := t.Runner.Run(ctx, c)
	if err == nil { // one that is over within a second tells of no progress
		moved = max(moved, size.Load())
		t.received(plan)
		t.notSet(plan.Target, res)
	}
	t.noting.Lock()
	defer t.noting.Unlock()
	t.run.Bytes += moved
	t.run.Streams++
	return err
}

// counter reads what a sender says of its progress, and notes the size that it expects. What it says of a token, in lines
// that begin with a tab, is no error either.
func counter(size *atomic.Int64) func(string) (int64, bool) {
	last := int64(0)
	return func(line string) (int64, bool) {
		if n, ok := zfs.SendProgress(line); ok {
			last = n
			return n, true
		}
		kind, _, _ := strings.Cut(line, "\t")
		if n, ok := zfs.ParseEstimate([]byte(line)); ok {
			size.Store(n)
		}
		return last, slices.Contains([]string{"full", "incremental", "size", "resume token contents:", "nvlist version: 0", ""}, kind)
	}
}

// pipe is a sender with its receiver.
func pipe(w *drivers.Sending, kind, target string, send host.Command) host.Command {
	set := map[string]string{}
	on := spec.Filesystems
	if kind == "volume" {
		on = spec.Volumes
	}
	for name, value := range w.Set {
		if _, ok := spec.LookupProperty(name, on); ok || spec.IsUserProperty(name) {
			set[name] = value
		}
	}
	without := slices.DeleteFunc(slices.Clone(w.Without), func(name string) bool {
		_, ok := spec.LookupProperty(name, on)
		return !ok && !spec.IsUserProperty(name)
	})
	send.Host = w.From
	c := zfs.Receive(target, set, without)
	c.Host, c.Stdin = w.To, &send
	c.Pipe = host.Pipe{Rate: w.Rate, Stall: stall}
	return c
}
