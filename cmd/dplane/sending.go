package main

import (
	"fmt"
	"slices"
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
	key := p.Replication + " " + p.Source
	if isTerminal(a.stderr) {
		if a.streams.tell(key, time.Now()) {
			fmt.Fprintf(a.stderr, "\r%s%s\x1b[K", line, a.streams.others())
			a.halfLine = true
		}
		return
	}
	if a.toldAt == nil {
		a.toldAt = map[string]time.Duration{}
	}
	if p.Took < a.toldAt[key] { // another stream
		a.toldAt[key] = 0
	}
	if p.Took-a.toldAt[key] < sendingEvery {
		return
	}
	a.toldAt[key] = p.Took
	fmt.Fprintln(a.stderr, line)
}

// streams are those that tell of themselves at the same time, the first one first: a terminal has one line for them.
type streams []stream

type stream struct {
	key  string
	told time.Time
}

// silent is after how long nothing was heard of a stream that it has ended.
const silent = 3 * time.Second

// tell takes down that one told of itself, and tells whether it is the one that is shown.
func (s *streams) tell(key string, now time.Time) (shown bool) {
	*s = slices.DeleteFunc(*s, func(x stream) bool { return x.key != key && now.Sub(x.told) > silent })
	i := slices.IndexFunc(*s, func(x stream) bool { return x.key == key })
	if i < 0 {
		i = len(*s)
		*s = append(*s, stream{key: key})
	}
	(*s)[i].told = now
	return i == 0
}

// others is how many there are beside it.
func (s streams) others() string {
	if len(s) < 2 {
		return ""
	}
	return fmt.Sprintf("; and %d more at once", len(s)-1)
}
