package watch

import (
	"os"
	"path/filepath"
	"strings"
)

// maxLinks is how many symbolic links are followed before they count as a loop, as in the kernel.
const maxLinks = 40

// places are what must be watched to see every change of a configuration.
type places struct {
	dirs  map[string]bool // directories that get a watch
	paths map[string]bool // paths whose replacement counts; what else happens beside them does not
	whole map[string]bool // directories in which everything counts: the configuration's own
}

// placesOf follows a directory and the files in it through their symbolic links: a watch sees what a
// link led to when it was set, and no event tells that the link was turned to another place.
func placesOf(dir string) places {
	p := places{map[string]bool{}, map[string]bool{}, map[string]bool{}}
	abs, err := filepath.Abs(dir)
	if err != nil {
		abs = filepath.Clean(dir)
	}
	real := p.follow(abs)
	p.dirs[real], p.whole[real] = true, true
	list, err := names(real)
	if err != nil {
		return p // not there now: its parent is watched
	}
	for _, n := range list {
		if info, err := os.Lstat(filepath.Join(real, n)); err == nil && info.Mode()&os.ModeSymlink != 0 {
			p.follow(filepath.Join(real, n))
		}
	}
	return p
}

// follow walks an absolute path and notes each symbolic link on it, and what the path ends at, with
// their parents. It gives the path without links, as far as there is one.
func (p *places) follow(path string) string {
	done, rest := "/", strings.Split(strings.Trim(path, "/"), "/")
	for links := 0; len(rest) > 0; {
		next := filepath.Join(done, rest[0])
		rest = rest[1:]
		to, err := os.Readlink(next)
		if err != nil || links == maxLinks {
			done = next
			continue
		}
		links++
		p.note(next)
		if filepath.IsAbs(to) {
			done = "/"
		}
		rest = append(strings.Split(strings.Trim(filepath.Clean(to), "/"), "/"), rest...)
	}
	p.note(done)
	return done
}

// note has a path watched by its parent, or by the nearest folder above that is there.
func (p *places) note(path string) {
	p.paths[path] = true
	dir := filepath.Dir(path)
	for dir != "/" {
		if _, err := os.Lstat(dir); err == nil {
			break
		}
		p.paths[dir] = true
		dir = filepath.Dir(dir)
	}
	p.dirs[dir] = true
}

// counts tells whether an event at a path can concern the configuration.
func (p *places) counts(path string) bool {
	return p.paths[path] || p.whole[filepath.Dir(path)] || p.dirs[path] // a watched directory itself is gone, or another
}
