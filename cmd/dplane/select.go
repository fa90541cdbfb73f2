package main

import (
	"fmt"
	"strings"

	"github.com/spf13/pflag"

	"github.com/dplaneos/dplane/reconcile"
	"github.com/dplaneos/dplane/spec"
)

// selectFlags are the flags that name a part of the plan.
type selectFlags struct {
	only, except []string
	flags        *pflag.FlagSet
}

const selectHelp = `--only and --except take a part of the plan, by the names of its objects: * is any text within one component, **
any number of components (tank/* is what is right below tank, tank/** is tank and all below it). --only means just
what fits, and brings what that waits for; --except leaves out what fits with all that is below it, and what
waits for it is held. A pattern that fits nothing is an error.`

func (f *selectFlags) add(flags *pflag.FlagSet) {
	f.flags = flags
	flags.StringSliceVar(&f.only, "only", nil, "just the objects whose name fits this `glob`, and what they wait for; repeatable")
	flags.StringSliceVar(&f.except, "except", nil, "all but the objects whose name fits this `glob`, and what is below them; repeatable")
}

func (f selectFlags) selection() (s reconcile.Selection, err error) {
	if s.Only, err = f.patterns("only", f.only); err != nil {
		return s, err
	}
	s.Except, err = f.patterns("except", f.except)
	return s, err
}

// patterns refuses a flag that names nothing: it is that of a script whose variable is empty, and would mean all.
func (f selectFlags) patterns(flag string, list []string) ([]spec.Pattern, error) {
	if len(list) == 0 && f.flags.Changed(flag) {
		return nil, usagef("--%s names nothing; it may be tank/home, tank/*, tank/**", flag)
	}
	var out []spec.Pattern
	for _, text := range list {
		p, err := spec.ParsePattern(text)
		if err != nil {
			return nil, usagef("--%s: %v; it may be tank/home, tank/*, tank/**", flag, err)
		}
		out = append(out, p)
	}
	return out, nil
}

// fitsSomething refuses a selection of which a pattern fits nothing: it was meant for another name.
func fitsSomething(p *reconcile.Plan) error {
	if len(p.Unmatched) == 0 {
		return nil
	}
	return failf("`dplane plan` shows the names of what is to be done", "nothing declared or planned has a name that fits %s; nothing was done",
		strings.Join(quoted(p.Unmatched), ", "))
}

func quoted(list []string) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = fmt.Sprintf("%q", s)
	}
	return out
}
