package zfs_test

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/drivers/zfs"
	"github.com/dplaneos/dplane/state"
)

// cut sends a stream that breaks after so many bytes, and gives the token that is left.
func (m *machine) cut(s zfs.Stream, target string, after int64) string {
	m.t.Helper()
	err := m.transfer(s.Send(), zfs.Receive(target, map[string]string{"readonly": "on"}, nil), after)
	if err == nil {
		m.t.Fatalf("%s did not break", s.Send())
	}
	token := m.end(target).Token
	if token == "" {
		m.t.Fatalf("no token after %v", err)
	}
	return token
}

// described is what a token is of, and how many bytes are left; why it can't be used.
func (m *machine) described(token string) (t state.Token, left int64, why error) {
	m.t.Helper()
	c, err := zfs.DescribeToken(token)
	if err != nil {
		m.t.Fatal(err)
	}
	res, why := m.Run(context.Background(), c)
	t, err = zfs.ParseToken(res.Stdout)
	if err != nil {
		m.t.Fatal(err)
	}
	left, _ = zfs.ParseEstimate(res.Stdout)
	return t, left, zfs.Classify(why)
}

func (m *machine) resumed(s zfs.Stream, token, target string) error {
	m.t.Helper()
	c, err := s.Resume(token)
	if err != nil {
		m.t.Fatal(err)
	}
	return m.transfer(c, zfs.Receive(target, nil, nil), 0)
}

// resume: what came of a broken stream is kept, and goes on by the guids, whatever the names are meanwhile.
func resume(m *machine, at string) {
	from, to := at+"/from", at+"/to"
	m.do(zfs.CreateFilesystem(at, map[string]string{"compression": "off"}))
	m.source(from, 3*mega)
	src := m.end(from)
	full, next := zfs.Stream{Snapshot: from + "@1"}, zfs.Stream{Snapshot: from + "@2", From: "@1"}

	token := m.cut(full, to, 2*mega)
	e := m.end(to)
	if !e.Partial || len(e.Snapshots) != 0 || !e.ReadOnly {
		m.t.Errorf("%+v", e)
	}
	tok, left, why := m.described(token)
	if why != nil || tok.ToName != from+"@1" || tok.ToGUID != src.Snapshots[0].GUID || tok.FromGUID != "" || tok.Bytes == 0 || !near(uint64(left)+tok.Bytes, 3*mega) || tok.Raw {
		m.t.Errorf("%+v, %d left, %v", tok, left, why)
	}
	m.notSent(zfs.ErrTargetExists, full, to)
	m.notSent(zfs.ErrPartial, next, to)
	m.refused(1, zfs.ErrBusy, host.Write("zfs", "snapshot", to+"@x"))
	m.refused(1, zfs.ErrPartial, zfs.Mount(to))
	if err := m.resumed(full, token, at+"/elsewhere"); !errors.Is(zfs.Classify(err), zfs.ErrNotExist) {
		m.t.Errorf("resumed into what is not there: %v", err)
	}
	if err := m.resumed(full, token, to); err != nil {
		m.t.Fatal(err)
	}
	if e := m.end(to); e.Partial || e.Token != "" || points(e.Snapshots) != "1" || e.Snapshots[0].GUID != src.Snapshots[0].GUID || e.Written != 0 {
		m.t.Errorf("%+v", e)
	}
	m.refused(1, zfs.ErrNotPartial, zfs.DiscardPartial(to))
	m.refused(2, zfs.ErrNotExist, zfs.DiscardPartial(to+"-gone"))
	// 2.1 says of it what it says of a stream that it does not understand.
	if err := zfs.Classify(m.resumed(full, token, to)); !errors.Is(err, zfs.ErrTargetExists) && !errors.Is(err, zfs.ErrBadStream) {
		m.t.Errorf("resumed what is whole: %v", err)
	}

	token = m.cut(next, to, mega)
	e = m.end(to)
	if e.Partial || points(e.Snapshots) != "1" || len(m.ends(true, to)) != 1 {
		m.t.Errorf("%+v", e)
	}
	m.notSent(zfs.ErrPartial, next, to)
	m.refused(1, zfs.ErrHasChildren, zfs.DestroySnapshots(to, []string{"1"})[0])
	m.do(zfs.DestroySnapshots(from, []string{"1"})[0]) // its bookmark is enough
	tok, _, why = m.described(token)
	if why != nil || tok.FromGUID != src.Snapshots[0].GUID || tok.ToGUID != src.Snapshots[1].GUID {
		m.t.Errorf("%+v, %v", tok, why)
	}
	m.do(host.Write("zfs", "rename", from+"@2", from+"@two"))
	if err := m.resumed(next, token, to); err != nil {
		m.t.Fatal(err)
	}
	if e := m.end(to); points(e.Snapshots) != "1 two" || e.Snapshots[1].GUID != src.Snapshots[1].GUID {
		m.t.Errorf("%+v", e)
	}
	tokensGone(m, from, to, src)
}

