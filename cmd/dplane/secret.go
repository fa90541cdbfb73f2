package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// askSecret asks a person at the terminal, without showing what is typed. What is new is asked for twice: a slip of the
// finger would lock the data away.
func (a *app) askSecret(prompt string) ([]byte, error) {
	tty := a.stdin
	if !isTerminal(tty) {
		return nil, errors.New("standard input is no terminal")
	}
	typed, err := a.typed(tty, prompt+": ")
	if err != nil {
		return nil, err
	}
	if strings.HasPrefix(prompt, "new ") {
		again, err := a.typed(tty, prompt+", once more: ")
		if err != nil {
			return nil, err
		}
		if !bytes.Equal(typed, again) {
			return nil, errors.New("the two are not the same")
		}
	}
	return append(typed, '\n'), nil
}

// typed is one line, without its end, read while the terminal shows nothing.
func (a *app) typed(tty *os.File, prompt string) (line []byte, err error) {
	if _, err := fmt.Fprint(a.stderr, prompt); err != nil {
		return nil, err
	}
	fd := int(tty.Fd())
	was, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return nil, fmt.Errorf("ask the terminal: %w", err)
	}
	quiet := *was
	quiet.Lflag = quiet.Lflag&^unix.ECHO | unix.ICANON | unix.ISIG
	quiet.Iflag |= unix.ICRNL
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, &quiet); err != nil {
		return nil, fmt.Errorf("silence the terminal: %w", err)
	}
	defer func() {
		err = errors.Join(err, unix.IoctlSetTermios(fd, unix.TCSETS, was))
		_, e := fmt.Fprintln(a.stderr)
		err = errors.Join(err, e)
	}()
	b := make([]byte, 1)
	for {
		switch n, err := tty.Read(b); {
		case n == 1 && b[0] == '\n':
			return line, nil
		case n == 1:
			line = append(line, b[0])
		case err == io.EOF:
			return nil, errors.New("nothing was typed")
		case err != nil:
			return nil, err
		}
	}
}
