//go:build e2e

package e2e

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// running is a daemon of a box.
type running struct {
	t   *testing.T
	box *box
	cmd *exec.Cmd
	log *safeBuffer
}

// safeBuffer may be read while a process still writes to it.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// daemon starts the loop; it is ended with the test, if not before. path is put in front of PATH.
func (b *box) daemon(path string) *running {
	b.t.Helper()
	b.settings("5s")
	r := &running{t: b.t, box: b, log: &safeBuffer{}, cmd: exec.Command(os.Getenv("DPLANE_BIN"), "--config", b.path("etc"), "daemon")}
	r.cmd.Env = os.Environ()
	if path != "" {
		r.cmd.Env = append(r.cmd.Env, "PATH="+path+":"+os.Getenv("PATH"))
	}
	r.cmd.Stderr = r.log
	if err := r.cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() {
		if r.cmd.ProcessState == nil {
			r.cmd.Process.Kill()
			r.cmd.Wait()
		}
	})
	return r
}

// stop ends it as systemd would, and expects a clean end.
func (r *running) stop() {
	r.t.Helper()
	if err := r.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		r.t.Fatal(err)
	}
	if err := r.cmd.Wait(); err != nil {
		r.t.Errorf("the daemon ended with %v\n%s", err, r.log)
	}
}

// until waits for something to become true on the real machine.
func (r *running) until(what string, ok func() bool) {
	r.t.Helper()
	for range 900 {
		if ok() {
			return
		}
		time.Sleep(200 * time.Millisecond) // the daemon and the kernel have no clock to fake
	}
	r.t.Fatalf("after three minutes still not: %s\n%s", what, r.log)
}

// get asks the endpoint; status 0 is no answer.
func (r *running) get(path string) (status int, body string) {
	res, err := http.Get("http://" + r.box.listen + path)
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, err.Error()
	}
	return res.StatusCode, string(b)
}

// has asks for a page of which some text is expected.
func (r *running) has(path string, status int, texts ...string) {
	r.t.Helper()
	got, body := r.get(path)
	if got != status {
		r.t.Errorf("GET %s: status %d, want %d: %s", path, got, status, body)
	}
	for _, s := range texts {
		if !strings.Contains(body, s) {
			r.t.Errorf("GET %s: no %q in\n%s", path, s, body)
		}
	}
}
