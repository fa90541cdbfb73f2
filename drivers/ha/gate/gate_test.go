package gate

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/dplaneos/dplane/state"
)

// Nothing is let in but what the holder of the term that is known here sends to a standby; what was let in before is told when it
// leaves; and nobody is taken for gone who is on the way in.
func TestGate(t *testing.T) {
	dir, keeper := filepath.Join(t.TempDir(), "run-ha"), &Keeper{}
	write := func(s state.HA) {
		t.Helper()
		if err := keeper.Write(dir, &s, os.Geteuid()); err != nil {
			t.Fatal(err)
		}
	}
	refused := func(why, sender string, term uint64) {
		t.Helper()
		if _, err := Enter(dir, sender, term); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%s in term %d: %v, want %q", sender, term, err, why)
		}
	}
	refused("did not run since it booted", "nas-a", 3)
	if s, err := Read(dir); err != nil || s.Role != state.RoleBoot {
		t.Errorf("%+v, %v", s, err)
	}
	well := state.HA{Node: "nas-b", Role: state.RoleStandby, Term: 3, Holder: "nas-a"}
	write(well)
	if s, err := Read(dir); err != nil || s.Role != well.Role || s.Term != 3 || s.Holder != "nas-a" || s.Node != "nas-b" {
		t.Errorf("%+v, %v", s, err)
	}
	refused("term 3 is known here", "nas-a", 2)
	refused("the highest known is 3", "nas-a", 4)
	refused("the holder of term 3", "nas-c", 3)
	one, err := Enter(dir, "nas-a", 3)
	if err != nil {
		t.Fatal(err)
	}
	two, err := Enter(dir, "nas-a", 3) // one does not keep another one out
	if err != nil {
		t.Fatal(err)
	}
	if err := one.Leave(); err != nil {
		t.Error(err)
	}
	quiet := func(want bool) {
		t.Helper()
		if got, err := Quiet(dir); got != want || err != nil {
			t.Errorf("quiet: %t, %v", got, err)
		}
	}
	shut := well
	shut.Role = state.RolePromoting
	write(shut)
	quiet(false)
	refused("only a standby receives", "nas-a", 3)
	if err := two.Leave(); err == nil || !strings.Contains(err.Error(), "only a standby receives") {
		t.Errorf("what came when it was shut: %v", err)
	}
	quiet(true)
	for why, s := range map[string]state.HA{
		"not settled yet": {Role: state.RoleStandby, Term: 3, Holder: "nas-a", Dirty: true},
		"two nodes":       {Role: state.RoleStandby, Term: 3, Holder: "nas-a", Frozen: "two nodes are active"},
	} {
		write(s)
		refused(why, "nas-a", 3)
	}
	if err := os.WriteFile(filepath.Join(dir, file), []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	refused("can't be read", "nas-a", 3)
	info, err := os.Stat(filepath.Join(dir, file))
	if left, _ := filepath.Glob(filepath.Join(dir, ".*")); err != nil || info.Mode().Perm() != 0o644 || len(left) > 0 {
		t.Errorf("%v, %v, left %v", info, err, left)
	}
}

// What a daemon wrote that was killed is not believed, and does not let out what it let in. A reader, who may be anybody, can't
// hold it in the daemon's place, nor keep the next daemon from it.
func TestGone(t *testing.T) {
	dir, dead := filepath.Join(t.TempDir(), "run-ha"), &Keeper{}
	well := state.HA{Node: "nas-b", Role: state.RoleStandby, Term: 3, Holder: "nas-a"}
	if err := dead.Write(dir, &well, os.Geteuid()); err != nil {
		t.Fatal(err)
	}
	pass, err := Enter(dir, "nas-a", 3)
	if err != nil {
		t.Fatal(err)
	}
	dead.Close() // as the kernel does for one that is killed
	f, err := os.Open(filepath.Join(dir, file))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, kind := range []int16{unix.F_RDLCK, unix.F_WRLCK} {
		_ = unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: kind})
	}
	if s, err := Read(dir); !errors.Is(err, ErrGone) || s.Role != state.RoleBoot || s.Holder != "" {
		t.Errorf("%+v, %v", s, err)
	}
	if _, err := Enter(dir, "nas-a", 3); !errors.Is(err, ErrGone) {
		t.Errorf("it lets in: %v", err)
	}
	if err := pass.Leave(); !errors.Is(err, ErrGone) {
		t.Errorf("it lets out: %v", err)
	}
	next := &Keeper{}
	if err := next.Write(dir, &well, os.Geteuid()); err != nil {
		t.Fatal(err)
	}
	if s, err := Read(dir); err != nil || s.Role != state.RoleStandby {
		t.Errorf("%+v, %v", s, err)
	}
}

