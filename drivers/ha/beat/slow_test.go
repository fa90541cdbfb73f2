package beat

import (
	"context"
	"log/slog"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dplaneos/dplane/drivers/ha"
	"github.com/dplaneos/dplane/state"
)

// persisting decides nothing but to write down what it is told of.
type persisting struct{}

func (persisting) Decide(s state.HA, e ha.Event, save func(state.HA, *state.Decision) error) (state.HA, error) {
	next := s
	if e.Kind == ha.Files {
		next.Declared = e.Active
		return next, save(next, nil)
	}
	return next, nil
}

func (persisting) Missing(context.Context, map[string]string) ([]string, error) { return nil, nil }

// A disk that takes its time keeps nobody from asking or telling; what is decided meanwhile waits for it, and is not overwritten
// by what was before.
func TestSlowDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := &memory{}
		w := &Watch{Line: nil, Clock: clock{}, Log: slog.New(slog.DiscardHandler), Health: http.NotFoundHandler(), Local: func(time.Time) ha.Local { return ha.Local{} }, Machine: persisting{}}
		w.Use(db)
		if err := w.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.cfg, w.booted = &Config{Key: &Key{}, Peers: []Peer{{Name: "b", Pinned: true}}, Every: 15 * time.Second}, true
		db.slow = 2 * time.Second
		began := time.Now()
		kept := make(chan error, 1)
		go func() { kept <- w.keep(t.Context(), db) }()
		synctest.Wait() // it is being written now
		w.speak("b")
		w.Alarm(state.Info, "x")
		if s := w.State(); time.Since(began) > 0 {
			t.Errorf("a beat waited for the disk for %s (%s)", time.Since(began), s.Role)
		}
		if err := w.Do(ha.Event{Kind: ha.Files, Active: "b"}); err != nil {
			t.Errorf("what was decided meanwhile: %v", err)
		}
		if took := time.Since(began); took != 4*time.Second {
			t.Errorf("it took %s", took)
		}
		if err := <-kept; err != nil || db.saved().HA.Declared != "b" {
			t.Errorf("%v, kept %+v", err, db.saved().HA)
		}
		// A disk that is slower than that costs the decision, which is told, and not made.
		db.slow = 10 * time.Second
		go func() { kept <- w.keep(t.Context(), db) }()
		synctest.Wait()
		if err := w.Do(ha.Event{Kind: ha.Files, Active: "c"}); err == nil || w.State().Declared != "b" {
			t.Errorf("%v, %s", err, w.State().Declared)
		}
		<-kept
	})
}
