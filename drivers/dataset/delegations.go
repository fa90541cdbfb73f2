package dataset

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/drivers/zfs"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// staleAfter is how long what `zfs allow` said is taken for true: it takes a process for each dataset, and a change by hand
// moves nothing that is read anyway.
const staleAfter = time.Hour

// delegations are what was read of the datasets whose permissions are declared: at start, after a change of the files or by
// dplane, and hourly.
type delegations struct {
	mu   sync.Mutex
	read map[string]readAllow
}

type readAllow struct {
	guid, want string
	state.Delegations
}

// observeAllow reads the delegations of those datasets that declare some, and looks up the accounts that a plan would name.
func (d *Driver) observeAllow(ctx context.Context, want *spec.Spec, obs *state.Observed) error {
	accounts := map[string]bool{}
	for _, name := range want.DatasetNames() {
		w, have := want.Datasets[name], obs.Datasets[string(name)]
		if w.Allow == nil || w.Absent || want.ReceivedOnly(name, obs.Role) != "" {
			continue
		}
		if have != nil {
			r, err := d.readAllow(ctx, w, have, obs.At)
			if err != nil {
				return err
			}
			have.Delegations = &r
		}
		for who, perms := range w.Allow {
			if have == nil || !granted(have.Delegations.Grants[who], perms) {
				accounts[who] = true
			}
		}
	}
	return d.lookUp(ctx, obs, accounts)
}

func granted(g state.Grant, perms []string) bool {
	return strings.Join(g.Here, ",") == strings.Join(perms, ",") && strings.Join(g.Below, ",") == strings.Join(perms, ",")
}

func (d *Driver) readAllow(ctx context.Context, want *spec.Dataset, have *state.Dataset, now time.Time) (state.Delegations, error) {
	text := fmt.Sprint(want.Allow) // maps print in order
	d.delegations.mu.Lock()
	old, ok := d.delegations.read[have.Name]
	d.delegations.mu.Unlock()
	if ok && old.guid == have.GUID && old.want == text && now.Sub(old.At) < staleAfter && !now.Before(old.At) {
		return old.Delegations, nil
	}
	r := readAllow{have.GUID, text, state.Delegations{At: now}}
	res, err := d.Runner.Run(ctx, zfs.Allowed(have.Name))
	if err == nil {
		r.Grants, err = zfs.ParseAllowed(have.Name, res.Stdout)
	}
	if ctx.Err() != nil {
		return r.Delegations, fmt.Errorf("read the delegations of %s: %w", have.Name, err)
	}
	if err != nil {
		r.Error = err.Error()
		return r.Delegations, nil
	}
	d.delegations.mu.Lock()
	defer d.delegations.mu.Unlock()
	if d.delegations.read == nil {
		d.delegations.read = map[string]readAllow{}
	}
	d.delegations.read[have.Name] = r
	return r.Delegations, nil
}

// changed forgets what was read of a dataset: an action was carried out on it.
func (d *Driver) changed(name string) {
	d.delegations.mu.Lock()
	defer d.delegations.mu.Unlock()
	delete(d.delegations.read, name)
}

// lookUp asks the machine, in one process for users and one for groups, whom it knows.
func (d *Driver) lookUp(ctx context.Context, obs *state.Observed, accounts map[string]bool) error {
	for _, kind := range []string{"user", "group"} {
		var names []string
		for _, who := range sortedKeys(accounts) {
			if name, ok := strings.CutPrefix(who, kind+":"); ok {
				names = append(names, name)
			}
		}
		if len(names) == 0 {
			continue
		}
		c := host.Read(append([]string{"getent", map[string]string{"user": "passwd", "group": "group"}[kind], "--"}, names...)...)
		res, err := d.Runner.Run(ctx, c)
		var exit *host.ExitError
		if ctx.Err() != nil {
			return fmt.Errorf("look up accounts: %w", err)
		}
		if err != nil && !(errors.As(err, &exit) && exit.Code == 2) { // 2: one of them is not known
			continue // nothing is known of any: zfs will say
		}
		if obs.Accounts == nil {
			obs.Accounts = map[string]string{}
		}
		known := zfs.ParseAccounts(res.Stdout)
		for _, n := range names {
			obs.Accounts[kind+":"+n] = ""
			if name, ok := known[n]; ok {
				obs.Accounts[kind+":"+n] = kind + ":" + name
			} else if number(n) {
				obs.Accounts[kind+":"+n] = kind + ":" + n
			}
		}
	}
	return nil
}

func number(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }
