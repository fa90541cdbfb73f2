package replication

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/state"
)

// former are the ways that a replication went before this one.
func former(r *state.Replicated, now state.Way) (ways []state.Way) {
	same := func(a, b state.Way) bool {
		a.Recursive = b.Recursive
		return a == b
	}
	if r.Way != nil {
		ways = append(ways, *r.Way)
	}
	for _, w := range r.Former {
		if !slices.ContainsFunc(ways, func(x state.Way) bool { return same(x, w) }) {
			ways = append(ways, w)
		}
	}
	return slices.DeleteFunc(ways, func(w state.Way) bool { return same(w, now) })
}

// stays says what a replication that goes another way now keeps for the way back, and what lets go of it.
func stays(x state.Left) (notices []string) {
	now := strings.TrimPrefix(x.Now, ":")
	for _, why := range x.Unseen {
		notices = append(notices, fmt.Sprintf("replication %s sends to %s now, and what it left on the way from %s to %s stays: %s", x.Name, now, x.Way.Source, x.Way.Target, why))
	}
	if len(x.Holds)+len(x.Sources)+len(x.Bookmarks) == 0 {
		return notices
	}
	var keeps, free []string
	for _, side := range []struct {
		remote, dataset, tag string
		names                []string
	}{{x.Way.From, x.Way.Source, sourceTag(x.Name), x.Sources}, {x.Way.To, x.Way.Target, Tag(x.Name), x.Holds}} {
		if len(side.names) > 0 {
			keeps, free = append(keeps, fmt.Sprintf("%d hold(s) on %s", len(side.names), side.dataset)), append(free, on(side.remote, releaseByHand(side.dataset, side.tag)))
		}
	}
	if len(x.Bookmarks) > 0 {
		keeps = append(keeps, fmt.Sprintf("%d bookmark(s): %s", len(x.Bookmarks), drivers.Some(x.Bookmarks)))
		free = append(free, on(x.Way.From, "zfs destroy "+x.Bookmarks[0]))
		if len(x.Bookmarks) > 1 {
			free[len(free)-1] += ", and so on"
		}
	}
	return append(notices, fmt.Sprintf("replication %s sends to %s now, and keeps what the way back to %s needs: %s. Once nobody goes back: %s",
		x.Name, now, x.Way.Target, strings.Join(keeps, ", "), strings.Join(free, "; ")))
}

// on is a command with the machine on which it is typed.
func on(remote, command string) string {
	if remote == "" {
		return command
	}
	return "on " + remote + ": " + command
}
