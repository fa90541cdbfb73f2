package process

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dplaneos/dplane/drivers/host"
)

// joinedBy is a pipe between two scripts.
func joinedBy(sender, receiver string) host.Command {
	from := host.Read("sh", "-c", sender)
	c := host.Write("sh", "-c", receiver)
	c.Stdin = &from
	return c
}

func TestPipe(t *testing.T) {
	for _, c := range []struct {
		name, sender, receiver string
		out                    string
		code                   int // of the cause; 0: it is well
		says, other            string
	}{
		{"well", "echo hello", "cat", "hello\n", 0, "", ""},
		{"nothing", ":", "cat", "", 0, "", ""},
		{"the sender fails, and the receiver does not mind", "echo half; echo gone >&2; exit 3", "cat", "half\n", 3, "gone", ""},
		{"the sender fails, and the receiver minds", "echo why >&2; exit 3", "cat; echo failed to read from stream >&2; exit 1", "", 3, "why", "failed to read"},
		{"the receiver fails, and the sender is left alone", "while :; do echo x; done", "head -c 10 >/dev/null; echo no space >&2; exit 1", "", 1, "no space", ""},
		{"the receiver fails, and the sender says so", "trap '' PIPE; while echo x; do :; done 2>/dev/null; echo Broken pipe >&2; exit 1", "head -c 10 >/dev/null; echo no space >&2; exit 1", "", 1, "no space", "Broken pipe"},
		{"the receiver ends well, before all has come", "while :; do echo x; done", "head -c 2", "x\n", 0, "", ""},
	} {
		for _, p := range []host.Pipe{{}, {Rate: 100 << 20}, {Sift: looking}, {Rate: 100 << 20, Sift: looking}} {
			t.Run(fmt.Sprint(c.name, " ", p.Rate, p.Sift != nil), func(t *testing.T) {
				cmd := joinedBy(c.sender, c.receiver)
				cmd.Pipe = p
				res, err := New().Run(t.Context(), cmd)
				if string(res.Stdout) != c.out {
					t.Errorf("printed %q", res.Stdout)
				}
				var pipe *host.PipeError
				var cause *host.ExitError
				switch {
				case c.name == "the receiver ends well, before all has come":
					if !errors.As(err, &cause) || cause.Command.Argv[2] != c.sender {
						t.Errorf("the sender's end is ignored: %v", err)
					}
				case c.code == 0 && err == nil:
				case !errors.As(err, &pipe) || !errors.As(err, &cause) || cause.Code != c.code || !strings.Contains(cause.Stderr, c.says):
					t.Errorf("%v", err)
				case (pipe.Other == nil) != (c.other == "") || c.other != "" && !strings.Contains(pipe.Other.Stderr, c.other):
					t.Errorf("the other: %v", pipe.Other)
				}
			})
		}
	}
}

// looking reads the first byte, and lets all through.
func looking(in io.Reader, out io.Writer) error {
	first := make([]byte, 1)
	if _, err := in.Read(first); err != nil {
		return err
	}
	if _, err := out.Write(first); err != nil {
		return err
	}
	_, err := io.Copy(out, in)
	return err
}

// Of a stream that is refused the receiver gets no more than was let through, and both end.
func TestPipeUnfit(t *testing.T) {
	for _, rate := range []int64{0, 50 << 20} {
		cmd := joinedBy("echo good; while :; do echo bad; done", "cat")
		cmd.Pipe = host.Pipe{Rate: rate, Sift: func(in io.Reader, out io.Writer) error {
			if _, err := io.CopyN(out, in, 5); err != nil {
				return err
			}
			return &host.Unfit{Why: "it goes on"}
		}}
		res, err := New().Run(t.Context(), cmd)
		var unfit *host.Unfit
		if !errors.As(err, &unfit) || !strings.Contains(err.Error(), "it goes on") || string(res.Stdout) != "good\n" {
			t.Errorf("rate %d: %q came, %v", rate, res.Stdout, err)
		}
	}
}

// All that is sent arrives, whatever the limit; what counts is told and is no error's text.
func TestPipeMoves(t *testing.T) {
	const script = "head -c 300000 /dev/zero; echo bytes 300000 >&2; head -c 200000 /dev/zero; echo bytes 200000 >&2; echo else >&2; exit 1"
	for _, rate := range []int64{0, 50 << 20, -1} { // -1: looked at
		cmd := joinedBy(script, "wc -c")
		var told int64
		cmd.Pipe = host.Pipe{Rate: max(0, rate), Moved: func(n int64) { told = n }, Count: func(line string) (int64, bool) {
			n, ok := strings.CutPrefix(line, "bytes ")
			v, err := strconv.ParseInt(n, 10, 64)
			return v, ok && err == nil
		}}
		if rate < 0 {
			cmd.Pipe.Sift = looking
		}
		res, err := New().Run(t.Context(), cmd)
		if got := strings.TrimSpace(string(res.Stdout)); got != "500000" {
			t.Errorf("rate %d: %s bytes came", rate, got)
		}
		if told != 500000 {
			t.Errorf("rate %d: %d bytes told of", rate, told)
		}
		var cause *host.ExitError
		if !errors.As(err, &cause) || cause.Stderr != "else\n" {
			t.Errorf("rate %d: %v", rate, err)
		}
	}
}

