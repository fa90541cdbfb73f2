package main

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/dplaneos/dplane/cmd/internal/render"
	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/reconcile"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// The exit codes of apply, the first that fits (PRODUCT.md section 3).
func TestApplyCode(t *testing.T) {
	for name, c := range map[string]struct {
		outcomes []string
		left     int
		saved    bool
		want     int
	}{
		"nothing to do":                          {nil, 0, false, 0},
		"all done":                               {[]string{state.Done, state.Done}, 0, false, 0},
		"something held":                         {[]string{state.Done}, 1, false, 3},
		"nothing but what is held":               {nil, 1, false, 3},
		"failed, nothing done":                   {[]string{state.Failed, state.Skipped}, 2, false, 1},
		"some failed":                            {[]string{state.Done, state.Failed}, 1, false, 5},
		"interrupted":                            {[]string{state.Done, state.Interrupted}, 1, false, 5},
		"refused":                                {[]string{state.Done, state.Refused}, 1, false, 3},
		"refused, and what waited for it":        {[]string{state.Refused, state.Skipped}, 2, false, 3},
		"refused and failed":                     {[]string{state.Done, state.Refused, state.Failed}, 2, false, 5},
		"a saved plan refused at its first step": {[]string{state.Refused, state.Skipped}, 2, true, 4},
		"a saved plan refused half-way":          {[]string{state.Done, state.Refused}, 1, true, 3},
	} {
		s := reconcile.Step{Remaining: &reconcile.Plan{Actions: make([]reconcile.Planned, c.left)}}
		for _, o := range c.outcomes {
			s.Outcomes = append(s.Outcomes, reconcile.Outcome{Outcome: o})
		}
		if got := applyCode(s, c.saved); got != c.want {
			t.Errorf("%s: exit code %d, want %d", name, got, c.want)
		}
	}
}

// What failed in part is some that failed, unless nothing of it was done this time.
func TestApplyCodeOfAPart(t *testing.T) {
	for want, err := range map[int]error{
		exitSome:   errors.Join(&drivers.Partial{Err: io.EOF}, nil),
		exitFailed: &drivers.Partial{Err: io.EOF, Nothing: true},
	} {
		s := reconcile.Step{Remaining: &reconcile.Plan{}, Outcomes: reconcile.Outcomes{{Outcome: state.Failed, Err: err}}}
		if got := applyCode(s, false); got != want {
			t.Errorf("exit code %d, want %d", got, want)
		}
	}
}

// A try leaves scheduled work for later: it can't be taken back.
func TestConsentOfTry(t *testing.T) {
	a, want := &app{}, &spec.Spec{}
	for try, trying := range map[time.Duration]bool{0: false, time.Minute: true} {
		if c := a.consent(applyFlags{try: try}, want, reconcile.Selection{}); c.Trying != trying {
			t.Errorf("--try %s: trying is %t", try, c.Trying)
		}
	}
}

// Scheduled work that became due meanwhile, or that waits, is no change that is left.
func TestApplyCodeOfScheduledWork(t *testing.T) {
	scrub := reconcile.Planned{Action: drivers.Action{Verb: drivers.Run, Scheduled: true}}
	waits := scrub
	waits.Held = "held"
	s := reconcile.Step{Plan: &reconcile.Plan{}, Remaining: &reconcile.Plan{Actions: []reconcile.Planned{scrub, waits}}, Outcomes: reconcile.Outcomes{{Outcome: state.Done}}}
	for _, saved := range []bool{false, true} {
		if got := applyCode(s, saved); got != 0 {
			t.Errorf("saved %t: exit code %d", saved, got)
		}
	}
	var out strings.Builder
	if err := render.OutcomesText(&out, s); err != nil || out.String() != "Applied: 1 action done.\n" {
		t.Errorf("%v, said %q", err, &out)
	}
}

// Nobody is waited for for ever, for the lock is held meanwhile.
func TestAnswer(t *testing.T) {
	never := make(chan time.Time)
	if line, err := answer(t.Context(), strings.NewReader(" yes \nmore"), never); line != "yes" || err != nil {
		t.Errorf("%q, %v", line, err)
	}
	if line, err := answer(t.Context(), strings.NewReader(""), never); line != "" || err != nil {
		t.Errorf("at the end: %q, %v", line, err)
	}
	silent, w := io.Pipe()
	defer w.Close()
	over := make(chan time.Time, 1)
	over <- time.Time{}
	if _, err := answer(t.Context(), silent, over); err == nil || !strings.Contains(err.Error(), "nobody answered within 10m") {
		t.Errorf("too late: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := answer(ctx, silent, never); err == nil {
		t.Error("interrupted, and an answer")
	}
}
