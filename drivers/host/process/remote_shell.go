package process

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/dplaneos/dplane/drivers/host"
)

// shellLine is the line of words for the shell of a user on another machine: sshd gives it to one, whatever we do. It is
// the only place where dplane quotes for a shell that runs.
func shellLine(words []string) (string, error) {
	quoted := make([]string, len(words))
	for i, w := range words {
		if strings.ContainsAny(w, "\x00\n\r") || !utf8.ValidString(w) {
			return "", fmt.Errorf("%q can't be a word of a command there", w)
		}
		quoted[i] = shellWord(w)
	}
	if words[0] == "" || words[0][0] == '-' {
		return "", fmt.Errorf("%q is no program", words[0])
	}
	return strings.Join(quoted, " "), nil
}

// shellWord quotes all but what no shell looks at: = is not among it (an assignment), nor # and ~ (at the beginning).
func shellWord(w string) string {
	odd := func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("_-./:,@+", r)
	}
	if w != "" && !strings.ContainsFunc(w, odd) {
		return w
	}
	return "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
}

// sshFailed is the exit status of ssh where the connection failed (ssh(1)); any other one is the remote program's.
const sshFailed = 255

// lost is the end of a command on another machine of whose answer nothing came back; nil: it is an answer.
func (r *Runner) lost(exit *host.ExitError) error {
	if exit == nil || exit.Command.Host == "" || exit.Code != sshFailed {
		return nil
	}
	remote, _ := r.remote(exit.Command.Host)
	stage, why := remote.why(exit.Command.Host, exit.Stderr)
	return &host.UnreachableError{Command: exit.Command, Stderr: exit.Stderr, Why: why, Stage: stage}
}

// answered gives the error of a command that was run, which on another machine may be that of the way there.
func (r *Runner) answered(err error) error {
	var exit *host.ExitError
	if errors.As(err, &exit) {
		if lost := r.lost(exit); lost != nil {
			return lost
		}
	}
	return err
}

// why tells what ssh said, how far it came, and what to do about it. The order counts: of a key that others can read, ssh says that
// first, and then that permission is denied.
func (m Remote) why(name, stderr string) (host.Stage, string) {
	at := fmt.Sprintf("%s port %d", m.Host, m.port())
	for _, c := range []struct {
		says  string
		stage host.Stage
		why   string
	}{
		{"Host key verification failed", host.HostKey, "its host key is not the one of remotes." + name + ".hostKey: compare them by hand, and pin the new one only if that machine was installed anew"},
		{"no matching host key type", host.HostKey, "it has no host key of the type of remotes." + name + ".hostKey: pin one that it has"},
		{"UNPROTECTED PRIVATE KEY FILE", host.OwnKey, "others can read the key " + m.IdentityFile + ": chmod 600 it"},
		{"error in libcrypto", host.OwnKey, "the key " + m.IdentityFile + " can't be read: it is none, or has a passphrase"},
		{"invalid format", host.OwnKey, "the key " + m.IdentityFile + " can't be read: it is none, or has a passphrase"},
		{"Permission denied", host.Login, "it does not admit " + m.User + " with the key " + m.IdentityFile + ": add its public half to that user's authorized_keys there"},
		{"Too many authentication failures", host.Login, "it does not admit " + m.User + " with the key " + m.IdentityFile + ": add its public half to that user's authorized_keys there"},
		{"Could not resolve hostname", host.Resolve, "the name " + m.Host + " is not known: correct remotes." + name + ".host, or the name service"},
		{"Connection refused", host.Connect, "nothing listens at " + at + ": start its SSH server, or correct remotes." + name + ".port"},
		{"No route to host", host.Connect, "there is no way to " + m.Host + ": see whether it is on, and the network"},
		{"Network is unreachable", host.Connect, "there is no way to " + m.Host + ": see whether the network here is up"},
		{"timed out", host.Connect, "no answer from " + at + ": see whether it is on, and what a firewall lets through"},
		{"not responding", host.Connect, "it stopped answering: see whether it is on, and the network"},
		{"kex_exchange_identification", host.Connect, "it hung up before it said who it is: see the log of its SSH server"},
	} {
		if strings.Contains(stderr, c.says) {
			return c.stage, c.why
		}
	}
	return "", "the connection ended, or a signal ended the program there: see the log of its SSH server"
}
