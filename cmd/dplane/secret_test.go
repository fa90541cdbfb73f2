package main

import (
	"bytes"
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// terminal gives the two ends of a pseudo-terminal.
func terminal(t *testing.T) (person, program *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pseudo-terminals here: %v", err)
	}
	t.Cleanup(func() { person.Close() })
	if err := unix.IoctlSetPointerInt(int(person.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Skipf("no pseudo-terminals here: %v", err)
	}
	n, err := unix.IoctlGetInt(int(person.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Skipf("no pseudo-terminals here: %v", err)
	}
	program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pseudo-terminals here: %v", err)
	}
	t.Cleanup(func() { program.Close() })
	return person, program
}

// TestAskSecret: what is typed is read without its end and never shown, what is new twice, and the terminal is as it was.
func TestAskSecret(t *testing.T) {
	for _, c := range []struct{ prompt, typed, want, err string }{
		{"passphrase of tank/a", "correct horse\n", "correct horse\n", ""},
		{"new passphrase of tank/a", "correct horse\ncorrect horse\n", "correct horse\n", ""},
		{"new passphrase of tank/a", "correct horse\ncorrect hose\n", "", "the two are not the same"},
	} {
		person, program := terminal(t)
		before, err := unix.IoctlGetTermios(int(program.Fd()), unix.TCGETS)
		if err != nil {
			t.Fatal(err)
		}
		quiet := *before
		quiet.Lflag &^= unix.ECHO // what is typed ahead, before it is asked for, would be shown by the terminal
		if err := unix.IoctlSetTermios(int(program.Fd()), unix.TCSETS, &quiet); err != nil {
			t.Fatal(err)
		}
		if _, err := person.WriteString(c.typed); err != nil {
			t.Fatal(err)
		}
		var shown bytes.Buffer
		a := &app{edges: edges{stdin: program, stderr: &shown}}
		got, err := a.askSecret(c.prompt)
		if string(got) != c.want || (err == nil) != (c.err == "") || err != nil && err.Error() != c.err {
			t.Errorf("%s: got %q, %v", c.prompt, got, err)
		}
		if bytes.Contains(shown.Bytes(), []byte("horse")) {
			t.Errorf("the secret is shown: %q", shown.String())
		}
		after, err := unix.IoctlGetTermios(int(program.Fd()), unix.TCGETS)
		if err != nil || *after != quiet {
			t.Errorf("the terminal is another one: %v, %v", after, err)
		}
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	if _, err := (&app{edges: edges{stdin: r}}).askSecret("passphrase"); err == nil {
		t.Error("a pipe was taken for a terminal")
	}
}