// While roles follow one another a reader sees one of them, and never none.
func TestReplaced(t *testing.T) {
	dir, keeper := filepath.Join(t.TempDir(), "run-ha"), &Keeper{}
	write := func(term uint64) {
		if err := keeper.Write(dir, &state.HA{Node: "nas-b", Role: state.RoleStandby, Term: term}, os.Geteuid()); err != nil {
			t.Error(err)
		}
	}
	write(1)
	var all sync.WaitGroup
	over := make(chan struct{})
	for range 4 {
		all.Go(func() {
			for last := uint64(0); ; {
				s, err := Read(dir)
				if err != nil || s.Term < last {
					t.Errorf("%+v after term %d, %v", s, last, err)
					return
				}
				last = s.Term
				select {
				case <-over:
					return
				default:
				}
			}
		})
	}
	for n := range uint64(60) {
		write(n + 2)
	}
	close(over)
	all.Wait()
	runtime.KeepAlive(keeper) // else it may be collected while it is read still, and lets go
}

// Where a role can't be told, the one before it is told to nobody.
func TestNotWritten(t *testing.T) {
	dir, keeper := filepath.Join(t.TempDir(), "run-ha"), &Keeper{}
	if err := keeper.Write(dir, &state.HA{Node: "nas-a", Role: state.RoleActive, Term: 3, Holder: "nas-a"}, os.Geteuid()); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, lock)); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, lock), 0o755); err != nil { // which can't be opened as a file
		t.Fatal(err)
	}
	if err := keeper.Write(dir, &state.HA{Node: "nas-a", Role: state.RoleSuperseded, Term: 4}, os.Geteuid()); err == nil {
		t.Fatal("it was written")
	}
	if s, err := Read(dir); !errors.Is(err, ErrGone) || s.Role != state.RoleBoot || s.Term != 0 {
		t.Errorf("others are told %+v, %v", s, err)
	}
}

// The lock is the receiver's: nobody else can keep a promotion waiting with it, or the other nodes out. What an earlier release
// left open to all is closed.
func TestLockIsTheReceivers(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give a file away")
	}
	base, err := os.MkdirTemp("/tmp", "gate") // t.TempDir lets nobody else in
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(base)
	dir := filepath.Join(base, "run-ha")
	if err := errors.Join(os.Chmod(base, 0o755), os.Mkdir(dir, 0o755), os.WriteFile(filepath.Join(dir, lock), nil, 0o644)); err != nil {
		t.Fatal(err)
	}
	const receiver, stranger = 4242, 4243
	well := state.HA{Node: "nas-b", Role: state.RoleStandby, Term: 3, Holder: "nas-a"}
	keeper := &Keeper{}
	if err := keeper.Write(dir, &well, receiver); err != nil {
		t.Fatal(err)
	}
	as := func(uid int, do func()) { // of this thread alone, which ends with it
		done := make(chan struct{})
		go func() {
			defer close(done)
			runtime.LockOSThread()
			if _, _, errno := syscall.RawSyscall(syscall.SYS_SETFSUID, uintptr(uid), 0, 0); errno != 0 {
				t.Error(errno)
			}
			do()
		}()
		<-done
	}
	as(stranger, func() {
		if f, err := os.Open(filepath.Join(dir, lock)); err == nil {
			f.Close()
			t.Error("a stranger can open it")
		}
		if _, err := Enter(dir, "nas-a", 3); err == nil || !strings.Contains(err.Error(), "own entry in remotes") {
			t.Error(err)
		}
	})
	as(receiver, func() {
		pass, err := Enter(dir, "nas-a", 3)
		if err != nil {
			t.Error(err)
			return
		}
		if quiet, err := Quiet(dir); quiet || err != nil {
			t.Error(quiet, err)
		}
		if err := pass.Leave(); err != nil {
			t.Error(err)
		}
	})
	if quiet, err := Quiet(dir); !quiet || err != nil {
		t.Error(quiet, err)
	}
}
