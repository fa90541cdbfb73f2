package process

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dplaneos/dplane/drivers/host"
)

// Become runs a command of this machine in the place of this process: what is connected to it, who waits for it and who
// ends it meet the command itself. It comes back only where that can't be begun.
func (r *Runner) Become(argv []string) error {
	program, err := r.look(argv[0])
	if err != nil {
		return err
	}
	if err := os.Chdir("/"); err != nil {
		return err
	}
	return startError(host.Command{Argv: argv}, syscall.Exec(program, argv, r.env))
}

// Feed runs a command of this machine that prints where this process does, and reads what sift lets through of in. It gives
// the exit status, and the error of sift where that has one: the command meets an early end of what it reads then, and ends. Where
// the command ends first (a promotion ends what is received, and its far side may be without power), sift is not waited for: it
// may have nothing to read for as long as the connection is not given up.
func (r *Runner) Feed(argv []string, in io.Reader, sift func(in io.Reader, out io.Writer) error) (code int, err error) {
	from, to, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	sifted := make(chan error, 1)
	code, err = r.below(argv, from, func() {
		from.Close()
		go func() {
			err := sift(in, to)
			sifted <- err // before the command can know
			to.Close()
		}()
	})
	if err != nil {
		from.Close()
		to.Close()
		return 0, err
	}
	select {
	case err = <-sifted:
	case <-time.After(sifting):
	}
	return code, err
}

// sifting is how long is waited for sift once its command has ended: what it writes then is refused.
const sifting = time.Second

// Attend runs a command of this machine that reads and prints where this process does, and gives its exit status: it is
// Become for who has something to do after it.
func (r *Runner) Attend(argv []string) (code int, err error) {
	return r.below(argv, os.Stdin, func() {})
}

// below runs a command that does not outlive this process, and once it is begun what there is to do meanwhile.
func (r *Runner) below(argv []string, stdin *os.File, meanwhile func()) (code int, err error) {
	program, err := r.look(argv[0])
	if err != nil {
		return 0, err
	}
	runtime.LockOSThread() // it is the end of the thread that Pdeathsig takes for the end of its parent (prctl(2))
	defer runtime.UnlockOSThread()
	cmd := exec.Cmd{
		Path: program, Args: argv, Env: r.env, Dir: "/", Stdin: stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		SysProcAttr: &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM},
	}
	if err := cmd.Start(); err != nil {
		return 0, startError(host.Command{Argv: argv}, err)
	}
	meanwhile()
	if err := cmd.Wait(); err != nil && !errors.As(err, new(*exec.ExitError)) {
		return 0, err
	}
	return cmd.ProcessState.ExitCode(), nil
}

// peekWait is how long is waited for the rest of what began to come.
const peekWait = 30 * time.Second

// Peek gives the first n bytes of what can be read from a pipe or socket, and leaves them in it; fewer, where no more come.
func Peek(f *os.File, n int) ([]byte, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	look := peekPipe
	switch info.Mode().Type() {
	case os.ModeNamedPipe:
	case os.ModeSocket:
		look = peekSocket
	default:
		return nil, fmt.Errorf("%s is no pipe", f.Name())
	}
	buf := make([]byte, n)
	for end := time.Now().Add(peekWait); ; time.Sleep(5 * time.Millisecond) {
		have, err := look(int(f.Fd()), buf)
		if err != nil || have == 0 || have == n || time.Now().After(end) {
			return buf[:max(have, 0)], err
		}
	}
}

func peekSocket(fd int, buf []byte) (n int, err error) {
	for {
		if n, _, err = unix.Recvfrom(fd, buf, unix.MSG_PEEK); err != unix.EINTR {
			return n, err
		}
	}
}

// peekPipe copies what is in a pipe into another one, which leaves it there (tee(2)).
func peekPipe(fd int, buf []byte) (int, error) {
	var copied [2]int
	if err := unix.Pipe2(copied[:], unix.O_CLOEXEC); err != nil {
		return 0, err
	}
	defer unix.Close(copied[0])
	defer unix.Close(copied[1])
	for {
		n, err := unix.Tee(fd, copied[1], len(buf), 0)
		if err == unix.EINTR {
			continue
		}
		if err != nil || n == 0 {
			return 0, err
		}
		return unix.Read(copied[0], buf)
	}
}
