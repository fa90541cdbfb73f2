package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/dplaneos/dplane/drivers/ha/gate"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// firstInGroup warns of what is about to happen to a machine in use whose files name a group for the first time: its daemon closes
// the group when it begins, for a node boots as a standby, and nobody can use it until one is promoted.
func firstInGroup(want *spec.Spec, obs *state.Observed) []string {
	if want.HA == nil || want.HA.Peers[want.Node.Name] == nil || len(want.HA.Unpinned()) > 0 || len(want.HA.Peers) < 2 {
		return nil
	}
	if _, err := os.Stat(filepath.Join(gate.Dir(want.Daemon.Runtime), "role.json")); !errors.Is(err, fs.ErrNotExist) {
		return nil // its daemon ran with the group
	}
	var used []string
	for _, name := range sortedNames(obs.Datasets) {
		d := obs.Datasets[name]
		open := d.Mounted || d.Type == "volume"
		if open && d.Properties["readonly"].Value != "on" && slices.ContainsFunc(want.HA.Datasets, spec.DatasetName(name).Under) {
			used = append(used, name)
		}
	}
	if len(used) == 0 {
		return nil
	}
	return []string{fmt.Sprintf("DOWNTIME: when the daemon begins with this `ha` in the files, what can be written now becomes read-only and is unmounted: %s. It stays so until one node is promoted: "+
		"dplane ha failover, on the one that has the data. Stop what uses it first, and plan this as a downtime", strings.Join(used, ", "))}
}

func sortedNames(m map[string]*state.Dataset) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
