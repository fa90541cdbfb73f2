package process

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dplaneos/dplane/drivers/host"
)

// What is looked at stays to be read, also where it comes in pieces or ends early.
func TestPeek(t *testing.T) {
	for kind, pair := range map[string]func(*testing.T) (from, to *os.File){"pipe": pipeOf, "socket": socketsOf} {
		t.Run(kind, func(t *testing.T) {
			from, to := pair(t)
			go func() {
				for _, piece := range []string{"ab", "cd", "efgh"} {
					_, _ = to.WriteString(piece)
					time.Sleep(20 * time.Millisecond) // lets the reader see it in pieces; right either way
				}
				to.Close()
			}()
			first, err := Peek(from, 6)
			if err != nil || string(first) != "abcdef" {
				t.Errorf("%q, %v", first, err)
			}
			if all, err := io.ReadAll(from); err != nil || string(all) != "abcdefgh" {
				t.Errorf("then %q, %v", all, err)
			}
			if none, err := Peek(from, 6); err != nil || len(none) != 0 {
				t.Errorf("at the end %q, %v", none, err)
			}
		})
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	if _, err := Peek(null, 6); err == nil {
		t.Error("a device is no pipe")
	}
}

func pipeOf(t *testing.T) (from, to *os.File) {
	from, to, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { from.Close() })
	return from, to
}

func socketsOf(t *testing.T) (from, to *os.File) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	from, to = os.NewFile(uintptr(fds[0]), "from"), os.NewFile(uintptr(fds[1]), "to")
	t.Cleanup(func() { from.Close() })
	return from, to
}

// TestBecome runs itself as the process that becomes another one: what was connected, and the status, are its own; the
// environment is not.
func TestBecome(t *testing.T) {
	if os.Getenv("TEST_BECOME") != "" {
		err := New().Become([]string{"sh", "-c", `cat; echo "$LC_ALL $LD_PRELOAD_TEST $PWD"; exit 7`})
		t.Fatal(err)
	}
	c := exec.Command(os.Args[0], "-test.run=^TestBecome$")
	c.Env = append(os.Environ(), "TEST_BECOME=1", "LD_PRELOAD_TEST=x", "LC_ALL=de_DE")
	c.Stdin = strings.NewReader("in ")
	out, err := c.Output()
	if string(out) != "in C  /\n" || c.ProcessState.ExitCode() != 7 {
		t.Errorf("%q, %v", out, err)
	}
	if err := New().Become([]string{"no-such-program"}); err == nil {
		t.Error("became what is not there")
	}
}

// A command gets what is let through, and its end where no more is; its status and what refused the rest are told apart.
func TestFeed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "got")
	refused := errors.New("refused")
	some := func(n int64, err error) func(io.Reader, io.Writer) error {
		return func(in io.Reader, out io.Writer) error {
			if _, copyErr := io.CopyN(out, in, n); copyErr != nil {
				return copyErr
			}
			return err
		}
	}
	for _, c := range []struct {
		what, script string
		sift         func(io.Reader, io.Writer) error
		code         int
		err          error
		got          string
	}{
		{"all", `cat > "$0"`, some(6, nil), 0, nil, "abcdef"},
		{"some", `cat > "$0"; exit 3`, some(3, refused), 3, refused, "abc"},
		{"one that ends early", `: > "$0"; exec <&-; exit 5`, func(in io.Reader, out io.Writer) error {
			for {
				if _, err := out.Write(make([]byte, 64<<10)); err != nil {
					return err
				}
			}
		}, 5, syscall.EPIPE, ""},
	} {
		code, err := New().Feed([]string{"sh", "-c", c.script, file}, strings.NewReader("abcdef"), c.sift)
		got, _ := os.ReadFile(file)
		if code != c.code || !errors.Is(err, c.err) || string(got) != c.got {
			t.Errorf("%s: %d, %v, %q", c.what, code, err, got)
		}
	}
	if _, err := New().Feed([]string{"no-such-program"}, strings.NewReader(""), some(0, nil)); !errors.Is(err, host.ErrNotFound) {
		t.Error(err)
	}
}

// A receive whose far side went without a word is ended by a promotion, which waits for who let it in.
func TestFeedEndsWithItsCommand(t *testing.T) {
	in, far, err := os.Pipe() // far stays open: the connection of a machine without power
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	defer in.Close()
	ended := make(chan int, 1)
	go func() {
		code, _ := New().Feed([]string{"sh", "-c", "exit 7"}, in, func(in io.Reader, out io.Writer) error { _, err := io.Copy(out, in); return err })
		ended <- code
	}()
	select {
	case code := <-ended:
		if code != 7 {
			t.Errorf("status %d", code)
		}
	case <-time.After(time.Minute):
		t.Error("its command has ended, and it waits for the far side")
	}
}
