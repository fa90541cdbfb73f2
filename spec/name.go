package spec

import (
	"fmt"
	"strings"
)

// PoolName, DatasetName and SnapshotName are valid by OpenZFS's grammar once parsed.
type (
	PoolName     string
	DatasetName  string // pool/a/b, or the pool's root dataset
	SnapshotName string // dataset@name
)

const (
	// maxName is ZFS_MAX_DATASET_NAME_LEN without its NUL, over the whole name with its @snapshot.
	maxName = 255
	// maxPoolName leaves room for POOL/$ORIGIN@$ORIGIN (pool_namecheck).
	maxPoolName = maxName - 2 - 2*len("$ORIGIN")
	// maxNesting is zfs_max_dataset_nesting: a dataset has fewer slashes (dataset_nestcheck).
	maxNesting = 50
)

// reservedPool are words that begin a vdev specification, so no pool may begin with them
// (zpool_name_valid in lib/libzfs/libzfs_pool.c); "log" only as the whole name.
var reservedPool = []string{"mirror", "raidz", "draid", "spare"}

// ParsePoolName checks a pool's name.
func ParsePoolName(s string) (PoolName, error) {
	switch {
	case s == "":
		return "", fmt.Errorf("a pool's name is empty")
	case s[0] == '/':
		return "", fmt.Errorf("the name begins with a /")
	case !letter(rune(s[0])):
		return "", fmt.Errorf("pool name %q must begin with a letter", s)
	case strings.ContainsRune(s, '/'):
		return "", fmt.Errorf("pool name %q holds a /, which separates datasets", s)
	case s == "log":
		return "", fmt.Errorf("pool name %q is reserved", s)
	}
	for _, w := range reservedPool {
		if strings.HasPrefix(s, w) {
			return "", fmt.Errorf("pool name %q begins with the reserved word %q", s, w)
		}
	}
	if err := component(s); err != nil {
		return "", fmt.Errorf("pool name %q: %w", s, err)
	}
	if len(s) > maxPoolName {
		return "", fmt.Errorf("pool name of %d bytes: at most %d are allowed", len(s), maxPoolName)
	}
	return PoolName(s), nil
}

// ParseDatasetName checks a dataset's name, pool and all.
func ParseDatasetName(s string) (DatasetName, error) {
	if len(s) > maxName {
		return "", fmt.Errorf("dataset name of %d bytes: at most %d are allowed", len(s), maxName)
	}
	parts := strings.Split(s, "/")
	if len(parts) > maxNesting {
		return "", fmt.Errorf("dataset name of %d levels: at most %d are allowed", len(parts), maxNesting)
	}
	if _, err := ParsePoolName(parts[0]); err != nil {
		return "", fmt.Errorf("dataset name %q: %w", s, err)
	}
	for _, c := range parts[1:] {
		if err := component(c); err != nil {
			return "", fmt.Errorf("dataset name %q: %w", s, err)
		}
	}
	return DatasetName(s), nil
}

// ParseSnapshotName checks dataset@name.
func ParseSnapshotName(s string) (SnapshotName, error) {
	ds, snap, ok := strings.Cut(s, "@")
	if !ok {
		return "", fmt.Errorf("snapshot name %q has no @", s)
	}
	if _, err := ParseDatasetName(ds); err != nil {
		return "", err
	}
	if err := component(snap); err != nil {
		return "", fmt.Errorf("snapshot name %q: %w", s, err)
	}
	if len(s) > maxName {
		return "", fmt.Errorf("snapshot name of %d bytes: at most %d are allowed", len(s), maxName)
	}
	return SnapshotName(s), nil
}

// component is valid_char of module/zcommon/zfs_namecheck.c, which also refuses . and .. alone.
func component(s string) error {
	switch s {
	case "":
		return fmt.Errorf("a component between slashes is empty")
	case ".", "..":
		return fmt.Errorf("a component %q is not allowed", s)
	}
	for _, r := range s {
		if !letter(r) && (r < '0' || r > '9') && !strings.ContainsRune("-_.: ", r) {
			return fmt.Errorf("the character %q is not allowed (letters, digits, - _ . : and space are)", r)
		}
	}
	return nil
}

func letter(r rune) bool { return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' }

// Pool is the pool that holds the dataset.
func (d DatasetName) Pool() PoolName {
	p, _, _ := strings.Cut(string(d), "/")
	return PoolName(p)
}

// Parent is the dataset above, "" for a pool's root dataset.
func (d DatasetName) Parent() DatasetName {
	i := strings.LastIndexByte(string(d), '/')
	if i < 0 {
		return ""
	}
	return d[:i]
}

// Base is the last component.
func (d DatasetName) Base() string { return string(d[strings.LastIndexByte(string(d), '/')+1:]) }

// IsRoot tells whether this is a pool's root dataset.
func (d DatasetName) IsRoot() bool { return d.Parent() == "" }

// Under tells whether d is below other, or other itself.
func (d DatasetName) Under(other DatasetName) bool {
	return d == other || strings.HasPrefix(string(d), string(other)+"/")
}

// trash is the name of the datasets that hold what is to be destroyed.
const trash = ".dplane-trash"

// Trash is the dataset below d that holds what is to be destroyed.
func (d DatasetName) Trash() DatasetName { return d + "/" + trash }

// IsTrash tells whether d is such a dataset.
func (d DatasetName) IsTrash() bool { return !d.IsRoot() && d.Base() == trash }

// InTrash tells whether d is such a dataset, or below one: it is dplane's own, in no schedule and no replication.
func (d DatasetName) InTrash() bool {
	return strings.Contains(string(d)+"/", "/"+trash+"/")
}
