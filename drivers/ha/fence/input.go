package fence

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/dplaneos/dplane/spec"
)

// input is what an agent reads: its parameters, and what is to be kept out of all that is shown of it.
func input(peer string, d spec.FenceDevice, action string) ([]byte, *secrets, error) {
	hidden, err := secretsOf(d.SecretFile)
	if err != nil {
		return nil, nil, err
	}
	all := map[string]string{"nodename": peer}
	for _, from := range []map[string]string{d.Parameters, hidden} {
		for k, v := range from {
			if _, twice := all[k]; twice && k != "nodename" {
				return nil, nil, fmt.Errorf("the parameter %q stands in the files and in %s", k, d.SecretFile)
			}
			if err := spec.CheckFenceParameter(k, v); err != nil {
				return nil, nil, err
			}
			all[k] = v
		}
	}
	text := "action=" + action + "\n"
	for _, k := range sortedKeys(all) {
		text += k + "=" + all[k] + "\n"
	}
	return []byte(text), newSecrets(d.Parameters, hidden), nil
}

const maxSecret = 1 << 16 // bytes

// secretsOf reads the key=value lines of a file that only its owner can read. Errors tell of a line its number alone.
func secretsOf(path string) (map[string]string, error) {
	if path == "" {
		return nil, nil
	}
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("read the secrets: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("read the secrets: %w", err)
	}
	if err := private(info); err != nil {
		return nil, fmt.Errorf("the secrets in %s are not used: %w", path, err)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxSecret))
	if err != nil {
		return nil, fmt.Errorf("read the secrets: %w", err)
	}
	all, n := map[string]string{}, 0
	for line := range strings.Lines(string(text)) {
		n++
		line = strings.TrimRight(line, "\r\n")
		if strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#") {
			continue
		}
		k, v, ok := strings.Cut(line, "=")
		if _, twice := all[k]; !ok || twice {
			return nil, fmt.Errorf("line %d of %s is no key=value, or its key stands twice", n, path)
		}
		all[k] = v
	}
	return all, nil
}

func private(info fs.FileInfo) error {
	switch {
	case !info.Mode().IsRegular():
		return errors.New("it is no regular file")
	case info.Mode().Perm()&0o077 != 0:
		return fmt.Errorf("others can read them (mode %04o): chmod 600, and think of a new password", info.Mode().Perm())
	}
	return owned(info)
}

// owned: by root, or by whom dplane runs as.
func owned(info fs.FileInfo) error {
	if sys, ok := info.Sys().(*syscall.Stat_t); ok && sys.Uid != 0 && int(sys.Uid) != os.Geteuid() {
		return fmt.Errorf("it belongs to the user with the id %d, and not to root", sys.Uid)
	}
	return nil
}

// places are where a distribution has its agents. PATH is somebody's.
var places = []string{"/usr/sbin", "/sbin", "/usr/local/sbin"}

// program is the file of an agent, which nobody but root can have changed, nor put in its place.
func program(agent string) (string, error) {
	if filepath.IsAbs(agent) {
		return trusted(agent)
	}
	for _, dir := range places {
		if _, err := os.Lstat(filepath.Join(dir, agent)); err == nil {
			return trusted(filepath.Join(dir, agent))
		}
	}
	return "", fmt.Errorf("it is in none of %s: apt install fence-agents, or give its path", strings.Join(places, ", "))
}

// mostLinks bounds the symbolic links on the way to a program.
const mostLinks = 40

// trusted goes the way to a program, link by link. The path stays as it was given: an agent takes what it is from its name.
func trusted(path string) (string, error) {
	at, links := "/", 0
	for todo := strings.Split(path, "/"); len(todo) > 0; {
		name := todo[0]
		todo = todo[1:]
		next := filepath.Join(at, name)
		info, err := os.Lstat(next)
		if err != nil {
			return "", err
		}
		if err := unchanged(info); err != nil {
			return "", fmt.Errorf("%s is not run: %s: %w", path, next, err)
		}
		switch {
		case info.Mode()&fs.ModeSymlink != 0:
			to, err := os.Readlink(next)
			if links++; err != nil || links > mostLinks {
				return "", fmt.Errorf("%s is not run: %s leads nowhere", path, next)
			}
			if filepath.IsAbs(to) {
				at = "/"
			}
			todo = append(strings.Split(to, "/"), todo...)
		case len(todo) > 0 || info.IsDir():
			at = next
		case !info.Mode().IsRegular() || info.Mode().Perm()&0o111 == 0:
			return "", fmt.Errorf("%s is no program", next)
		default:
			return path, nil
		}
	}
	return "", fmt.Errorf("%s is no program", path)
}

// unchanged: what lies in a directory that all may write to can't be replaced by others where it is sticky.
func unchanged(info fs.FileInfo) error {
	link, shared := info.Mode()&fs.ModeSymlink != 0, info.IsDir() && info.Mode()&fs.ModeSticky != 0
	if info.Mode().Perm()&0o022 != 0 && !link && !shared {
		return fmt.Errorf("others can write to it (mode %04o): chmod go-w", info.Mode().Perm())
	}
	return owned(info)
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
