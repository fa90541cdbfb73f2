// Command dplane brings a machine with OpenZFS to the state that its files describe, and keeps it
// there (README.md).
//
// This package is how people reach the rooms behind it; it must never decide what is to be done.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	// They change how CUE evaluates: a schema must mean the same on every machine.
	os.Unsetenv("CUE_EXPERIMENT")
	os.Unsetenv("CUE_DEBUG")
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // the first one ends in order, a second one at once
	os.Exit(run(ctx, os.Args[1:], edges{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr}))
}

// outliveReaders turns the signal that kills who writes to a closed pipe into an error of the write: what changes
// the machine must not die half-way because `head` has read enough.
func outliveReaders() { signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) }
