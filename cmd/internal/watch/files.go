package watch

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/hashicorp/go-multierror"
)

// maxFile bounds what is read of one file; the loader has its own, lower, limit with a better message.
const maxFile = 64 << 20

// names are the configuration's files in a directory, sorted: *.yaml and *.yml, but not what editors
// leave behind: dotfiles, #x.yaml#, x.yaml~.
func names(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("read configuration directory: %w", err)
	}
	var list []string
	for _, e := range entries {
		n := e.Name()
		if (strings.HasSuffix(n, ".yaml") || strings.HasSuffix(n, ".yml")) && n[0] != '.' && n[0] != '#' {
			list = append(list, n)
		}
	}
	return list, nil
}

// read reads all files of the configuration, by name.
func read(dir string) (map[string][]byte, error) {
	list, err := names(dir)
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	for _, n := range list {
		if files[n], err = readFile(filepath.Join(dir, n)); err != nil {
			return nil, fmt.Errorf("read configuration: %w", err)
		}
	}
	return files, nil
}

// readFile never waits: a named pipe in the place of a file is an error, not a reader that hangs.
func readFile(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, notRegular(path, info)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(b) > maxFile {
		err = fmt.Errorf("%s is larger than %d MiB", path, maxFile>>20)
	}
	return b, err
}

func notRegular(path string, info fs.FileInfo) error {
	return fmt.Errorf("%s is no regular file (%s): a configuration file must be one", path, info.Mode().Type())
}

// CheckOwner refuses a configuration that somebody else could change: each file must be regular, root's
// or the running user's, and not writable by group or others. A symbolic link counts as what it leads to.
func CheckOwner(dir string) error { return checkOwner(dir, os.Geteuid()) }

func checkOwner(dir string, self int) error {
	list, err := names(dir)
	if err != nil {
		return err
	}
	all := &multierror.Error{ErrorFormat: eachOnALine}
	for _, n := range list {
		if err := checkFile(filepath.Join(dir, n), self); err != nil {
			all = multierror.Append(all, err)
		}
	}
	return all.ErrorOrNil()
}

func eachOnALine(errs []error) string {
	lines := make([]string, len(errs))
	for i, err := range errs {
		lines[i] = err.Error()
	}
	return strings.Join(lines, "\n")
}

func checkFile(path string, self int) error {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("check owner of configuration: %w", err)
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !ok:
		return errors.New("check owner of configuration: this system tells no owner")
	case !info.Mode().IsRegular():
		return notRegular(path, info)
	case stat.Uid != 0 && int(stat.Uid) != self:
		return fmt.Errorf("%s belongs to user %d, not to root or the user that runs dplane: chown root %s", path, stat.Uid, path)
	case info.Mode().Perm()&0o022 != 0:
		return fmt.Errorf("%s is writable by group or others (mode %04o): chmod go-w %s", path, info.Mode().Perm(), path)
	}
	return nil
}
