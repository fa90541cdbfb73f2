package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/drivers/host/process"
	"github.com/dplaneos/dplane/drivers/replication"
	"github.com/dplaneos/dplane/drivers/zfs"
	"github.com/dplaneos/dplane/spec"
)

func (a *app) setupReplication() *cobra.Command {
	return &cobra.Command{
		Use:   "setup NAME",
		Short: "Make the key of a replication, and print what the other machine needs for it",
		Long: `Makes the key that remotes.NAME.identityFile names (ed25519, 0600) where there is none; one that is there is used, and
never overwritten. Prints the line for authorized_keys there, with the forced command for all replications that go by this
remote, what its user has to be allowed, and the host key that the machine shows, to be compared by hand. Changes nothing on
the other machine.

Exit status: 0 all is told, 1 the key could not be made or read, or the other machine did not show its host key.`,
		Example: "  dplane replication setup offsite",
		Args:    args(1, 1),
		RunE:    func(c *cobra.Command, args []string) error { return a.setUp(c.Context(), args[0]) },
	}
}

// setup is what a person has to do on the other machine.
type setup struct {
	Version        int      `json:"version"`
	Replications   []string `json:"replications"`
	Remote         string   `json:"remote"`
	IdentityFile   string   `json:"identityFile"`
	Made           bool     `json:"made"`
	AuthorizedKeys string   `json:"authorizedKeys"`
	Allow          []string `json:"allow"`
	Narrow         []string `json:"narrow"` // once the first run made what is below: the same on that alone
	HostKey        hostKey  `json:"hostKey"`
	pushes         []string // targets there
}

type hostKey struct {
	Pinned      bool   `json:"pinned"` // it shows the one that the files have
	Shown       string `json:"shown"`  // "": none, see Error
	Fingerprint string `json:"fingerprint"`
	Error       string `json:"error"`
}

func (a *app) setUp(ctx context.Context, name string) error {
	want, err := a.load()
	if err != nil {
		return err
	}
	r := want.Replications[name]
	switch {
	case r == nil:
		return failf("dplane replication list shows what is declared", "there is no replication %s", name)
	case r.Target.Standby && r.Target.Remote == "":
		return failf("add it to ha.peers, with a remote", "this machine is none of ha.peers: %s has no peer to send to", name)
	case remoteOf(r) == "":
		return failf("", "both ends of %s are here: it needs no key", name)
	}
	remote := want.Remotes[remoteOf(r)]
	run := process.New()
	s := setup{Version: 1, Remote: remote.Name, IdentityFile: remote.IdentityFile}
	var public string
	if s.Made, public, err = keyOf(ctx, run, remote.IdentityFile, "dplane-"+remote.Name); err != nil {
		return err
	}
	var all []*spec.Replication
	for _, n := range slices.Sorted(maps.Keys(want.Replications)) {
		if x := want.Replications[n]; remoteOf(x) == remote.Name {
			all, s.Replications = append(all, x), append(s.Replications, n)
			if x.Source.Remote == "" {
				s.pushes = append(s.pushes, string(x.Target.Dataset))
			}
		}
	}
	command := forced(want, all)
	if strings.ContainsFunc(command, unicode.IsControl) {
		return failf("leave it out there, and set it on the other machine by hand", "a value of receive.set has a character that can't stand in a line of authorized_keys")
	}
	// sshd takes \" for a quote, and every other backslash for itself (opt_dequote in auth-options.c).
	s.AuthorizedKeys = fmt.Sprintf(`restrict,command="%s" %s dplane-%s`, strings.ReplaceAll(command, `"`, `\"`), public, remote.Name)
	s.Allow, s.Narrow = allows(all, remote.User), narrows(all, remote.User)
	s.HostKey = shownBy(ctx, run, remote)
	if a.json {
		doc, err := json.MarshalIndent(s, "", "  ")
		if err := a.print(append(doc, '\n'), err); err != nil {
			return err
		}
	} else if _, err := fmt.Fprint(a.stdout, s.text(remote)); err != nil {
		return err
	}
	if s.HostKey.Error != "" {
		return exit(exitFailed)
	}
	return nil
}

