package replication

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/drivers/zfs"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// stages are the steps of the way to the far machine, as checks.
var stages = []host.Stage{host.Resolve, host.Connect, host.HostKey, host.OwnKey, host.Login}

// reach goes the way to the far machine once, over a connection of its own, and asks for its release of ZFS.
func (c *checking) reach(ctx context.Context, uid int) {
	m := c.want.Remotes[c.remote]
	key := c.key(ctx, m.IdentityFile, uid)
	probe := zfs.Version()
	probe.Host, probe.Apart = c.remote, true
	res, err := c.Runner.Run(ctx, probe)
	var exit *host.ExitError
	if errors.As(err, &exit) || err == nil {
		err = nil
	}
	for _, x := range steps(m, key, err) {
		c.add(x)
		if x.State == state.CheckSkipped {
			c.broken[x.Name] = strings.TrimPrefix(x.Detail, "after ")
		}
	}
	if !c.skip("zfs-there", string(host.Login)) {
		c.add(farZFS(res, exit))
	}
}

// key looks at the private key.
func (c *checking) key(ctx context.Context, path string, uid int) state.Check {
	const name = string(host.OwnKey)
	res, err := c.Runner.Run(ctx, zfs.StatKeys(path))
	var exit *host.ExitError
	if err != nil && !errors.As(err, &exit) {
		return failed(name, err.Error(), "")
	}
	files, err := zfs.ParseStatKeys([]string{path}, res.Stdout)
	if err != nil {
		return failed(name, err.Error(), "")
	}
	return judgeKey(path, files[path], uid)
}

// judgeKey wants a file that its owner alone can read: ssh takes no other, and another user's could change.
func judgeKey(path string, k *state.KeyFile, uid int) state.Check {
	const name = string(host.OwnKey)
	var mode int
	_, err := fmt.Sscanf(k.Mode, "%o", &mode)
	switch {
	case k.Kind == "":
		return failed(name, path+" is not there", "dplane replication setup makes one; or correct remotes.NAME.identityFile")
	case !strings.HasPrefix(k.Kind, "regular"):
		return failed(name, fmt.Sprintf("%s is a %s", path, k.Kind), "correct remotes.NAME.identityFile")
	case k.Owner != "0" && k.Owner != fmt.Sprint(uid):
		return failed(name, fmt.Sprintf("%s belongs to the user %s", path, k.Owner), "chown root "+path)
	case err != nil || mode&0o077 != 0:
		return failed(name, fmt.Sprintf("%s has the mode %s: others can use it", path, k.Mode), "chmod 600 "+path)
	}
	return fine(name, fmt.Sprintf("%s, mode %s", path, k.Mode))
}

// steps are the checks of the way to a machine, which ended with err, or led there. The key was looked at before.
func steps(m *spec.Remote, key state.Check, err error) (all []state.Check) {
	port := m.Port
	if port == 0 {
		port = 22
	}
	details := map[host.Stage]string{
		host.Resolve: m.Host, host.Connect: fmt.Sprintf("%s port %d", m.Host, port), host.HostKey: "it is the pinned one", host.Login: "as " + m.User,
	}
	var lost *host.UnreachableError
	broke := host.Stage("")
	switch {
	case err == nil:
	case errors.As(err, &lost) && lost.Stage != "":
		broke = lost.Stage
	case key.State == state.CheckFailed:
		broke = host.OwnKey
	case lost != nil:
		broke = host.Login
	default:
		broke = host.Resolve
	}
	at := slices.Index(stages, broke)
	untried := broke == host.OwnKey && lost == nil // there is no key to go with
	for i, s := range stages {
		switch {
		case s == host.OwnKey && (key.State == state.CheckFailed || s != broke):
			all = append(all, key)
		case untried, at >= 0 && i > at:
			all = append(all, state.Check{Name: string(s), State: state.CheckSkipped, Detail: "after " + string(broke)})
		case s == broke:
			all = append(all, brokenAt(s, lost, err))
		default:
			all = append(all, fine(string(s), details[s]))
		}
	}
	return all
}

func brokenAt(s host.Stage, lost *host.UnreachableError, err error) state.Check {
	if lost == nil {
		return failed(string(s), err.Error(), "")
	}
	said := strings.Split(strings.TrimSpace(lost.Stderr), "\n")
	return failed(string(s), said[len(said)-1], lost.Why)
}

// farZFS judges what the far machine says of its release.
func farZFS(res host.Result, exit *host.ExitError) state.Check {
	const name = "zfs-there"
	v, err := zfs.ParseVersion(res.Stdout)
	const notFound = 127 // of a shell and of env
	switch {
	case exit != nil && exit.Code == notFound:
		return failed(name, "there is no zfs", "install zfsutils-linux there")
	case errors.Is(zfs.Classify(asError(exit)), zfs.ErrNoModule):
		return failed(name, "its kernel has no ZFS", "modprobe zfs there")
	case exit != nil:
		return unknown(name, exit)
	case err != nil:
		return unknown(name, err)
	case strings.HasPrefix(v.Userland, "0.") || strings.HasPrefix(v.Userland, "2.0."):
		return warning(name, v.Userland+" is older than 2.1: dplane was not tried with it", "")
	}
	return fine(name, v.Userland)
}

func asError(exit *host.ExitError) error {
	if exit == nil {
		return nil
	}
	return exit
}