// leftWaiting: while something receives, the token is told and of no use, and nothing gives up what came. Once it is ended by its
// words, and nothing else is, it can be gone on with.
func leftWaiting(m *machine, at string) {
	from := at + "/from"
	m.do(zfs.CreateFilesystem(at, map[string]string{"compression": "off"}))
	m.source(from, 3*mega)
	full, next := zfs.Stream{Snapshot: from + "@1"}, zfs.Stream{Snapshot: from + "@2", From: "@1"}
	set := map[string]string{"readonly": "on", "org.example:note": "a b"}
	wait := func(what string, until func() bool) {
		m.t.Helper()
		for range 300 {
			if until() {
				return
			}
			time.Sleep(100 * time.Millisecond)
		}
		m.t.Fatalf("not %s after long", what)
	}
	token := func(name string) string {
		if m.endsOrNone(name) == 0 {
			return ""
		}
		return m.end(name).Token
	}
	ended := func(name string) bool {
		res, _ := m.Run(context.Background(), zfs.EndReceive(name))
		return res.Code == 1
	}
	for _, s := range []zfs.Stream{full, next} {
		to := at + "/to.1" // of which the point is one in a pattern
		m.hang(s.Send(), zfs.Receive(to, set, []string{"mountpoint"}), 2*mega)
		wait("told", func() bool { return token(to) != "" })
		if err := zfs.Classify(m.resumed(s, token(to), to)); !errors.Is(err, zfs.ErrPartial) {
			m.t.Errorf("resumed while it is received: %v", err)
		}
		m.refused(1, zfs.ErrBusy, zfs.DiscardPartial(to))
		for _, other := range []string{at + "/to", at + "/to.", at + "/to.1/x", at, "to.1"} {
			if !ended(other) {
				m.t.Errorf("what is received into %s was taken for %s", to, other)
			}
		}
		if ended(to) {
			m.t.Error("nothing is taken for what is received")
		}
		wait("ended", func() bool { return ended(to) })
		if err := m.resumed(s, token(to), to); err != nil {
			m.t.Fatal(err)
		}
	}
	if e := m.end(at + "/to.1"); points(e.Snapshots) != "1 2" || e.Token != "" {
		m.t.Errorf("%+v", e)
	}
	m.do(host.Write("zfs", "destroy", "-r", at)) // the pool is small
}

// tokensGone: a token whose snapshots are gone tells so, and what it was of; what came is given up.
func tokensGone(m *machine, from, to string, src state.End) {
	token := m.cut(zfs.Stream{Snapshot: from + "@3", From: "@two"}, to, mega)
	gone := func(want string) {
		m.t.Helper()
		tok, _, why := m.described(token)
		if !errors.Is(why, zfs.ErrTokenGone) || !strings.Contains(why.Error(), want) || tok.ToGUID != src.Snapshots[2].GUID {
			m.t.Errorf("%+v, %v, want %s", tok, why, want)
		}
		if err := m.resumed(zfs.Stream{}, token, to); !errors.Is(zfs.Classify(err), zfs.ErrTokenGone) {
			m.t.Errorf("resumed: %v", err)
		}
	}
	m.do(zfs.DestroySnapshots(from, []string{"two"})[0])
	gone("cross-device link") // the target, in the same pool, has it
	m.do(zfs.DestroySnapshots(from, []string{"3"})[0])
	gone("no longer exists")
	m.do(host.Write("zfs", "snapshot", from+"@3"))
	gone("no longer the same snapshot")
	m.do(zfs.DiscardPartial(to))
	if e := m.end(to); e.Token != "" || points(e.Snapshots) != "1 two" {
		m.t.Errorf("%+v", e)
	}
	m.cut(zfs.Stream{Snapshot: from + "@3"}, to+"-new", mega)
	m.do(zfs.DiscardPartial(to + "-new"))
	if e := m.endsOrNone(to + "-new"); e != 0 {
		m.t.Errorf("%d left", e)
	}
	for _, bad := range []string{"1-abc-1-def", token[:len(token)-4]} {
		c, err := zfs.DescribeToken(bad)
		if err != nil {
			m.t.Fatal(err)
		}
		m.refused(255, zfs.ErrToken, c)
	}
}

// endsOrNone is how many datasets are there of that name.
func (m *machine) endsOrNone(name string) int {
	res, _ := m.Run(context.Background(), zfs.ListEnds(false, name)[0])
	return strings.Count(string(res.Stdout), "\n")
}

// badStreams are none, or none that is whole.
func badStreams(m *machine, at string) {
	from := at + "/from"
	m.do(zfs.CreateFilesystem(at, map[string]string{"compression": "off"}))
	m.source(from, mega)
	for _, c := range []struct {
		send host.Command
		kind error
	}{
		{zfs.Stream{Snapshot: from + "@gone"}.Send(), zfs.ErrNotExist}, // not "failed to read from stream", which it says too
		{zfs.ListHolds([]string{from + "@1"})[0], zfs.ErrSender},       // it prints nothing
		{host.Read("zfs", "get", "all", from), zfs.ErrBadStream},
	} {
		err := m.transfer(c.send, zfs.Receive(at+"/to", nil, nil), 0)
		if !errors.Is(zfs.Classify(err), c.kind) {
			m.t.Errorf("%s: %v, want %v", c.send, err, c.kind)
		}
	}
	s := zfs.Stream{Snapshot: from + "@1"}
	if err := m.transfer(s.Send(), host.Write("zfs", "receive", "-u", at+"/to"), mega/2); !errors.Is(zfs.Classify(err), zfs.ErrIncomplete) {
		m.t.Errorf("cut, and not kept: %v", err)
	}
	if n := m.endsOrNone(at + "/to"); n != 0 {
		m.t.Errorf("%d are left", n)
	}
	m.do(zfs.CreateFilesystem(at+"/quota", map[string]string{"quota": "1M"}))
	m.source(at+"/big", 3*mega)
	m.notSent(zfs.ErrNoSpace, zfs.Stream{Snapshot: at + "/big@1"}, at+"/quota/to")
	if e := m.end(at + "/quota/to"); e.Token == "" || !e.Partial {
		m.t.Errorf("out of space: %+v", e)
	}
}
