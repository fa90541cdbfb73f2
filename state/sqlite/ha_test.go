package sqlite

import (
	"path/filepath"
	"reflect"
	"testing"

	"github.com/dplaneos/dplane/state"
)

func TestHA(t *testing.T) {
	path := filepath.Join(t.TempDir(), "d.db")
	s := reopen(t, path)
	if r, err := s.HA(ctx); r != nil || err != nil {
		t.Fatal(r, err)
	}
	want := &state.HARecord{At: t0, Every: 15e9, Misses: 2, Peers: []state.HAPeer{{Name: "b", Address: "b:1"}},
		HA: state.HA{Node: "a", Role: state.RoleStandby, Term: 7, Peers: map[string]state.PeerHealth{"b": {Node: "b", State: state.PeerHealthy, LastAt: t0}}}}
	must(t, s.SaveHA(ctx, want))
	older := *want
	older.HA.Term, older.HA.Node = 6, "forgetful"
	must(t, s.SaveHA(ctx, &older))
	must(t, s.Close())
	s = reopen(t, path)
	got, err := s.HA(ctx)
	must(t, err)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v\n%+v", got, want)
	}
	want.HA.Holder = "b" // the same term again
	must(t, s.SaveHA(ctx, want))
	if got, err := s.HA(ctx); err != nil || got.HA.Holder != "b" {
		t.Error(got, err)
	}
	_, err = s.w.Exec(`UPDATE ha SET body = '[]'`)
	must(t, err)
	if r, err := s.HA(ctx); err == nil {
		t.Error("what can't be read is taken for nothing:", r)
	}
}

func TestDecisions(t *testing.T) {
	s := reopen(t, filepath.Join(t.TempDir(), "d.db"))
	r := &state.HARecord{At: t0, HA: state.HA{Node: "a", Role: state.RoleActive, Term: 7}}
	must(t, s.Decide(ctx, r, &state.Decision{At: t0, Event: "boot", To: state.RoleBoot, Inputs: []byte(`{}`)}))
	must(t, s.Decide(ctx, r, nil))
	must(t, s.Decide(ctx, r, &state.Decision{At: t0, Event: "heard", To: state.RoleActive, Inputs: []byte(`{}`)}))
	all, err := s.Decisions(ctx, 0, 10)
	must(t, err)
	if len(all) != 2 || all[0].Event != "heard" || all[1].ID != 1 {
		t.Errorf("%+v", all)
	}
	if one, err := s.Decisions(ctx, 1, 10); err != nil || len(one) != 1 || one[0].Event != "boot" {
		t.Error(one, err)
	}
	lower := *r
	lower.HA.Term, lower.HA.Role = 6, state.RoleStandby
	if err := s.Decide(ctx, &lower, &state.Decision{Inputs: []byte(`{}`)}); err == nil {
		t.Error("a term that is over was persisted")
	}
	if got, err := s.HA(ctx); err != nil || got.HA.Role != state.RoleActive {
		t.Error(got, err)
	}
}
