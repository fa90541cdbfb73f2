package dataset

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/drivers/zfs"
)

// elsewhere are the mounts of the tree in other mount namespaces than dplane's: containers have them. To unmount here
// leaves those as they are, and files that are open through them have no path here by which they could be found. Yet
// the container would go on with a dataset that is renamed and read-only, and that can't be destroyed.
func (d *Driver) elsewhere(ctx context.Context, t *toTrash) ([]string, error) {
	out, err := d.find(ctx, findNamespaces())
	if err != nil {
		return nil, err
	}
	pids := otherNamespaces(out)
	if len(pids) == 0 {
		return nil, nil
	}
	res, err := d.ran(ctx, listZFSMounts(pids))
	if err != nil {
		return nil, err
	}
	var busy []string
	found := mountedElsewhere(string(res.Stdout), t.tree())
	names := d.names(ctx, sortedKeys(found))
	for _, pid := range sortedKeys(found) {
		busy = append(busy, fmt.Sprintf("a container has it: %s (%s), with its own mounts, has %s", names[pid], pid, strings.Join(found[pid], ", ")))
	}
	return busy, nil
}

// findNamespaces prints the mount namespace of every process, and that of find, which is dplane's.
func findNamespaces() host.Command {
	c := host.Read("find", "/proc", "/proc/self/ns/mnt", "-maxdepth", "3", "(", "-path", "/proc/[0-9]*/ns/mnt", "-o", "-path", "/proc/self/ns/mnt", ")", "-printf", `%p\t%l\n`)
	c.Timeout = zfs.UsersTimeout
	return c
}

// otherNamespaces gives of each mount namespace but dplane's the process with the lowest number.
func otherNamespaces(out string) (pids []string) {
	own, first := "", map[string]int{}
	for line := range strings.Lines(out) {
		link, ns, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		who := path.Base(path.Dir(path.Dir(link)))
		pid, err := strconv.Atoi(who)
		switch {
		case ns == "": // it ended meanwhile
		case who == "self":
			own = ns
		case err == nil && (first[ns] == 0 || pid < first[ns]):
			first[ns] = pid
		}
	}
	delete(first, own)
	if own == "" {
		return nil
	}
	for _, ns := range sortedKeys(first) {
		pids = append(pids, strconv.Itoa(first[ns]))
	}
	return pids
}

// listZFSMounts prints what is mounted here, and where those processes see it, each line with its file before it.
func listZFSMounts(pids []string) host.Command {
	argv := []string{"grep", "-s", "-H", "-F", "-e", " - zfs ", "--", "/proc/self/mountinfo"}
	for _, pid := range pids {
		argv = append(argv, "/proc/"+pid+"/mountinfo")
	}
	return host.Read(argv...)
}

// mountedElsewhere tells by process which mounts of the tree stay when it is unmounted here. One that follows the mounts
// here (proc_pid_mountinfo(5): it is a slave, or shared with them) goes along.
func mountedElsewhere(out string, tree []string) map[string][]string {
	here := map[string]bool{} // peer groups
	found := map[string][]string{}
	for line := range strings.Lines(out) {
		file, info, _ := strings.Cut(line, ":")
		f := strings.Fields(info)
		end := slices.Index(f, "-")
		if end < 6 || len(f) < end+3 {
			continue
		}
		name, groups := unescaped(f[end+2]), f[6:end]
		pid := path.Base(path.Dir(file))
		follows := slices.ContainsFunc(groups, func(g string) bool { return strings.HasPrefix(g, "master:") || here[g] })
		switch {
		case pid == "self": // comes first
			for _, g := range groups {
				here[g] = true
			}
		case slices.Contains(tree, name) && !follows:
			found[pid] = append(found[pid], fmt.Sprintf("%s mounted at %s", name, unescaped(f[4])))
		}
	}
	return found
}
