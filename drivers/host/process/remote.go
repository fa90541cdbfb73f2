package process

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"unicode"

	"github.com/dplaneos/dplane/drivers/host"
)

// Remote is another machine, and how it is reached over SSH.
type Remote struct {
	Host         string
	Port         int // 0: 22
	User         string
	IdentityFile string // the private key; no other one is offered, and no agent asked
	HostKey      string // type and base64 text of its public key; no other one is accepted
	Peer         bool   // of the HA group: it is told the term
}

// WithRemotes gives the machines that commands may name. In dir, which is made where it is missing and belongs to
// this user alone, are the connections that commands share, and the pinned keys.
func WithRemotes(dir func() string, named func(name string) (Remote, bool)) Option {
	return func(r *Runner) { r.remoteDir, r.remotes = dir, named }
}

// WithTerm gives the term of the HA group that this node is the active one of, 0 where it is not: it is told with each command
// to a peer.
func WithTerm(term func() uint64) Option { return func(r *Runner) { r.term = term } }

// argv is what is run here for a command: its own words, or ssh with them. One that names an unknown host is an
// error: to run it here could destroy what it was to save.
func (r *Runner) argv(c host.Command) ([]string, error) {
	if c.Host == "" {
		return c.Argv, nil
	}
	remote, ok := r.remote(c.Host)
	if !ok {
		return nil, fmt.Errorf("run %s: no remote %q is known", c, c.Host)
	}
	var term uint64
	if remote.Peer && r.term != nil {
		term = r.term()
	}
	argv, err := remote.argv(r.remoteDir(), c, term)
	if err != nil {
		return nil, fmt.Errorf("run %s: remote %s: %w", c, c.Host, err)
	}
	return argv, nil
}

func (r *Runner) remote(name string) (Remote, bool) {
	if r.remotes == nil {
		return Remote{}, false
	}
	return r.remotes(name)
}

// farEnv is what programs are run with on another machine, as they are here (New): what they print is read, and zfs stands
// where the logins of ordinary users look for no programs.
const farEnv = "env LC_ALL=C TZ=UTC PATH=" + systemPath + " "

// mostLine is less than the 128 KiB that Linux takes for one word (execve(2)): the whole line is one to ssh, to the shell
// there, and behind "SSH_ORIGINAL_COMMAND=" in the environment of a forced command.
const mostLine = 128<<10 - 64

// farTerm tells the other node of an HA group in which term it is asked.
const farTerm = "DPLANE_TERM"

// FarLine is the line that another machine is sent for these words. term is that of the HA group; 0: none.
func FarLine(words []string, term uint64) (string, error) {
	line, err := shellLine(words)
	if term > 0 {
		line = fmt.Sprintf("%s=%d %s", farTerm, term, line)
	}
	if n := len(farEnv) + len(line); err == nil && n > mostLine {
		err = fmt.Errorf("a line of %d bytes for another machine, where %d is the most that one word may have", n, mostLine)
	}
	if err == nil && strings.Contains(words[0], "=") {
		err = fmt.Errorf("%q is no program", words[0])
	}
	return farEnv + line, err
}

func (m Remote) argv(dir string, c host.Command, term uint64) ([]string, error) {
	line, err := FarLine(c.Argv, term)
	if err != nil {
		return nil, err
	}
	if err := m.check(); err != nil {
		return nil, err
	}
	socket, known, err := m.files(dir)
	if err != nil {
		return nil, err
	}
	if c.Apart {
		socket = "none"
	}
	return m.ssh(socket, known, line), nil
}

// ssh is the one command line by which another machine is reached. No file of ssh's own configures it. A program there
// ends when the connection does: it reads from it or writes to it, and there is no terminal that would keep it.
func (m Remote) ssh(socket, known, line string) []string {
	argv := []string{"ssh", "-F", "none"}
	for _, o := range []string{
		"BatchMode=yes", // never asks
		// Who it is: the pinned key and nothing else, by an alias, for the file holds one machine.
		"StrictHostKeyChecking=yes", "UserKnownHostsFile=" + known, "GlobalKnownHostsFile=/dev/null",
		"HostKeyAlias=" + alias, "CheckHostIP=no", "UpdateHostKeys=no", "VerifyHostKeyDNS=no",
		// Who we are.
		"IdentityFile=" + m.IdentityFile, "IdentitiesOnly=yes", "IdentityAgent=none", "PreferredAuthentications=publickey",
		// What it may do here: nothing.
		"ForwardAgent=no", "ForwardX11=no", "ClearAllForwardings=yes", "PermitLocalCommand=no",
		// One connection for all commands of a minute. Who began it goes on in the background, in a session of its
		// own and without our pipes.
		"ControlMaster=auto", "ControlPath=" + socket, "ControlPersist=60",
		// A dead peer is noticed within a minute.
		"ConnectTimeout=10", "ServerAliveInterval=15", "ServerAliveCountMax=4", "TCPKeepAlive=yes",
		// The channel carries a stream as it is: ZFS compresses itself.
		"Compression=no", "RequestTTY=no", "EscapeChar=none", "LogLevel=ERROR",
	} {
		argv = append(argv, "-o", o)
	}
	return append(argv, "-p", strconv.Itoa(m.port()), "-l", m.User, "--", m.Host, line)
}

