package watch

import (
	"os"
	"path/filepath"
	"strings"
)

// gitSigns are what a git command that is half way through leaves in the repository.
var gitSigns = []string{"index.lock", "rebase-merge", "rebase-apply", "MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD"}

// gitBusy is the path that shows a git command at work on the work tree that holds dir; "" where none is.
func gitBusy(dir string) string {
	git := gitDir(dir)
	if git == "" {
		return ""
	}
	for _, s := range gitSigns {
		p := filepath.Join(git, s)
		if _, err := os.Lstat(p); err == nil {
			return p
		}
	}
	return ""
}

// gitDir finds the repository of the work tree that holds dir; "" where there is none. A linked work
// tree has a file that names it.
func gitDir(dir string) string {
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return ""
	}
	if real, err = filepath.Abs(real); err != nil {
		return ""
	}
	for {
		p := filepath.Join(real, ".git")
		info, err := os.Stat(p)
		switch {
		case err == nil && info.IsDir():
			return p
		case err == nil && info.Mode().IsRegular():
			return linkedGitDir(real, p)
		case real == filepath.Dir(real):
			return ""
		}
		real = filepath.Dir(real)
	}
}

func linkedGitDir(tree, file string) string {
	b, err := readFile(file)
	to, ok := strings.CutPrefix(strings.TrimSpace(string(b)), "gitdir: ")
	if err != nil || !ok {
		return ""
	}
	if !filepath.IsAbs(to) {
		to = filepath.Join(tree, to)
	}
	return to
}
