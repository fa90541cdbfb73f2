package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/drivers/host/process"
	"github.com/dplaneos/dplane/reconcile"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// accept records a configuration that is about to be in force. What the one before declared and this
// one does not is left alone, and listed once.
func (a *app) accept(ctx context.Context, l *reconcile.Loop, want *spec.Spec, by string) error {
	last, found, err := l.Store.LastGeneration(ctx)
	if err != nil {
		return fmt.Errorf("read the last generation: %w", err)
	}
	if found && last.Hash == want.Generation {
		return nil
	}
	g := state.Generation{Hash: want.Generation, At: l.Clock.Now(), Who: by, Files: map[string]string{}}
	for name, b := range want.Files {
		g.Files[name] = string(b)
	}
	g.Commit, g.Dirty = commit(ctx, a.config)
	number, err := l.Store.SaveGeneration(ctx, g)
	if err != nil {
		return fmt.Errorf("record the generation: %w", err)
	}
	msg := fmt.Sprintf("generation %d (%.12s) is in force", number, want.Generation)
	if found {
		msg = strings.Join(append([]string{msg}, released(last, want)...), "; ")
	}
	return l.Store.Log(ctx, state.Event{At: l.Clock.Now(), Type: "configuration", Level: "info", Generation: want.Generation, Message: msg})
}

// released says what an earlier generation declared and this one does not: the objects in one line, and what is no longer
// declared of others in one.
func released(last state.Generation, want *spec.Spec) []string {
	before, err := reload(last)
	if err != nil {
		return nil // written by another release, whose files this one can't read
	}
	var gone, values []string
	for _, n := range before.PoolNames() {
		if want.Pools[n] == nil {
			gone = append(gone, "pool "+string(n))
			continue
		}
		for _, name := range undeclared(before.Pools[n], want.Pools[n]) {
			values = append(values, name+" of pool "+string(n))
		}
	}
	for _, n := range before.DatasetNames() {
		switch now := want.Datasets[n]; {
		case now == nil:
			gone = append(gone, "dataset "+string(n))
		case len(before.Datasets[n].Properties) > 0 && now.Properties == nil && !now.Absent: // one of several goes back
			values = append(values, "the properties of dataset "+string(n))
		}
	}
	var lines []string
	if len(gone) > 0 {
		lines = append(lines, "no longer declared, so released and left alone: "+strings.Join(gone, ", "))
	}
	if len(values) > 0 {
		lines = append(lines, "no longer declared, so left as they are: "+strings.Join(values, ", "))
	}
	return lines
}

// undeclared are the properties that left the files of a pool. Nothing tells what they were before dplane set them, and
// zpool has no inherit.
func undeclared(before, now *spec.Pool) []string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(before.Properties)) {
		if _, still := now.Properties[name]; !still {
			names = append(names, name)
		}
	}
	if before.Compatibility != "" && now.Compatibility == "" {
		names = append(names, "compatibility")
	}
	return names
}

// addReleased notes in the plan what left the files since the generation that was in force last.
func addReleased(ctx context.Context, store reconcile.Store, want *spec.Spec, p *reconcile.Plan) error {
	last, found, err := store.LastGeneration(ctx)
	if err != nil {
		return fmt.Errorf("read the last generation: %w", err)
	}
	if found && last.Hash != want.Generation {
		p.Notices = append(p.Notices, released(last, want)...)
	}
	return nil
}

// reload makes the configuration of a recorded generation again, from its files as they were.
func reload(g state.Generation) (*spec.Spec, error) {
	files := map[string][]byte{}
	for name, text := range g.Files {
		files[name] = []byte(text)
	}
	return spec.LoadFiles(files, spec.LoadOptions{Hostname: hostname()})
}

// commit asks git which commit the files are from; "" where they are in no work tree.
func commit(ctx context.Context, dir string) (hash string, dirty bool) {
	r := host.ReadOnly{Runner: process.New()}
	res, err := r.Run(ctx, host.Read("git", "-C", dir, "rev-parse", "HEAD"))
	if err != nil {
		return "", false
	}
	hash = strings.TrimSpace(string(res.Stdout))
	res, err = r.Run(ctx, host.Read("git", "-C", dir, "status", "--porcelain", "--", "."))
	return hash, err == nil && len(res.Stdout) > 0
}