func TestBucket(t *testing.T) {
	for _, rate := range []int64{1, 7, 1000, 50 << 20} {
		now := time.Unix(0, 0)
		b, start := newBucket(rate, now), now
		var passed int64
		for i := range 1000 {
			n := min(int64(i%int(min(b.most, 1000))+1), b.most)
			now = now.Add(b.take(n, now))
			if passed += n; i == 500 {
				now = now.Add(time.Hour) // nothing came: that is not made good
				start, passed = now, n
			}
		}
		if took, want := now.Sub(start).Seconds(), float64(passed)/float64(rate); took > want || took < want-3*float64(b.most)/float64(rate) {
			t.Errorf("rate %d: %d bytes in %f s, want %f", rate, passed, took, want)
		}
	}
}

// gone waits until no process of the group is left.
func gone(t *testing.T, group int) {
	t.Helper()
	for range 500 {
		if errors.Is(syscall.Kill(-group, 0), syscall.ESRCH) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("processes of the group %d live on", group)
}

func groupIn(t *testing.T, path string) int {
	t.Helper()
	for range 1000 {
		b, _ := os.ReadFile(path)
		if n, err := strconv.Atoi(strings.TrimSpace(string(b))); err == nil && bytes.HasSuffix(b, []byte("\n")) {
			return n
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("it never began")
	return 0
}

func TestPipeEnds(t *testing.T) {
	file := t.TempDir() + "/pid"
	sleeping := fmt.Sprintf("echo $$ >%s; echo x; sleep 1000 & wait", file)
	t.Run("nobody wants it any more", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		go func() { groupIn(t, file); cancel() }()
		if _, err := New().Run(ctx, joinedBy(sleeping, "cat; sleep 1000")); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		gone(t, groupIn(t, file))
	})
	os.Remove(file)
	t.Run("nothing moves", func(t *testing.T) {
		c := joinedBy(sleeping, "cat; sleep 1000")
		c.Pipe.Stall = time.Millisecond
		if _, err := New().Run(t.Context(), c); !errors.Is(err, host.ErrStalled) {
			t.Error(err)
		}
		gone(t, groupIn(t, file))
	})
	os.Remove(file)
	t.Run("the receiver is not installed", func(t *testing.T) {
		c := joinedBy(sleeping, "")
		c.Argv = []string{"no-such-program"}
		if _, err := New().Run(t.Context(), c); !errors.Is(err, host.ErrNotFound) {
			t.Error(err)
		}
	})
	t.Run("the receiver can't be started", func(t *testing.T) {
		bad := t.TempDir() + "/bad"
		if err := os.WriteFile(bad, []byte("no program"), 0o755); err != nil {
			t.Fatal(err)
		}
		c := joinedBy(sleeping, "")
		c.Argv = []string{bad}
		if _, err := New().Run(t.Context(), c); err == nil {
			t.Error("no error")
		}
		if b, _ := os.ReadFile(file); bytes.HasSuffix(b, []byte("\n")) { // else it was ended before it began anything
			gone(t, groupIn(t, file))
		}
	})
	if _, err := New().Run(t.Context(), host.Command{Argv: []string{"cat"}, Host: "nas-b"}); err == nil {
		t.Error("a command of another host ran here")
	}
}

// A dplane that is killed leaves nothing behind: this test is run again as a process of its own, and killed.
func TestPipeOrphans(t *testing.T) {
	if file := os.Getenv("DPLANE_TEST_PIPE"); file != "" {
		_, err := New().Run(t.Context(), joinedBy(fmt.Sprintf("echo $$ >%s; exec sleep 1000", file), "exec sleep 1000"))
		t.Fatal(err)
	}
	file := t.TempDir() + "/pid"
	self := exec.Command(os.Args[0], "-test.run=^TestPipeOrphans$")
	self.Env = append(os.Environ(), "DPLANE_TEST_PIPE="+file)
	if err := self.Start(); err != nil {
		t.Fatal(err)
	}
	group := groupIn(t, file)
	if err := self.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = self.Wait()
	gone(t, group)
}

// A pipe that can't be ended keeps others from what either of its ends hangs on, until it is gone.
func TestPipeLeftBehind(t *testing.T) {
	r := lanesBy("/nosuch")
	var group int
	r.signal = func(pid int, _ syscall.Signal) { group = pid } // as if blocked in the kernel
	from := on("tank", "exec sleep 1000")
	c := on("backup", "exec sleep 1000")
	c.Stdin = &from
	var told int
	c.Pipe.Moved = func(int64) { told++ }
	if _, err := r.Run(t.Context(), c); !errors.Is(err, host.ErrTimeout) || told == 0 {
		t.Fatalf("%v, told %d times", err, told)
	}
	elsewhere := ends("other")
	sender := ends("tank")
	elsewhere.Stdin = &sender
	for _, c := range []host.Command{ends("tank"), ends("backup"), elsewhere} {
		if _, err := r.Run(t.Context(), c); !errors.Is(err, host.ErrStuck) {
			t.Errorf("%s: %v", c, err)
		}
	}
	if err := syscall.Kill(-group, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for range 1000 {
		if _, err := r.Run(t.Context(), elsewhere); err == nil {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Error("it is never free")
}
