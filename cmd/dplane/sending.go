package main

import (
	"fmt"
	"time"

	"github.com/dplaneos/dplane/cmd/internal/render"
	"github.com/dplaneos/dplane/drivers/replication"
)

// sendingEvery is how often a line tells how far a stream is, where no terminal shows it in one place.
const sendingEvery = 30 * time.Second

// sending tells how far a stream is: over and over in one line of a terminal, else in a line of its own now and then.
func (a *app) sending(p replication.Progress) {
	a.telling.Lock()
	defer a.telling.Unlock()
	line := render.Progress(p.Replication, p.Source, p.Bytes, p.Size, p.Took)
	if isTerminal(a.stderr) {
		fmt.Fprintf(a.stderr, "\r%s\x1b[K", line)
		a.halfLine = true
		return
	}
	if a.toldAt == nil {
		a.toldAt = map[string]time.Duration{}
	}
	key := p.Replication + " " + p.Source
	if p.Took < a.toldAt[key] { // another stream
		a.toldAt[key] = 0
	}
	if p.Took-a.toldAt[key] < sendingEvery {
		return
	}
	a.toldAt[key] = p.Took
	fmt.Fprintln(a.stderr, line)
}
