package main

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"github.com/dplaneos/dplane/drivers/replication/receive"
	"github.com/dplaneos/dplane/spec"
)

// received are the flags of a key, as they stand in authorized_keys. Their order counts: what may be done beside receiving and
// sending is of the dataset that was named last.
type received struct {
	rules  receive.Rules
	target receive.Target // what is said before the first --target, of all of them
	source receive.Source // and before the first --source
	// runtime is daemon.runtime: beside it lies what is known of this node's role.
	runtime string
}

func (f *received) bind(flags *pflag.FlagSet) {
	flags.Func("target", "a `dataset` that is received into, with what is below it; may be repeated", func(name string) error {
		d, err := spec.ParseDatasetName(name)
		f.rules.Targets = append(f.rules.Targets, receive.Target{Dataset: d})
		return err
	})
	flags.Func("source", "a `dataset` that is sent, with what is below it; may be repeated", func(name string) error {
		d, err := spec.ParseDatasetName(name)
		f.rules.Sources = append(f.rules.Sources, receive.Source{Dataset: d})
		return err
	})
	flags.BoolFunc("prune", "snapshots of the target may be destroyed, each by its name", onOff(func(on bool) { f.last().Prune = on }))
	flags.BoolFunc("repair", "the target may be rolled back or kept aside where it diverged", onOff(func(on bool) { f.last().Repair = on }))
	flags.Func("peer", "the `NODE` of the HA group whose key it is: the target is the group's", func(name string) error {
		f.last().Peer = name
		return nil
	})
	flags.StringVar(&f.runtime, "runtime", spec.DefaultRuntime, "`daemon.runtime` of this machine, where that is another one")
	flags.BoolFunc("plain", "the source may be sent in plain, also where it is encrypted", onOff(func(on bool) { f.lastSource().Plain = on }))
	flags.Func("set", "`NAME=VALUE`: a property of the target that may be set to this value; may be repeated", func(text string) error {
		name, value, ok := strings.Cut(text, "=")
		if !ok {
			return fmt.Errorf("%s: it is NAME=VALUE", text)
		}
		t := f.last()
		if t.Set == nil {
			t.Set = map[string]string{}
		}
		t.Set[name] = value
		return nil
	})
}

func onOff(set func(bool)) func(string) error {
	return func(text string) error {
		on, err := strconv.ParseBool(text)
		if err == nil {
			set(on)
		}
		return err
	}
}

func (f *received) last() *receive.Target {
	if n := len(f.rules.Targets); n > 0 {
		return &f.rules.Targets[n-1]
	}
	return &f.target
}

func (f *received) lastSource() *receive.Source {
	if n := len(f.rules.Sources); n > 0 {
		return &f.rules.Sources[n-1]
	}
	return &f.source
}

// parsed are the rules that the flags make.
func (f *received) parsed() (receive.Rules, error) {
	if len(f.rules.Targets)+len(f.rules.Sources) == 0 {
		return f.rules, usagef("a key without --target and --source may do nothing")
	}
	for i := range f.rules.Targets {
		t := &f.rules.Targets[i]
		t.Prune, t.Repair, t.Peer = t.Prune || f.target.Prune, t.Repair || f.target.Repair, cmp.Or(t.Peer, f.target.Peer)
		set := map[string]string{}
		for _, m := range []map[string]string{f.target.Set, t.Set} {
			for name, value := range m {
				set[name] = value
			}
		}
		t.Set = set
	}
	for i := range f.rules.Sources {
		f.rules.Sources[i].Plain = f.rules.Sources[i].Plain || f.source.Plain
	}
	return f.rules, nil
}