func remoteOf(r *spec.Replication) string {
	if r.Source.Remote != "" {
		return r.Source.Remote
	}
	return r.Target.Remote
}

// keyOf gives the public half of a key, which is made where there is none.
func keyOf(ctx context.Context, run host.Runner, path, comment string) (made bool, public string, err error) {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return false, "", fmt.Errorf("make the folder of the key: %w", err)
		}
		// ssh-keygen itself asks before it overwrites, and nobody answers.
		if _, err := run.Run(ctx, host.Write("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", path)); err != nil {
			return false, "", fmt.Errorf("make the key: %w", err)
		}
		made = true
	case err != nil:
		return false, "", fmt.Errorf("look at the key: %w", err)
	case !info.Mode().IsRegular():
		return false, "", failf("correct remotes.NAME.identityFile", "%s is no file", path)
	case info.Mode()&0o077 != 0:
		return false, "", failf("chmod 600 "+path, "others can read the key %s", path)
	}
	res, err := run.Run(ctx, host.Read("ssh-keygen", "-y", "-P", "", "-f", path))
	if err != nil {
		return made, "", failf("name another file in remotes.NAME.identityFile: dplane makes the key", "the key %s can't be read, or has a passphrase: %v", path, err)
	}
	f := strings.Fields(string(res.Stdout))
	if len(f) < 2 {
		return made, "", fmt.Errorf("read the public half of %s: ssh-keygen says %q", path, res.Stdout)
	}
	return made, f[0] + " " + f[1], nil
}

// forced is the command that a key is bound to. All replications by one remote have one key, and each may do there what it
// declares and no other.
func forced(want *spec.Spec, all []*spec.Replication) string {
	argv := []string{"dplane", "receive"}
	for _, r := range all {
		if r.Source.Remote != "" {
			if argv = append(argv, "--source", string(r.Source.Dataset)); r.Send.Raw == "false" {
				argv = append(argv, "--plain")
			}
			continue
		}
		if argv = append(argv, "--target", string(r.Target.Dataset)); r.Keep != nil {
			argv = append(argv, "--prune")
		}
		if r.Target.Standby {
			argv = append(argv, "--peer", want.Node.Name)
		}
		for _, name := range slices.Sorted(maps.Keys(r.Receive.Set)) {
			argv = append(argv, "--set", name+"="+r.Receive.Set[name].Value)
		}
	}
	return host.Command{Argv: argv}.String()
}

// allows are the commands that let the user there do what the key may ask for, and nothing where that is root. What is to be
// made by the first run stands below something, on which it has to be allowed.
func allows(all []*spec.Replication, user string) (lines []string) {
	if user == "root" {
		return []string{}
	}
	for _, r := range all {
		on := string(r.Source.Dataset)
		if r.Source.Remote == "" {
			on = string(r.Target.Dataset)
			if up := r.Target.Dataset.Parent(); up != "" {
				on = string(up)
			}
		}
		line := zfs.Allow(on, "user:"+user, replication.Rights(r)).String()
		if !slices.Contains(lines, line) {
			lines = append(lines, line)
		}
	}
	return lines
}

// narrows are the commands that leave the user the rights on his targets alone, once these are there: zfs asks for the right to
// receive on what is received into, and only for what is new on what is above it.
func narrows(all []*spec.Replication, user string) (lines []string) {
	if user == "root" {
		return []string{}
	}
	var ups []string
	rights := map[string][]string{} // by what is above
	for _, r := range all {
		up := string(r.Target.Dataset.Parent())
		if r.Source.Remote != "" || up == "" {
			continue
		}
		lines = append(lines, zfs.Allow(string(r.Target.Dataset), "user:"+user, replication.Rights(r)).String())
		if rights[up] == nil {
			ups = append(ups, up)
		}
		rights[up] = append(rights[up], replication.Rights(r)...)
	}
	for _, up := range ups {
		if slices.ContainsFunc(all, func(r *spec.Replication) bool { return within(up, r) }) {
			continue
		}
		slices.Sort(rights[up])
		lines = append(lines, zfs.Unallow(up, "user:"+user, slices.Compact(rights[up])).String())
	}
	if lines == nil {
		return []string{}
	}
	return lines
}