func (m Remote) port() int {
	if m.Port == 0 {
		return 22
	}
	return m.Port
}

// check refuses what ssh would take for something else: an option, a pattern, an escape of its configuration.
func (m Remote) check() error {
	switch {
	case !safe(m.Host, `"'\$`):
		return fmt.Errorf("%q is no host", m.Host)
	case !safe(m.User, `"'\@:/`):
		return fmt.Errorf("%q is no user", m.User)
	case m.Port < 0 || m.Port > 65535:
		return fmt.Errorf("%d is no port", m.Port)
	case !safe(m.IdentityFile, badInPath) || !filepath.IsAbs(m.IdentityFile):
		return fmt.Errorf("%q is no path of a key that ssh takes as it is: from /, without spaces, quotes and %% $ #", m.IdentityFile)
	}
	if err := checkKey(m.HostKey); err != nil {
		return fmt.Errorf("%q is no host key: %w", m.HostKey, err)
	}
	if _, err := os.Stat(m.IdentityFile); err != nil { // of which ssh would say only that permission is denied
		return fmt.Errorf("its identity file: %w", err)
	}
	return nil
}

// badInPath is what ssh_config expands, splits or quotes in a path, or takes for a comment.
const badInPath = `"'\%$#~`

func safe(s, bad string) bool {
	odd := func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r) || r == unicode.ReplacementChar || strings.ContainsRune(bad, r)
	}
	return s != "" && s[0] != '-' && !strings.ContainsFunc(s, odd)
}

// checkKey wants the two words of a public key, of which the second one says the first again.
func checkKey(key string) error {
	kind, text, _ := strings.Cut(key, " ")
	blob, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil {
		return err
	}
	if len(blob) < 4 || uint64(len(blob)-4) < uint64(binary.BigEndian.Uint32(blob)) {
		return errors.New("it is cut off")
	}
	if kind == "" || string(blob[4:4+binary.BigEndian.Uint32(blob)]) != kind {
		return errors.New("its type is another one than it says")
	}
	return nil
}

// alias is the name under which a machine's key stands in its file.
const alias = "dplane"

// longestSocket is the longest path of a connection: ssh appends 17 bytes while it makes one, and Linux takes 107.
const longestSocket = 90

// files are the socket of the shared connection and the file with the pinned key, which is written. Both are named for
// all that the machine is, so that another key or user never meets an old connection.
func (m Remote) files(dir string) (socket, known string, err error) {
	if err := private(dir); err != nil {
		return "", "", fmt.Errorf("where connections are kept: %w", err)
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %d %q %q %q", m.Host, m.port(), m.User, m.IdentityFile, m.HostKey))
	base := filepath.Join(dir, fmt.Sprintf("%x", sum[:8]))
	socket, known = base, base+".key"
	if len(socket) > longestSocket {
		return "", "", fmt.Errorf("where connections are kept: %s is longer than %d bytes: too long for a socket", socket, longestSocket)
	}
	if err := writeWhole(known, alias+" "+m.HostKey+"\n"); err != nil {
		return "", "", fmt.Errorf("pin its host key: %w", err)
	}
	return socket, known, nil
}

// private makes dir, or refuses one where another user could lay a connection of his own.
func private(dir string) error {
	if !safe(dir, badInPath) || !filepath.IsAbs(dir) {
		return fmt.Errorf("%q is no path that ssh takes as it is", dir)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if !info.IsDir() || info.Mode()&0o022 != 0 || owner(info) != os.Geteuid() {
		return fmt.Errorf("others can write in %s: chmod 700 it, and let it be ours", dir)
	}
	return nil
}

// writeWhole writes a file, for this user alone, unless it says so already.
func writeWhole(path, text string) error {
	if info, err := os.Lstat(path); err == nil && info.Mode() == 0o600 {
		if have, err := os.ReadFile(path); err == nil && string(have) == text {
			return nil
		}
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".key-")
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	if err := errors.Join(err, f.Close()); err != nil {
		os.Remove(f.Name())
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		os.Remove(f.Name())
		return err
	}
	return nil
}

func owner(info os.FileInfo) int {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(stat.Uid)
	}
	return -1
}
