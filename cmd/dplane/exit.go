package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/dplaneos/dplane/cmd/internal/render"
	"golang.org/x/sys/unix"
)

// The exit codes of PRODUCT.md section 3 that more than one command uses.
const (
	exitFailed = 1
	exitHeld   = 3
	exitUsage  = 64
)

// exitError ends a run with a code. Its error, where there is one, is told to the operator.
type exitError struct {
	code int
	err  error
	hint string // the next command to type
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit status %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// exit ends a run with a code and nothing more to say.
func exit(code int) error {
	if code == 0 {
		return nil
	}
	return &exitError{code: code}
}

func usagef(format string, args ...any) error {
	return &exitError{code: exitUsage, err: fmt.Errorf(format, args...)}
}

func failf(hint, format string, args ...any) error {
	return &exitError{code: exitFailed, err: fmt.Errorf(format, args...), hint: hint}
}

// report tells the operator what went wrong, once, and gives the exit code.
func (a *app) report(err error) int {
	if err == nil {
		return 0
	}
	e := &exitError{code: exitFailed, err: err}
	errors.As(err, &e)
	if e.err == nil {
		return e.code
	}
	if a.json {
		a.print(render.ErrorJSON(err.Error(), e.hint))
	} else {
		fmt.Fprint(a.stderr, render.ErrorText(err.Error(), e.hint))
	}
	return e.code
}

// print writes a document to standard output.
func (a *app) print(doc []byte, err error) error {
	if err != nil {
		return err
	}
	_, err = a.stdout.Write(doc)
	return err
}

// colorOn tells whether w is a terminal that may be coloured.
func (a *app) colorOn(w io.Writer) bool { return !a.noColor && isTerminal(w) }

func isTerminal(w any) bool {
	f, ok := w.(*os.File)
	if !ok || f == nil {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}