// within tells whether a dataset is at an end of a replication there, whose user needs his rights on it.
func within(dataset string, r *spec.Replication) bool {
	there := r.Target
	if r.Source.Remote != "" {
		there = r.Source
	}
	return spec.DatasetName(dataset).Under(there.Dataset)
}

// shownBy asks the machine for its host key. Whoever answers may say anything.
func shownBy(ctx context.Context, run host.Runner, m *spec.Remote) (k hostKey) {
	kind, _, _ := strings.Cut(m.HostKey, " ")
	if !slices.Contains([]string{"ssh-ed25519", "ssh-rsa", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"}, kind) {
		kind = "ssh-ed25519"
	}
	family := strings.Split(strings.TrimPrefix(kind, "ssh-"), "-")[0]
	res, err := run.Run(ctx, host.Read("ssh-keyscan", "-T", "10", "-p", strconv.Itoa(cmp.Or(m.Port, 22)), "-t", family, "--", m.Host))
	for line := range strings.Lines(string(res.Stdout)) {
		f := strings.Fields(line)
		if len(f) < 3 || f[1] != kind {
			continue
		}
		blob, err := base64.StdEncoding.Strict().DecodeString(f[2])
		if err != nil {
			continue
		}
		sum := sha256.Sum256(blob)
		k.Shown, k.Fingerprint = f[1]+" "+f[2], "SHA256:"+base64.RawStdEncoding.EncodeToString(sum[:])
		k.Pinned = k.Shown == m.HostKey
		return k
	}
	k.Error = fmt.Sprintf("%s port %d shows no host key of the type %s: see whether it is on, and its SSH server", m.Host, cmp.Or(m.Port, 22), kind)
	if err != nil && !errors.As(err, new(*host.ExitError)) {
		k.Error = err.Error()
	}
	return k
}

// text tells it to people, in the order in which it is to be done.
func (s *setup) text(m *spec.Remote) string {
	var b strings.Builder
	p := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	if s.Made {
		p("The key %s was made.", s.IdentityFile)
	} else {
		p("The key %s is there, and is used.", s.IdentityFile)
	}
	p("\nOn %s, as %s, one line in ~/.ssh/authorized_keys (dplane has to be installed there; it is for %s):\n", m.Host, m.User, strings.Join(s.Replications, ", "))
	p("%s", s.AuthorizedKeys)
	if len(s.pushes) > 0 {
		p("\nThe key can't read back what it sent. Where dplane replication restore and verify --deep are to, name that as a source too")
		p("(its user needs the right to send then): --source %s", strings.Join(s.pushes, " --source "))
	}
	if len(s.Allow) > 0 {
		p("\nOn %s, as root:\n", m.Host)
		for _, line := range s.Allow {
			p("%s", line)
		}
		if len(s.Narrow) > 0 {
			p("\nThe first run makes its target, so that the right is needed above it, and is one to all that is there. Once")
			p("dplane replication run was well, the same on the targets alone is enough:\n")
			for _, line := range s.Narrow {
				p("%s", line)
			}
		}
		p("\nThese rights are of the user, who could use them otherwise if he can log in; the key can't. destroy gives up what a broken receive left.")
	}
	switch k := s.HostKey; {
	case k.Error != "":
		p("\nThe host key was not seen: %s", k.Error)
	case k.Pinned:
		p("\nThe host key is the one of remotes.%s.hostKey.", s.Remote)
	default:
		p("\nThe host key that %s shows is not the one of remotes.%s.hostKey. NOTHING PROVES that it is that machine's: compare the", m.Host, s.Remote)
		p("fingerprint there (ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub), and only then put it into the files:\n")
		p("hostKey: %q\nfingerprint: %s", k.Shown, k.Fingerprint)
	}
	p("\nThen: dplane replication test %s", s.Replications[0])
	return b.String()
}
