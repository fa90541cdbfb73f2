package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

const asOther = "DPLANE_TEST_CONTROL"

// TestMain: this binary is also a client that another user runs.
func TestMain(m *testing.M) {
	if dir := os.Getenv(asOther); dir != "" {
		var doc any
		err := Ask(context.Background(), dir, "who", nil, &doc)
		fmt.Printf("%v, no daemon: %t", err, errors.Is(err, ErrNoDaemon))
		os.Exit(0)
	}
	os.Exit(m.Run())
}

type said struct {
	Verb string `json:"verb"`
	Body string `json:"body"`
}

// echo answers with what it was asked; it refuses what is called refuse, and begins to wait where it is told to.
func echo(waits chan<- struct{}) Answer {
	return func(ctx context.Context, verb string, body json.RawMessage) (any, error) {
		switch verb {
		case "refuse":
			return nil, errors.New("it is not possible")
		case "wait":
			waits <- struct{}{}
			<-ctx.Done()
			return nil, ctx.Err()
		case "bad":
			return func() {}, nil
		}
		return said{verb, string(body)}, nil
	}
}

// serve listens in a directory that is short enough for a socket's name.
func serve(t *testing.T) (dir string, s *Server, waits chan struct{}) {
	t.Helper()
	dir, err := os.MkdirTemp("", "control")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	dir = filepath.Join(dir, "run")
	waits = make(chan struct{}, 100)
	if s, err = Serve(dir, echo(waits)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	return dir, s, waits
}

func ask(t *testing.T, dir, verb string, body any) (said, error) {
	t.Helper()
	var got said
	return got, Ask(t.Context(), dir, verb, body, &got)
}

func TestAsk(t *testing.T) {
	dir, s, _ := serve(t)
	var got said
	if err := Ask(t.Context(), dir, "a", map[string]int{"x": 1}, &got); err != nil || got != (said{"a", `{"x":1}`}) {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := ask(t, dir, "refuse", nil); err == nil || err.Error() != "it is not possible" || errors.Is(err, ErrNoDaemon) {
		t.Errorf("%v", err)
	}
	if _, err := ask(t, dir, "bad", nil); err == nil {
		t.Error("what can't be told is told")
	}
	s.Stop()
	if _, err := ask(t, dir, "a", nil); !errors.Is(err, ErrNoDaemon) {
		t.Errorf("%v", err)
	}
	(*Server)(nil).Stop()
}

// The socket is its owner's alone, whatever the umask is, from its first moment on.
func TestMode(t *testing.T) {
	old := syscall.Umask(0)
	defer syscall.Umask(old)
	dir, _, _ := serve(t)
	for path, want := range map[string]os.FileMode{dir: 0o700 | os.ModeDir, File(dir): 0o600 | os.ModeSocket} {
		if info, err := os.Stat(path); err != nil || info.Mode() != want {
			t.Errorf("%s is %v, %v, want %v", path, info.Mode(), err, want)
		}
	}
	if now := syscall.Umask(0); now != 0 {
		t.Errorf("it leaves the umask %o", now)
	}
}

// Another user gets nothing, also where somebody opened the socket to all.
func TestOthers(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can become another user")
	}
	dir, _, _ := serve(t)
	self := filepath.Join(filepath.Dir(dir), "client")
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(self, text, 0o755); err != nil {
		t.Fatal(err)
	}
	other := func() string {
		c := exec.Command(self)
		c.Env = []string{asOther + "=" + dir, "GORACE=atexit_sleep_ms=0"}
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		out, err := c.CombinedOutput()
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	if got := other(); !strings.Contains(got, "permission denied") {
		t.Errorf("the directory is closed: %s", got)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if got := other(); !strings.Contains(got, "permission denied") {
		t.Errorf("the socket is closed: %s", got)
	}
	if err := os.Chmod(File(dir), 0o666); err != nil {
		t.Fatal(err)
	}
	for range 20 { // it is refused, however fast the question comes
		if got := other(); got != "user 65534 may not ask the daemon: run it as root, no daemon: false" {
			t.Fatalf("the socket is open: %s", got)
		}
	}
}

// raw sends text as it is, and gives the answer.
func raw(t *testing.T, dir, text string) (answer, error) {
	t.Helper()
	c, err := net.Dial("unix", File(dir))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := io.WriteString(c, text); err != nil {
		return answer{}, err
	}
	_ = c.(*net.UnixConn).CloseWrite()
	var a answer
	return a, json.NewDecoder(c).Decode(&a)
}

// What is no question is answered with an error, and hurts nobody; what a newer release adds is passed over.
func TestGarbage(t *testing.T) {
	dir, _, _ := serve(t)
	for _, text := range []string{"", "{", "null x", "[]", `{"verb": 7}`, `{"verb": "a", "body": }`, "\x00\xff", "GET / HTTP/1.1\r\n\r\n", `{"verb": "a", "body": "` + strings.Repeat("x", 2*maxQuestion) + `"}`} {
		if a, err := raw(t, dir, text); err == nil && a.Error == "" && text != "null x" {
			t.Errorf("%.40q is answered %s", text, a.Body)
		}
	}
	if a, err := raw(t, dir, `{"verb": "a", "version": 2, "more": {"x": 1}}`); err != nil || a.Error != "" || !strings.Contains(string(a.Body), `"verb":"a"`) {
		t.Errorf("%+v, %v", a, err)
	}
	if got, err := ask(t, dir, "a", nil); err != nil || got.Verb != "a" {
		t.Errorf("after that: %+v, %v", got, err)
	}
}

// A client that goes away, or never asks, keeps nobody else waiting, and not the end either.
func TestGone(t *testing.T) {
	dir, s, waits := serve(t)
	for range 20 {
		c, err := net.Dial("unix", File(dir)) // asks nothing, and stays
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c, err = net.Dial("unix", File(dir)) // goes away before its answer
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(c, `{"verb": "wait"}`)
		<-waits
		c.Close()
	}
	if got, err := ask(t, dir, "a", nil); err != nil || got.Verb != "a" {
		t.Errorf("beside them: %+v, %v", got, err)
	}
	began := time.Now()
	s.Stop()
	if took := time.Since(began); took > asking/2 {
		t.Errorf("the end took %s", took)
	}
}

// Who asks can lose patience.
func TestAskCancelled(t *testing.T) {
	dir, _, waits := serve(t)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-waits; cancel() }()
	var doc any
	if err := Ask(ctx, dir, "wait", nil, &doc); err == nil {
		t.Error("it is answered")
	}
}

// Of a daemon that dies over a question nobody says that nothing was done.
func TestLost(t *testing.T) {
	dir := t.TempDir()
	l, err := net.Listen("unix", File(dir))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		if c, err := l.Accept(); err == nil {
			var q question
			_ = json.NewDecoder(c).Decode(&q)
			c.Close()
		}
	}()
	if _, err := ask(t, dir, "a", nil); !errors.Is(err, ErrLost) || errors.Is(err, ErrNoDaemon) {
		t.Errorf("%v", err)
	}
}

// What a daemon left that died is no obstacle, one that lives is; and a file that is none of ours is not taken for a socket.
func TestTwice(t *testing.T) {
	dir, s, _ := serve(t)
	if _, err := Serve(dir, echo(nil)); err == nil || !strings.Contains(err.Error(), "another daemon answers") {
		t.Errorf("%v", err)
	}
	if got, err := ask(t, dir, "a", nil); err != nil || got.Verb != "a" {
		t.Errorf("the first one: %+v, %v", got, err)
	}
	s.Stop()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: File(dir), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close() // as kill -9 leaves it
	again, err := Serve(dir, echo(nil))
	if err != nil {
		t.Fatal(err)
	}
	defer again.Stop()
	if got, err := ask(t, dir, "a", nil); err != nil || got.Verb != "a" {
		t.Errorf("the second one: %+v, %v", got, err)
	}
}
