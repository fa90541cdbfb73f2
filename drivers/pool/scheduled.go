package pool

import (
	"fmt"
	"time"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/drivers/zfs"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// job is work on a pool that the files schedule.
type job struct {
	name  string // scrub, trim
	rule  *spec.Recur
	last  time.Time // when the newest one ended, or was stopped by a person; of one that is paused, when it began
	begin host.Command
	stop  string // what a person types
}

// scheduled is the work that is due and can begin now: one at a time on a pool, and none while it works on something
// else. The files of a pool that is not yet recorded say nothing of what was done before: it counts from the pass that
// records it, so that a pool that was just made or found is not scrubbed at once.
func scheduled(in drivers.Input, want *spec.Pool, have *state.Pool) (due []drivers.Action, notices []string) {
	r, known := in.Have.RecordedAs(string(spec.KindPool), have.Name)
	if !known || r.First.IsZero() || busy(have) {
		return nil, nil
	}
	for _, j := range []job{
		{"scrub", want.Scrub, latest(have.Scrubbed, paused(have)), zfs.Scrub(have.Name), "zpool scrub -s " + have.Name},
		{"trim", want.Trim, have.Trimmed, zfs.Trim(have.Name), "zpool trim -c " + have.Name},
	} {
		if j.rule == nil {
			continue
		}
		rule, err := in.Want.Recurrence(j.rule)
		switch {
		case err != nil:
			notices = append(notices, fmt.Sprintf("pool %s (%s): its %s is not scheduled: %v", have.Name, j.rule.Pos.At(), j.name, err))
		case have.Properties["readonly"].Value == "on":
			notices = append(notices, fmt.Sprintf("pool %s (%s): it is imported read-only, so no %s of it can run", have.Name, j.rule.Pos.At(), j.name))
		case j.name == "trim" && have.Trimless:
			notices = append(notices, fmt.Sprintf("pool %s (%s): a trim is scheduled, and none of its devices can be trimmed", have.Name, j.rule.Pos.At()))
		case len(due) == 0 && rule.Due(latest(j.last, r.First), in.Now):
			due = append(due, j.action(want, have, rule.Last(in.Now)))
		}
	}
	return due, notices
}

func (j job) action(want *spec.Pool, have *state.Pool, at time.Time) drivers.Action {
	observed, last := "none is known since it was first seen", map[string]time.Time{"scrub": have.Scrubbed, "trim": have.Trimmed}[j.name]
	if !last.IsZero() {
		observed = "the last one ended " + moment(last)
	}
	a := drivers.Action{
		Object: ref(want.Name), GUID: have.GUID, Verb: drivers.Run, Risk: spec.Safe, Scheduled: true,
		Reason: drivers.Reason{Code: drivers.Due, At: j.rule.Pos.At(), Observed: observed},
		Fields: []drivers.Field{{Name: j.name, To: "due since " + moment(at)}},
		Undo:   j.stop,
		Steps:  []host.Command{j.begin},
		Guard: []host.Expect{zfs.ExpectPoolProps(have.Name, map[string]state.Property{
			"guid": {Value: have.GUID, Source: "-"}, "readonly": {Value: "off", Source: "-"}, // where it is on, zpool scrub hangs for ever (2.3.9; 2.1.11 refuses)
		})},
		Notes: []string{"it begins now and runs on by itself: dplane status shows how far it is"},
	}
	if s := have.Scanned; j.name == "scrub" && s != nil && s.State == state.Paused {
		a.Notes = append(a.Notes, "the scrub that is paused goes on from where it was")
	}
	return a
}

// paused is when the scrub began that a person paused: it goes on when the next one is due, not at once.
func paused(p *state.Pool) time.Time {
	if s := p.Scanned; s != nil && s.Kind == "scrub" && s.State == state.Paused {
		return s.Start
	}
	return time.Time{}
}

// busy tells whether the pool works on something that a scrub or trim would slow down, or that would stop it. A scrub
// that is paused does nothing.
func busy(p *state.Pool) bool {
	running := func(w *state.Work) bool { return w != nil && w.State == state.Running }
	return running(p.Scanned) || p.Removal.Runs() || p.Expansion.Runs() || running(p.Trimming)
}

// remember fills in when the pool was last scrubbed and trimmed: ZFS forgets a scrub when it resilvers, and a trim with
// the device that had it. A scrub that was canceled counts: the person who stopped it does not want it back at once. It
// is the end that counts, not the beginning: one that ran into the next is enough.
func remember(obs *state.Observed, p *state.Pool) {
	if s := p.Scanned; s != nil && s.Kind == "scrub" && !s.Runs() {
		p.Scrubbed = s.End
	}
	if r, known := obs.RecordedAs(string(spec.KindPool), p.Name); known && r.GUID == p.GUID {
		p.Scrubbed, p.Trimmed = latest(p.Scrubbed, r.Scrubbed), latest(p.Trimmed, r.Trimmed)
	}
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func moment(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 MST") }
