package sqlite

import (
	"reflect"
	"testing"
	"time"

	"github.com/dplaneos/dplane/state"
)

func TestReceived(t *testing.T) {
	s, err := Open(t.TempDir() + "/db")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ctx := t.Context()
	a, b := &state.Received{Target: "9", GUIDs: []string{"1", "2"}}, &state.Received{GUIDs: []string{"3"}}
	if err := s.SaveReceived(ctx, "off", map[string]*state.Received{"7": a, "8": b}); err != nil {
		t.Fatal(err)
	}
	if err := s.SaveReceived(ctx, "other", map[string]*state.Received{"7": b}); err != nil {
		t.Fatal(err)
	}
	kept := &state.Kept{Policy: "p", Since: time.Date(2026, 11, 24, 7, 0, 0, 0, time.UTC)}
	if err := s.SaveKept(ctx, "off", kept); err != nil {
		t.Fatal(err)
	}
	version, all, err := s.Received(ctx, 0)
	if err != nil || !reflect.DeepEqual(all["off"], map[string]*state.Received{"7": a, "8": b}) || !reflect.DeepEqual(all["other"]["7"], b) {
		t.Fatalf("%v %+v", err, all)
	}
	if _, again, err := s.Received(ctx, version); err != nil || again != nil {
		t.Errorf("the known version is read again: %v %v", err, again)
	}
	if k, err := s.Kept(ctx, "off"); err != nil || !reflect.DeepEqual(k, kept) {
		t.Errorf("%v %+v", err, k)
	}
	if k, err := s.Kept(ctx, "other"); err != nil || k != nil {
		t.Errorf("%v %+v", err, k)
	}
	if err := s.SaveReceived(ctx, "off", map[string]*state.Received{"8": nil}); err != nil {
		t.Fatal(err)
	}
	next, all, err := s.Received(ctx, version)
	if err != nil || next == version || len(all["off"]) != 1 {
		t.Errorf("%v: version %d after %d, %+v", err, next, version, all)
	}
	if err := s.ForgetReplication(ctx, "off"); err != nil {
		t.Fatal(err)
	}
	_, all, err = s.Received(ctx, 0)
	if k, kerr := s.Kept(ctx, "off"); err != nil || kerr != nil || k != nil || all["off"] != nil || all["other"] == nil {
		t.Errorf("%v %v %+v %+v", err, kerr, k, all)
	}
}
