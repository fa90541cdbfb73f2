package main

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// TestDatabaseKeyPastAPipe: the record of a machine can be read whatever lies in its configuration directory.
func TestDatabaseKeyPastAPipe(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(dir, "a.yaml"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "b.yaml"), []byte("pools: x\ndaemon: {database: /srv/d.db}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got := make(chan string, 1)
	go func() { got <- databaseKey(dir) }()
	select {
	case key := <-got:
		if key != "/srv/d.db" {
			t.Error(key)
		}
	case <-time.After(10 * time.Second):
		t.Error("the pipe is waited for")
	}
}
