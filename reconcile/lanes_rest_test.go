package reconcile

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// sender has always something to send, but for what is being sent. Each run lasts until it is let go.
type sender struct{ waiting }

func (sender) Observe(context.Context, *spec.Spec, *state.Observed) error { return nil }

func (sender) Diff(in drivers.Input) (r drivers.Result) {
	if len(in.Have.Running) == 0 {
		r.Actions = []drivers.Action{{Object: ref("off"), Verb: drivers.Run, Risk: spec.Safe, Long: true, Scheduled: true}}
	}
	return r
}

type stopped struct{ now *time.Time }

func (c stopped) Now() time.Time                         { return *c.now }
func (c stopped) After(d time.Duration) <-chan time.Time { return nil }

// memoryless is a store that keeps nothing.
type memoryless struct{ Store }

func (memoryless) Recorded(context.Context) ([]state.Recorded, error)             { return nil, nil }
func (memoryless) Begin(context.Context, state.Event) (int64, error)              { return 1, nil }
func (memoryless) Log(context.Context, state.Event) error                         { return nil }
func (memoryless) SaveRecord(context.Context, state.Record) error                 { return nil }
func (memoryless) SavePatience(context.Context, []byte) error                     { return nil }
func (memoryless) Finish(context.Context, int64, string, string, time.Time) error { return nil }

// begun gives the minutes of two hours in which a run was begun, where each lasts for some minutes and ends with err; the
// loop looks again at once when one ended, as the daemon does.
func begun(t *testing.T, lasts int, err error) (minutes []int, l *Loop, p *Patience) {
	now := epoch
	w := &sender{waiting: waiting{fixed: fixed{kind: spec.KindReplication}, begun: make(chan string, 9), let: make(chan error)}}
	p = &Patience{Interval: time.Minute}
	l = &Loop{
		Drivers: []drivers.Driver{w}, Store: memoryless{}, Clock: stopped{&now}, Log: slog.New(slog.DiscardHandler),
		Lanes: &Lanes{Dirs: []string{t.TempDir()}}, Render: func(*Plan) ([]byte, error) { return nil, nil },
	}
	want := &spec.Spec{Daemon: spec.Daemon{Runtime: l.Lanes.Dirs[0]}}
	tick := func() {
		c := Consent{Risk: spec.Safe, Unattended: true, Patience: p}
		plan, obs, err := l.Plan(t.Context(), want, c)
		if err != nil {
			t.Fatal(err)
		}
		s, err := l.Carry(t.Context(), want, plan, obs, c, "test")
		if err != nil {
			t.Fatal(err)
		}
		p.Learn(s, now)
	}
	since := -1 // when the run began that lasts
	for m := range 120 {
		for range 2 { // the second is the look when one ended
			tick()
			if since < 0 && len(l.running(&want.Daemon)) > 0 {
				<-w.begun
				minutes, since = append(minutes, m), m
			}
			if since < 0 || m < since+lasts {
				break
			}
			w.let <- err
			l.Lanes.all.Wait()
			since = -1
		}
		if since >= 0 && m >= since+lasts {
			w.let <- err
			l.Lanes.all.Wait()
			since = -1
		}
		now = now.Add(time.Minute)
	}
	if since >= 0 {
		w.let <- err
		l.Lanes.all.Wait()
	}
	return minutes, l, p
}

// What fails in a lane rests as what fails elsewhere does: it is not begun again when its end is heard, nor is its failure
// forgotten while the next run lasts. What fails in part rests shorter, since all that is well of it waits with it; one
// whose parts rest by themselves does not rest.
func TestLanesRest(t *testing.T) {
	broken := errors.New("broken off")
	for name, c := range map[string]struct {
		lasts int
		err   error
		want  string
	}{
		"at once":              {0, broken, "[0 1 3 7 15 31 63]"},
		"after two minutes":    {2, broken, "[0 3 7 13 23 41 75]"},
		"in part":              {0, &drivers.Partial{Err: broken}, "[0 1 3 7 12 17 22 27 32 37 42 47 52 57 62 67 72 77 82 87 92 97 102 107 112 117]"},
		"its parts rest apart": {40, &drivers.Partial{Err: broken, Rests: true}, "[0 40 80]"},
		"well":                 {40, nil, "[0 40 80]"},
	} {
		t.Run(name, func(t *testing.T) {
			minutes, _, p := begun(t, c.lasts, c.err)
			if got := fmt.Sprint(minutes); got != c.want {
				t.Errorf("begun in the minutes %s, want %s", got, c.want)
			}
			if c.err == nil && len(p.failures) > 0 {
				t.Errorf("%+v", p.failures)
			}
		})
	}
}
