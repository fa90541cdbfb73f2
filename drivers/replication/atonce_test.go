package replication

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dplaneos/dplane/drivers"
)

// stage is where streams run until they are told to end.
type stage struct {
	t     *testing.T
	begun chan string
	ends  map[string]chan error
}

func newStage(t *testing.T, names ...string) *stage {
	s := &stage{t, make(chan string, len(names)), map[string]chan error{}}
	for _, n := range names {
		s.ends[n] = make(chan error)
	}
	return s
}

func (s *stage) send(p drivers.SendingPair) error {
	s.begun <- p.Target
	return <-s.ends[p.Target]
}

// run sends all, and gives how many went well.
func (s *stage) run(room chan struct{}, full bool, names ...string) (over chan int, err *error) {
	var plans []drivers.SendingPair
	for _, n := range names {
		plans = append(plans, drivers.SendingPair{Source: "tank/" + n, Target: n, Full: full})
	}
	over, err = make(chan int), new(error)
	go func() {
		var done int
		done, *err = atOnce(plans, room, s.send)
		over <- done
	}()
	return over, err
}

// sees waits until these have begun, and that no other one does.
func (s *stage) sees(want ...string) {
	s.t.Helper()
	var got []string
	for range want {
		select {
		case n := <-s.begun:
			got = append(got, n)
		case <-time.After(10 * time.Second):
			s.t.Fatalf("begun: %v, want %v", got, want)
		}
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		s.t.Errorf("begun: %v, want %v", got, want)
	}
	select {
	case n := <-s.begun:
		s.t.Errorf("%s began too", n)
	case <-time.After(20 * time.Millisecond):
	}
}

func TestAtOnce(t *testing.T) {
	s := newStage(t, "a", "a/b", "a/c", "a/c/d", "a/e")
	room := make(chan struct{}, 1)
	over, err := s.run(room, true, "a", "a/b", "a/c", "a/c/d", "a/e")
	s.sees("a") // what is below waits for it
	s.ends["a"] <- nil
	s.sees("a/b", "a/c") // one, and one more
	s.ends["a/c"] <- errors.New("broken off")
	s.sees("a/e") // not what is below one that failed
	s.ends["a/b"] <- nil
	s.ends["a/e"] <- nil
	if done := <-over; done != 3 || *err == nil || !strings.Contains((*err).Error(), "tank/a/c/d to a/c/d: not begun: a/c above it failed") {
		t.Errorf("%d went well: %v", done, *err)
	}
	if len(room) != 0 {
		t.Errorf("%d places were not given back", len(room))
	}
}

// What is there already gets what is new though what is above it failed.
func TestAtOnceBelowOneThatFailed(t *testing.T) {
	s := newStage(t, "a", "a/b")
	over, err := s.run(nil, false, "a", "a/b")
	s.sees("a")
	s.ends["a"] <- errors.New("broken off")
	s.sees("a/b")
	s.ends["a/b"] <- nil
	if done := <-over; done != 1 || *err == nil {
		t.Errorf("%d went well: %v", done, *err)
	}
}

// A replication with streams that last keeps no other one from sending, and room that is given back goes round.
func TestAtOnceNobodyStarves(t *testing.T) {
	s := newStage(t, "a", "b", "c", "x", "y")
	room := make(chan struct{}, 1)
	first, _ := s.run(room, false, "a", "b", "c")
	s.sees("a", "b")
	second, _ := s.run(room, false, "x", "y")
	s.sees("x")
	s.ends["x"] <- nil
	s.sees("y")
	var all sync.WaitGroup
	for _, n := range []string{"a", "b", "c", "y"} {
		all.Go(func() { s.ends[n] <- nil })
	}
	if a, b := <-first, <-second; a != 3 || b != 2 {
		t.Errorf("%d and %d went well", a, b)
	}
	all.Wait()
	if len(room) != 0 {
		t.Errorf("%d places were not given back", len(room))
	}
}
