package spec

import (
	"bytes"
	"io"
	"io/fs"
	"sort"
	"time"
)

// memoryFiles are files in memory as a flat directory.
type memoryFiles map[string][]byte

// Open gives a file, or the directory as ".".
func (m memoryFiles) Open(name string) (fs.File, error) {
	if name == "." {
		return &memoryDir{entries: m.list()}, nil
	}
	data, ok := m[name]
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return &memoryFile{info: memoryInfo{name, int64(len(data)), 0o600}, Reader: bytes.NewReader(data)}, nil
}

func (m memoryFiles) list() []fs.DirEntry {
	all := make([]fs.DirEntry, 0, len(m))
	for name, data := range m {
		all = append(all, fs.FileInfoToDirEntry(memoryInfo{name, int64(len(data)), 0o600}))
	}
	sort.Slice(all, func(i, j int) bool { return all[i].Name() < all[j].Name() })
	return all
}

type memoryFile struct {
	info memoryInfo
	*bytes.Reader
}

func (f *memoryFile) Stat() (fs.FileInfo, error) { return f.info, nil }
func (f *memoryFile) Close() error               { return nil }

type memoryDir struct{ entries []fs.DirEntry }

func (d *memoryDir) Stat() (fs.FileInfo, error) { return memoryInfo{".", 0, fs.ModeDir | 0o700}, nil }
func (d *memoryDir) Close() error               { return nil }
func (d *memoryDir) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: ".", Err: fs.ErrInvalid}
}

func (d *memoryDir) ReadDir(n int) ([]fs.DirEntry, error) {
	all := d.entries
	if n > 0 && len(all) == 0 {
		return nil, io.EOF
	}
	if n > 0 && n < len(all) {
		all = all[:n]
	}
	d.entries = d.entries[len(all):]
	return all, nil
}

type memoryInfo struct {
	name string
	size int64
	mode fs.FileMode
}

func (i memoryInfo) Name() string       { return i.name }
func (i memoryInfo) Size() int64        { return i.size }
func (i memoryInfo) Mode() fs.FileMode  { return i.mode }
func (i memoryInfo) ModTime() time.Time { return time.Time{} }
func (i memoryInfo) IsDir() bool        { return i.mode.IsDir() }
func (i memoryInfo) Sys() any           { return nil }
