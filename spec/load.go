package spec

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// maxFile bounds one file; what people write by hand has kilobytes.
const maxFile = 32 << 20

// LoadOptions are what the files don't say.
type LoadOptions struct {
	Hostname string // node.name where the files leave it out
	Dir      string // absolute path of the directory: a key file inside it is refused; "": not checked
	real     string // Dir without symbolic links
	Cache    *Cache // keeps the compiled schema between the loads of a daemon; nil: compiled for this load
}

// LoadDir loads the configuration of a real directory; symbolic links are followed. Errors as Load's.
func LoadDir(dir string, opts LoadOptions) (*Spec, error) {
	at := func(format string, args ...any) error {
		return Problems{{Pos: Pos{dir, 1, 1}, Message: fmt.Sprintf(format, args...),
			Expected: "a directory with *.yaml files", Example: "--config /etc/dplaneos"}}.Err()
	}
	info, err := os.Stat(dir)
	switch {
	case err != nil:
		return nil, at("the configuration directory can't be read: %v", cause(err))
	case !info.IsDir():
		return nil, at("is not a directory")
	}
	if opts.Dir == "" {
		if abs, err := filepath.Abs(dir); err == nil {
			opts.Dir = abs
		}
	}
	if real, err := filepath.EvalSymlinks(opts.Dir); err == nil {
		opts.real = real
	}
	return Load(os.DirFS(dir), opts)
}

// Load reads all *.yaml and *.yml files of the top level as one configuration. An error is a
// *multierror.Error of *Problem: everything that is wrong in all files, in the order of the files.
func Load(fsys fs.FS, opts LoadOptions) (*Spec, error) {
	l := &loader{opts: opts, spec: &Spec{Files: map[string][]byte{}}, taken: map[Pos]bool{}}
	l.load(fsys)
	if err := l.problems.Err(); err != nil {
		return nil, err
	}
	slices.SortStableFunc(l.spec.Warnings, func(a, b Problem) int { return a.compare(&b) })
	l.spec.Generation = l.spec.generation()
	l.spec.reach()
	return l.spec, nil
}

// LoadFiles loads files that were read before, by their base names.
func LoadFiles(files map[string][]byte, opts LoadOptions) (*Spec, error) {
	return Load(memoryFiles(files), opts)
}

// loader is one load: what was read so far and what is wrong with it.
type loader struct {
	opts     LoadOptions
	root     *node // all files joined
	shape    *shape
	spec     *Spec
	problems Problems
	part     bool                // a file could not be read: what is missing may stand there
	taken    map[Pos]bool        // places with a problem: later rules don't pile up on them
	suggests int                 // suggestions made so far
	names    map[string][]string // what each section declares, sorted
	datasets map[string]*node    // the declared ones, as they stand in the files
}

// load runs the phases. Each reports all it finds; where a file could not be read, the rules are silent
// about what is missing, since it may stand in the broken one.
func (l *loader) load(fsys fs.FS) {
	var err error
	if l.shape, err = l.opts.Cache.shape(); err != nil {
		l.problem(Pos{}, "", "the built-in schema is broken: %v", err)
		return
	}
	l.join(l.read(fsys))
	l.settle()
	l.check(l.shape, l.root, spot{})
	l.settle()
	l.decode()
	l.rules()
	for _, p := range l.problems {
		l.complete(p)
	}
}

// complete gives a problem the schema's words on what is expected there, where a rule has none of its own.
func (l *loader) complete(p *Problem) {
	if p.Path == "" || p.Expected != "" && p.Example != "" {
		return
	}
	s, example := l.shape, ""
	for _, key := range splitPath(p.Path) {
		switch f := s.fields[key]; {
		case f != nil:
			s = f.shape
		case key == "[]" && s.items != nil:
			s = s.items
		case s.each != nil:
			s = s.each
		}
		example = first(s.example, example)
	}
	p.Expected, p.Example = first(p.Expected, s.describe()), first(p.Example, example)
}

// read parses every file, and notes whether all could be.
func (l *loader) read(fsys fs.FS) (docs []*node) {
	l.part = true
	names, err := configFiles(fsys)
	if err != nil {
		p := l.problem(Pos{".", 1, 1}, "", "the configuration directory can't be read: %v", cause(err))
		p.Expected, p.Example = "a directory with *.yaml files", "--config /etc/dplaneos"
		return nil
	}
	if len(names) == 0 {
		dir := l.opts.Dir
		if dir == "" {
			dir = "."
		}
		p := l.problem(Pos{dir, 1, 1}, "", "there is no *.yaml file in this directory")
		p.Expected, p.Example = "at least one, if only an empty one", dir+"/nas.yaml"
		return nil
	}
	l.part = false
	for _, name := range names {
		data, err := readFile(fsys, name)
		if err != nil {
			p := l.problem(Pos{name, 1, 1}, "", "%v", cause(err))
			p.Expected, p.Example = "a readable text file of at most "+Size(maxFile).String(), "-rw-r--r-- root root "+name
			l.part = true
			continue
		}
		l.spec.Files[name] = data
		found, problems, whole := parseFile(name, data)
		l.problems = append(l.problems, problems...)
		docs = append(docs, found...)
		l.part = l.part || !whole
	}
	return docs
}

// configFiles are the files of the directory that count, in lexical order: no dotfiles, no editor's debris.
func configFiles(fsys fs.FS) ([]string, error) {
	all, err := fs.ReadDir(fsys, ".")
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range all {
		n := e.Name()
		yaml := strings.HasSuffix(n, ".yaml") || strings.HasSuffix(n, ".yml")
		if yaml && !strings.HasPrefix(n, ".") && !strings.HasPrefix(n, "#") {
			names = append(names, n)
		}
	}
	return names, nil
}

// readFile refuses what is no regular file before it opens it: a pipe would block.
func readFile(fsys fs.FS, name string) ([]byte, error) {
	info, err := fs.Stat(fsys, name)
	switch {
	case err != nil:
		return nil, err
	case info.IsDir():
		return nil, errors.New("is a directory")
	case !info.Mode().IsRegular():
		return nil, errors.New("is not a regular file")
	}
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readAll(f)
}

// readAll reads up to the bound of one file.
func readAll(r io.Reader) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = fmt.Errorf("is larger than %s", Size(maxFile))
	}
	return data, err
}

// cause leaves out the path, which the place of the problem says already.
func cause(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return fmt.Errorf("can't %s it: %w", p.Op, p.Err)
	}
	return err
}

// problem reports one.
func (l *loader) problem(pos Pos, path, format string, args ...any) *Problem {
	p := &Problem{Pos: pos, Path: path, Message: fmt.Sprintf(format, args...)}
	l.problems = append(l.problems, p)
	return p
}

// settle marks the places that have a problem: a rule of a later phase is silent about them.
func (l *loader) settle() {
	for _, p := range l.problems {
		l.taken[p.Pos] = true
	}
}

// rule reports a mistake found after the shape was checked, unless the place has one already.
func (l *loader) rule(pos Pos, path, format string, args ...any) *Problem {
	if l.taken[pos] {
		return &Problem{}
	}
	return l.problem(pos, path, format, args...)
}

// warn notes what is doubtful but valid.
func (l *loader) warn(pos Pos, path, format string, args ...any) *Problem {
	l.spec.Warnings = append(l.spec.Warnings, Problem{Pos: pos, Path: path, Message: fmt.Sprintf(format, args...)})
	return &l.spec.Warnings[len(l.spec.Warnings)-1]
}
