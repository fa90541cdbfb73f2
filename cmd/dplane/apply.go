package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dplaneos/dplane/cmd/internal/render"
	"github.com/dplaneos/dplane/cmd/internal/watch"
	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/reconcile"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
	"github.com/dplaneos/dplane/state/sqlite"
)

// The exit codes that only apply has.
const (
	exitStale  = 4
	exitSome   = 5
	exitLocked = 6
)

// applying is who an apply is, for those whom it locks out and for the loop afterwards.
const applying = "dplane apply"

type applyFlags struct {
	yes, dryRun bool
	allow       []string
	allowLimits bool
	try         time.Duration // 0: for good
	part        selectFlags
	wipe        wipeFlags
	wipes       map[string]string // what wipe names
	plan        string            // a saved plan
}

func (a *app) apply() *cobra.Command {
	var f applyFlags
	c := &cobra.Command{
		Use:   "apply [PLAN]",
		Short: "Plan, ask, and carry the plan out",
		Long: `Carries out what ` + "`dplane plan`" + ` shows, or exactly the plan in a file that ` + "`dplane plan --out`" + ` saved.
What destroys data is never covered by --yes: --allow names each such action by its id, --wipe each disk that is
not blank.

` + selectHelp + `

` + tryHelp + `

One at a time: a pass of the daemon is waited for, up to half a minute; another apply is not.

Exit status, the first that fits: 6 another apply holds the lock, 4 the saved plan no longer fits, 1 failed and
nothing done, 5 some failed or were interrupted, 3 all else done but something is held, blocked or refused, 0.`,
		Example: `  dplane apply
  dplane apply --yes
  dplane apply --dry-run
  dplane apply --try 2m --yes
  dplane apply --wipe /dev/disk/by-id/ata-A --wipe /dev/disk/by-id/ata-B=oldpool
  dplane plan --out p.json && dplane apply p.json --yes`,
		Args: args(0, 1),
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 1 {
				f.plan = args[0]
			}
			if f.try < 0 || f.try > reconcile.LongestTry {
				return usagef("--try %s: it may be up to %s", f.try, reconcile.LongestTry)
			}
			return a.runApply(c.Context(), f)
		},
	}
	c.Flags().BoolVar(&f.yes, "yes", false, "carry out without asking, up to what can't be taken back; never what destroys data")
	c.Flags().BoolVar(&f.dryRun, "dry-run", false, "print the exact command lines and change nothing")
	c.Flags().StringSliceVar(&f.allow, "allow", nil, "approve the action with this `id`, also where it destroys data")
	c.Flags().BoolVar(&f.allowLimits, "allow-limits", false, "approve more changes at once than daemon.limits admits")
	c.Flags().DurationVar(&f.try, "try", 0, "take it back after this `time` (2m), unless dplane confirm is typed before")
	f.part.add(c.Flags())
	f.wipe.add(c.Flags())
	return c
}

// consent is what these flags and a yes approve.
func (a *app) consent(f applyFlags, want *spec.Spec, part reconcile.Selection) reconcile.Consent {
	c := reconcile.ByHand(&want.Daemon.Limits, allowed(f.allow))
	if f.allowLimits {
		c.Limits = nil
	}
	c.Select, c.Wipe, c.Secrets, c.Trying = part, f.wipes, isTerminal(a.stdin), f.try > 0
	return c
}

// asked is what the command line asks for: a part of the plan, or a saved plan, which names its own.
func (f applyFlags) asked() (part reconcile.Selection, saved *bound, err error) {
	if f.plan == "" {
		part, err = f.part.selection()
		return part, nil, err
	}
	if len(f.part.only)+len(f.part.except) > 0 {
		return part, nil, usagef("--only and --except go to `dplane plan --out`: a saved plan is carried out as it is")
	}
	b, err := readPlan(f.plan)
	return b.Select, &b, err
}

func (a *app) runApply(ctx context.Context, f applyFlags) error {
	want, err := a.load()
	if err != nil {
		return err
	}
	part, saved, err := f.asked()
	if err != nil {
		return err
	}
	if f.wipes, err = f.wipe.named(want); err != nil {
		return err
	}
	if f.dryRun {
		return a.dryRun(ctx, want, f, part, saved)
	}
	if err := watch.CheckOwner(a.config); err != nil {
		return failf("chown root and chmod go-w what it names", "the configuration is not safe to act on: %w", err)
	}
	outliveReaders()
	lock, err := a.lock(ctx, want, applying, exitLocked)
	if err != nil {
		return err
	}
	defer lock.Release()
	defer context.AfterFunc(ctx, func() {
		fmt.Fprintln(a.stderr, "interrupted: the running command is waited for, and no other begins; once more ends at once")
	})()
	db, err := a.openStore(want.Daemon.Database)
	if err != nil {
		return err
	}
	defer db.Close()
	return a.applyUnderLock(ctx, want, db, lock, f, part, saved)
}

