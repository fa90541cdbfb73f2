package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/dplaneos/dplane/drivers/zfs"
	"github.com/dplaneos/dplane/reconcile"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// confirmEvery is how often it is looked for a confirmation.
const confirmEvery = 250 * time.Millisecond

const tryHelp = `--try makes changes of properties, mounts and names for a while: the previous values and sources come back unless
` + "`dplane confirm`" + ` is typed in time, in another session if this one was lost. It survives a crash and a reboot: then the
daemon, or the next apply, takes back what nobody confirmed. Interrupting takes it back at once.`

// trial is an apply with --try that is under way.
type trial struct {
	file reconcile.TryFile
	try  *reconcile.Try
	wait time.Duration
}

// prepare reads what is to come back, and refuses what can't.
func (f applyFlags) prepare(ctx context.Context, l *reconcile.Loop, want *spec.Spec, p *reconcile.Plan) (*trial, error) {
	if f.try == 0 {
		return nil, nil
	}
	t, err := reconcile.NewTry(ctx, l.Runner, zfs.Reverse, p)
	var no *reconcile.UntriableError
	if errors.As(err, &no) {
		return nil, &exitError{code: exitHeld, err: fmt.Errorf("%w; nothing was done", err), hint: "--only and --except choose what is tried; dplane apply without --try does the rest"}
	}
	if err != nil {
		return nil, err
	}
	if len(t.Actions) == 0 {
		return nil, nil
	}
	t.By = who()
	return &trial{file: reconcile.TryFileOf(want.Daemon.Database), try: t, wait: f.try}, nil
}

// begin writes down what is to come back, before the first command. A session that is lost must not end it: to see
// whether one can still log in is what a try is for.
func (t *trial) begin(l *reconcile.Loop) error {
	if t == nil {
		return nil
	}
	signal.Ignore(syscall.SIGHUP)
	t.try.Deadline = l.Clock.Now().Add(t.wait)
	return t.file.Begin(t.try)
}

// end waits for the confirmation, or takes everything back. kept tells which.
func (a *app) end(ctx context.Context, l *reconcile.Loop, t *trial) (kept bool, err error) {
	if err := t.try.Note(context.WithoutCancel(ctx), l.Runner); err != nil {
		a.logger().Warn("what was tried is taken back without a look at what was changed since", "err", err)
	}
	deadline := l.Clock.Now().Add(t.wait)
	if err := t.file.Note(t.try, deadline); err != nil {
		a.logger().Warn("the time counts from the beginning of the apply", "err", err)
		deadline = t.try.Deadline
	}
	fmt.Fprintf(a.stderr, "tried until %s: `dplane confirm` keeps it, else the previous values come back\n", deadline.UTC().Format(time.RFC3339))
	why := "nobody confirmed it by " + deadline.UTC().Format(time.RFC3339)
	for l.Clock.Now().Before(deadline) {
		switch pending, err := t.file.Pending(); {
		case err != nil:
			return false, err
		case pending == nil:
			return true, nil
		}
		select {
		case <-ctx.Done():
			why = "interrupted"
			deadline = l.Clock.Now()
		case <-l.Clock.After(min(confirmEvery, deadline.Sub(l.Clock.Now()))):
		}
	}
	ours, err := t.file.Overdue()
	if err != nil || !ours {
		return err == nil, err
	}
	return false, l.TakeBack(ctx, t.file, t.try, why)
}

// conclude ends an apply with --try: what was confirmed ended as it ended, what was taken back is as if nothing had
// been done.
func (a *app) conclude(ctx context.Context, l *reconcile.Loop, want *spec.Spec, t *trial, s reconcile.Step, consent reconcile.Consent) error {
	if s.Outcomes.Count(state.Done, state.Failed) == 0 { // nothing was changed that could be confirmed
		return l.Overdue(context.WithoutCancel(ctx), t.file, t.try, "nothing was changed")
	}
	kept, err := a.end(ctx, l, t)
	if err != nil {
		return &exitError{code: exitSome, err: err, hint: "the daemon, or the next apply, goes on with it"}
	}
	if kept {
		fmt.Fprintln(a.stderr, "confirmed")
		return nil
	}
	if _, err := l.Look(context.WithoutCancel(ctx), want, consent, who()); err != nil {
		return err
	}
	return failf("dplane apply does it for good", "not confirmed: the previous values and sources are back")
}

// settleTry is for whoever is about to change something: a try of a process that died comes first. What can't be
// taken back is no reason to do nothing else: it ends with what the person applies now.
func (a *app) settleTry(ctx context.Context, l *reconcile.Loop, want *spec.Spec) error {
	pending, err := l.SettleTry(ctx, reconcile.TryFileOf(want.Daemon.Database))
	if err != nil {
		a.logger().Warn("what was tried could not be taken back, and stays unless this apply changes it", "err", err)
	}
	if pending != nil {
		return &exitError{
			code: exitHeld, err: fmt.Errorf("what %s tried waits for a confirmation until %s; nothing was done", pending.By, pending.Deadline.UTC().Format(time.RFC3339)),
			hint: "dplane confirm keeps it",
		}
	}
	return nil
}

func (a *app) confirm() *cobra.Command {
	return &cobra.Command{
		Use:   "confirm",
		Short: "Keep what `dplane apply --try` tried",
		Long: `Keeps what an apply with --try changed; without it the previous values come back. It works in any session, also
when the apply was killed or the machine restarted meanwhile, as long as the time is not over.`,
		Example: "  dplane apply --try 2m --yes\n  dplane confirm",
		Args:    args(0, 0),
		RunE:    func(c *cobra.Command, _ []string) error { return a.runConfirm(c.Context()) },
	}
}

func (a *app) runConfirm(ctx context.Context) error {
	want, err := a.load()
	if err != nil {
		return err
	}
	file := reconcile.TryFileOf(want.Daemon.Database)
	t, err := file.Pending()
	if err != nil {
		return failf("run it as root", "%w", err)
	}
	if t == nil {
		return failf("dplane events tells what became of it", "nothing is being tried, or its time is over")
	}
	if now := (reconcile.Wall{}).Now(); !now.Before(t.Deadline) {
		return failf("dplane apply does it again", "too late: its time was over at %s", t.Deadline.UTC().Format(time.RFC3339))
	}
	kept, err := file.Confirm()
	if err != nil {
		return failf("run it as root", "confirm: %w", err)
	}
	if !kept {
		return failf("dplane apply does it again", "too late: it is being taken back")
	}
	if err := a.noteConfirmed(ctx, want, t); err != nil {
		a.logger().Warn("it is kept, but the journal does not tell", "err", err)
	}
	doc := []byte(fmt.Sprintf("confirmed: %d change(s) are kept\n", len(t.Undo)))
	if a.json {
		doc, err = json.Marshal(map[string]any{"version": 1, "confirmed": t.Actions})
		doc = append(doc, '\n')
	}
	return a.print(doc, err)
}

func (a *app) noteConfirmed(ctx context.Context, want *spec.Spec, t *reconcile.Try) error {
	db, err := a.openStore(want.Daemon.Database)
	if err != nil {
		return err
	}
	defer db.Close()
	a.loop(db, false).Kept(ctx, t, who())
	return nil
}
