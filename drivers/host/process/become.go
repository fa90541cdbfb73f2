package process

import (
	"fmt"
	"os"
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