// openStore opens the database for writing, and says where a broken one was put aside.
func (a *app) openStore(path string) (*sqlite.Store, error) {
	db, err := sqlite.Open(path)
	if err != nil {
		return nil, failf(hintOf(err, "is the directory writable, and the disk not full? daemon.database names another file"), "open the database: %w", err)
	}
	if db.HistoryLost != "" {
		a.logger().Warn("the database was broken and a new one was begun", "why", db.HistoryLost)
		e := state.Event{At: reconcile.Wall{}.Now(), Type: state.MemoryLost, Level: state.Warn, Message: "history lost: " + db.HistoryLost}
		if err := db.Log(context.Background(), e); err != nil {
			return nil, errors.Join(fmt.Errorf("note that history was lost: %w", err), db.Close())
		}
	}
	return db, nil
}

func (a *app) applyUnderLock(ctx context.Context, want *spec.Spec, db *sqlite.Store, lock *reconcile.Lock, f applyFlags, part reconcile.Selection, saved *bound) error {
	l := a.loop(db, true)
	l.Progress, l.Lanes = a.progress, &reconcile.Lanes{Dirs: reconcile.LaneDirs(&want.Daemon)}
	if err := l.Settle(ctx, want, nil); err != nil {
		return err
	}
	if err := a.settleTry(ctx, l, want); err != nil {
		return err
	}
	consent := a.consent(f, want, part)
	p, obs, err := l.Plan(ctx, want, consent)
	if err != nil {
		return err
	}
	if p.ZFSError != "" {
		return failf(p.ZFSHint, "nothing can be done: %s", p.ZFSError)
	}
	if err := checkWipe(want, obs, f.wipes); err != nil {
		return err
	}
	p.Notices = append(p.Notices, firstInGroup(want, obs)...)
	if err := addReleased(ctx, db, want, p); err != nil {
		return err
	}
	if err := f.fitting(p, saved); err != nil {
		return err
	}
	trial, err := f.prepare(ctx, l, want, p)
	if err != nil {
		return err
	}
	if approved, err := a.ask(ctx, p, f.yes); !approved {
		return err
	}
	if err := f.useUp(ctx, db, saved, l.Clock); err != nil {
		return err
	}
	if err := a.accept(ctx, l, want, who()); err != nil {
		return err
	}
	if err := l.Remember(ctx, &reconcile.Patience{}); err != nil { // a person looks after it: the loop begins anew
		return err
	}
	reconcile.TryFileOf(want.Daemon.Database).Abandon()
	if err := trial.begin(l); err != nil {
		return err
	}
	s, err := l.Carry(ctx, want, p, obs, consent, who())
	if trial != nil {
		if back := a.conclude(ctx, l, want, trial, s, consent); back != nil {
			return back
		}
	}
	if err == nil {
		err = a.awaitLanes(ctx, l, want, lock, &s)
	}
	if err != nil {
		return &exitError{code: max(applyCode(s, f.plan != ""), exitFailed), err: err, hint: sqlite.Hint(err)}
	}
	return a.finish(s, f.plan != "")
}

// fitting checks that the flags, and a saved plan, are still about what is to be done.
func (f applyFlags) fitting(p *reconcile.Plan, saved *bound) error {
	if saved != nil {
		if why := saved.fits(p); why != "" {
			return stale(f.plan, why)
		}
		saved.leaveOut(p)
	}
	if err := fitsSomething(p); err != nil {
		return err
	}
	return knownIDs(p, f.allow)
}

// useUp marks a saved plan as carried out: it is used once.
func (f applyFlags) useUp(ctx context.Context, db *sqlite.Store, saved *bound, clock reconcile.Clock) error {
	if saved == nil {
		return nil
	}
	used, err := db.UsePlan(ctx, saved.Hash, clock.Now())
	if err != nil {
		return fmt.Errorf("mark the plan as used: %w", err)
	}
	if used {
		return stale(f.plan, "it was carried out before")
	}
	return nil
}

func stale(path, why string) error {
	return &exitError{
		code: exitStale, err: fmt.Errorf("the saved plan %s no longer fits: %s; nothing was done", path, why),
		hint: "dplane plan --out " + path + " makes a new one",
	}
}

// ask shows the plan and asks for leave. Where there is nothing to carry out it says so, and ends.
func (a *app) ask(ctx context.Context, p *reconcile.Plan, yes bool) (bool, error) {
	if !a.json {
		if err := render.PlanText(a.stdout, p, render.TextOptions{Color: a.colorOn(a.stdout), Commands: restores(p)}); err != nil {
			return false, err
		}
	}
	runnable := 0
	for _, x := range p.Actions {
		if x.Runnable() {
			runnable++
		}
	}
	if yes || runnable == 0 {
		return true, nil
	}
	if !isTerminal(a.stdin) {
		return false, &exitError{code: exitHeld, err: errors.New("standard input is no terminal, so nobody can be asked; nothing was done"), hint: "dplane apply --yes carries it out"}
	}
	fmt.Fprintf(a.stderr, "Carry out %d action(s)? Only \"yes\" is taken for a yes: ", runnable)
	line, err := answer(ctx, a.stdin, reconcile.Wall{}.After(answerTime))
	if err == nil && line != "yes" {
		err = errors.New("not approved")
	}
	if err != nil {
		return false, &exitError{code: exitHeld, err: fmt.Errorf("%w; nothing was done", err)}
	}
	return true, nil
}

