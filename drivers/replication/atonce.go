package replication

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/drivers/zfs"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// sendAll sends the datasets. Where a rate is declared it is for all of the replication, and one goes after the other.
func (t *transfer) sendAll(ctx context.Context, pairs []state.Pair) (done int, err error) {
	room := t.Room
	if t.Rate > 0 {
		room = nil
	}
	done, err = atOnce(t.Pairs, room, func(plan drivers.SendingPair) error {
		err := t.pair(ctx, plan, pairs)
		t.noting.Lock()
		defer t.noting.Unlock()
		t.went(plan, err)
		return err
	})
	return done, errors.Join(err, t.open())
}

// atOnce sends datasets, those above before those below, and some at once where there is room. One stream each replication
// has whatever the others do, and those who wait for room get it in turn: none keeps another one from going on. done is how
// many went well.
func atOnce(plans []drivers.SendingPair, room chan struct{}, send func(drivers.SendingPair) error) (done int, err error) {
	errs := make([]error, len(plans))
	below := func(i, k int) bool {
		return spec.DatasetName(plans[i].Target).Under(spec.DatasetName(plans[k].Target))
	}
	one := func(i int, failed []bool) error {
		for k := range plans {
			if failed[k] && below(i, k) && plans[i].Full {
				return fmt.Errorf("not begun: %s above it failed", plans[k].Target)
			}
		}
		return send(plans[i])
	}
	failed := make([]bool, len(plans))
	end := func(i int, err error) {
		if failed[i] = err != nil; err == nil {
			done++
			return
		}
		errs[i] = fmt.Errorf("%s to %s: %w", plans[i].Source, plans[i].Target, hinted(err))
	}
	if room == nil {
		for i := range plans {
			end(i, one(i, failed))
		}
		return done, errors.Join(errs...)
	}
	type result struct {
		i   int
		err error
	}
	results := make(chan result)
	var waiting, running []int // of plans
	for i := range plans {
		waiting = append(waiting, i)
	}
	begin := func(n int) {
		i, now := waiting[n], slices.Clone(failed)
		waiting, running = slices.Delete(waiting, n, n+1), append(running, i)
		go func() { results <- result{i, one(i, now)} }()
	}
	for len(waiting)+len(running) > 0 {
		// What is received into has to be there.
		n := slices.IndexFunc(waiting, func(i int) bool {
			return !slices.ContainsFunc(running, func(k int) bool { return below(i, k) })
		})
		more := room
		switch {
		case n >= 0 && len(running) == 0:
			begin(n)
			continue
		case n < 0:
			more = nil
		}
		select {
		case more <- struct{}{}:
			begin(n)
		case r := <-results:
			running = slices.DeleteFunc(running, func(i int) bool { return i == r.i })
			if len(running) > 0 { // one of these has the place that is always there
				<-room
			}
			end(r.i, r.err)
		}
	}
	return done, errors.Join(errs...)
}

// hinted adds what a person can do where no later run would do better.
func hinted(err error) error {
	if is(zfs.ErrBadStream)(err) {
		return fmt.Errorf("%w; %s", err, zfs.Hint(err))
	}
	return err
}