// answerTime is how long an answer is waited for: the lock is held meanwhile, so that the loop takes no snapshot, and what
// was seen grows old.
const answerTime = 10 * time.Minute

// answer reads one line, unless its time is over before. Whoever waits for more of r then, waits to the end of the process.
func answer(ctx context.Context, r io.Reader, over <-chan time.Time) (string, error) {
	lines := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(r).ReadString('\n')
		lines <- strings.TrimSpace(line)
	}()
	select {
	case line := <-lines:
		return line, nil
	case <-over:
		return "", fmt.Errorf("nobody answered within %s", answerTime)
	case <-ctx.Done():
		return "", errors.New("interrupted")
	}
}

// progress tells how an action ended; lanes call it too, so that it has to be one write.
func (a *app) progress(o reconcile.Outcome) {
	if a.json {
		return
	}
	line := fmt.Sprintf("%s: %s %s\n", o.Outcome, o.Action.Verb, o.Action.Object)
	if o.Err != nil {
		line += fmt.Sprintf("  %v\n", o.Err)
	}
	a.telling.Lock()
	defer a.telling.Unlock()
	if a.halfLine {
		line, a.halfLine = "\r\x1b[K"+line, false
	}
	fmt.Fprint(a.stderr, line)
}

// finish tells how it ended. That nobody could be told changes nothing of how it ended.
func (a *app) finish(s reconcile.Step, saved bool) error {
	var err error
	if a.json {
		err = a.print(render.OutcomesJSON(s))
	} else {
		err = render.OutcomesText(a.stdout, s)
	}
	return &exitError{code: applyCode(s, saved), err: err}
}

// applyCode is the exit code of PRODUCT.md section 3: the first that fits.
func applyCode(s reconcile.Step, saved bool) int {
	done := s.Outcomes.Count(state.Done)
	failed := s.Outcomes.Count(state.Failed, state.Interrupted) // what was skipped is told by what it waited for
	refused := s.Outcomes.Count(state.Refused)
	for _, o := range s.Outcomes {
		var part *drivers.Partial
		switch {
		case errors.Is(o.Err, reconcile.ErrUnderWay):
			refused++
		case errors.As(o.Err, &part) && !part.Nothing:
			done++
		}
	}
	switch {
	case saved && refused > 0 && done == 0:
		return exitStale
	case failed > 0 && done == 0:
		return exitFailed
	case failed > 0:
		return exitSome
	case refused > 0 || s.Remaining.Pending() > 0 || s.Remaining.Asked() > 0 || len(s.Remaining.Unseen) > 0:
		return exitHeld
	}
	return 0
}

func (a *app) dryRun(ctx context.Context, want *spec.Spec, f applyFlags, part reconcile.Selection, saved *bound) error {
	store, done, err := memory(want.Daemon.Database)
	if err != nil {
		return err
	}
	defer done()
	p, obs, err := a.loop(store, false).Plan(ctx, want, a.consent(f, want, part))
	if err != nil {
		return err
	}
	if p.ZFSError != "" {
		return failf(p.ZFSHint, "nothing can be planned: %s", p.ZFSError)
	}
	if err := checkWipe(want, obs, f.wipes); err != nil {
		return err
	}
	if err := f.fitting(p, saved); err != nil {
		return err
	}
	if a.json {
		return a.print(render.PlanJSON(p))
	}
	return a.printCommands(p)
}

func (a *app) printCommands(p *reconcile.Plan) error {
	for _, x := range p.Actions {
		if !x.Runnable() {
			why := x.Held
			if x.Verb == drivers.Blocked {
				why = "blocked"
			}
			fmt.Fprintf(a.stderr, "not run: %s %s: %s\n", x.Verb, x.Object, why)
			continue
		}
		for _, c := range x.Steps {
			if _, err := fmt.Fprintln(a.stdout, c); err != nil {
				return err
			}
		}
	}
	return nil
}

func allowed(ids []string) map[string]bool {
	m := map[string]bool{}
	for _, id := range ids {
		m[id] = true
	}
	return m
}

// knownIDs refuses an approval that fits nothing: it was meant for another plan.
func knownIDs(p *reconcile.Plan, ids []string) error {
	known := map[string]bool{}
	for _, a := range p.Actions {
		known[a.ID] = true
	}
	for _, id := range ids {
		if !known[id] {
			return failf("dplane plan shows the ids of today", "--allow %s: the plan has no such action; nothing was done", id)
		}
	}
	return nil
}

// who is the person behind this run, for the journal.
func who() string {
	if u := os.Getenv("SUDO_USER"); u != "" {
		return u
	}
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return fmt.Sprintf("uid %d", os.Getuid())
}
