package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dplaneos/dplane/drivers/ha"
	"github.com/dplaneos/dplane/drivers/ha/history"
	"github.com/dplaneos/dplane/drivers/zfs/zfsfake"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
	"github.com/dplaneos/dplane/state/sqlite"
)

// The facts of a run: what could be written, from the model; the address, from the kernel; terms, promises and proofs, from
// what each daemon had persisted before it acted; and streams, from the gate. None of them is what a node believes of itself.

func (p *pair) fact(f history.Fact) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if f.Mono == 0 {
		f.Mono = zfsfake.Mono()
	}
	p.noted = append(p.noted, f)
}

// judge fails the test where an invariant did not hold.
func (p *pair) judge() {
	p.t.Helper()
	facts := p.facts()
	if wrong := history.Check([]string{p.a.name, p.b.name}, facts); len(wrong) > 0 {
		p.t.Errorf("%s\n%s\n%s", strings.Join(wrong, "\n"), lines(facts), p.told())
	}
	if !slices.ContainsFunc(facts, func(f history.Fact) bool { return f.Event == history.RWOn }) {
		p.t.Error("nobody ever wrote: nothing was proved")
	}
}

func lines(facts []history.Fact) string {
	var text strings.Builder
	for _, f := range facts {
		line, _ := json.Marshal(f)
		text.Write(append(line, '\n'))
	}
	return text.String()
}

// facts are all of them, in their order.
func (p *pair) facts() []history.Fact {
	p.t.Helper()
	for _, n := range p.nodes() {
		p.must(n.harvest())
	}
	p.mu.Lock()
	all := slices.Clone(p.noted)
	p.mu.Unlock()
	for _, n := range p.nodes() {
		all = append(all, n.wrote()...)
		for _, of := range n.decisions {
			all = append(all, of...)
		}
	}
	slices.SortStableFunc(all, func(a, b history.Fact) int { return cmp.Compare(a.Mono, b.Mono) })
	return all
}

// wrote is what the model noted: of several datasets the last one that is closed ends it.
func (n *pairNode) wrote() (all []history.Fact) {
	file, err := os.Open(n.path("history"))
	if err != nil {
		return nil
	}
	defer file.Close()
	open := map[string]bool{}
	for in := bufio.NewScanner(file); in.Scan(); {
		var h zfsfake.Happened
		n.p.must(json.Unmarshal(in.Bytes(), &h))
		if !spec.DatasetName(h.Dataset).Under(spec.DatasetName(pairHome)) {
			continue
		}
		f := history.Fact{Mono: h.Mono, Node: n.name, Event: h.Event}
		f.Term, _ = strconv.ParseUint(h.Term, 10, 64)
		switch h.Event {
		case history.RWOn:
			open[h.Dataset] = true
		case history.RWOff:
			if delete(open, h.Dataset); len(open) > 0 {
				continue
			}
		case history.RecvBegin:
			peer, term, _ := strings.Cut(h.Note, " ")
			if peer == "" {
				continue // by hand, before the daemons
			}
			f.Peer = peer
			f.Term, _ = strconv.ParseUint(term, 10, 64)
		}
		all = append(all, f)
	}
	return all
}

// harvest reads what the daemon persisted. It is called once more before a database is put back.
func (n *pairNode) harvest() error {
	db, err := sqlite.OpenReadOnly(n.path("db", "d.db"))
	if err != nil {
		return err
	}
	defer db.Close()
	decisions, err := db.Decisions(context.Background(), 0, 100000)
	if err != nil {
		return err
	}
	slices.Reverse(decisions)
	known, accepted := false, false
	for i := range decisions {
		in, after, acts, err := ha.Replay(&decisions[i])
		if err != nil {
			return err
		}
		if c := in.Event.Command; c != nil && c.Name == ha.Failover && after.Jobs > in.State.Jobs {
			known, accepted = c.Lag != nil && c.Lag.Known && c.Lag.Complete, c.Accept
		}
		known = known || after.Taken > in.State.Taken // all that was there was sent before the handover
		var all []history.Fact
		for _, f := range n.decided(&in, &after, acts) {
			f.Mono, f.Node = decisions[i].At.UnixNano()-ahead, n.name
			if f.Event == history.Promote {
				f.LagKnown, f.Approved = f.LagKnown || known, accepted
				f.False = n.falseWords(f)
			}
			all = append(all, f)
		}
		n.decisions[decisions[i].At.String()] = all
	}
	return nil
}

// ahead is what the clock on the wall is ahead of that of the facts: nobody sets it while the tests run.
var ahead = time.Now().UnixNano() - zfsfake.Mono()

// decided are the facts of one decision.
func (n *pairNode) decided(in *ha.Inputs, after *state.HA, acts []ha.Action) (all []history.Fact) {
	before := &in.State
	if after.Term > before.Term {
		all = append(all, history.Fact{Event: history.Term, Term: after.Term})
	}
	if after.Promise.Term > before.Promise.Term {
		all = append(all, history.Fact{Event: history.Promise, Term: after.Promise.Term, Peer: after.Promise.To})
	}
	if b := in.Event.Beat; in.Event.Kind == ha.Heard && b.Role.Writes() && after.Peers[b.Node].Last != nil && after.Peers[b.Node].Last.Counter == b.Counter {
		all = append(all, history.Fact{Event: history.Hears, Term: b.Term, Peer: b.Node})
	}
	promoted := after.Role == state.RolePromoting && before.Role != state.RolePromoting
	if promoted && (after.Term > before.Term || after.Holder != before.Holder) {
		f := history.Fact{Event: history.Promote, Term: after.Term, Proofs: map[string]string{}}
		for _, x := range after.Proofs {
			f.Proofs[x.Peer] = x.Kind
		}
		f.LagKnown = before.Term == 0 || before.Holder == n.name
		all = append(all, f)
	}
	if slices.ContainsFunc(acts, func(a ha.Action) bool { return a.Do == ha.Freeze }) {
		all = append(all, history.Fact{Event: history.Found})
	}
	return all
}

// falseWords are the peers that a person said were off, and that had power.
func (n *pairNode) falseWords(f history.Fact) (names []string) {
	peer := n.peer()
	off := slices.ContainsFunc(peer.power, func(w powered) bool { return w.from < f.Mono && (w.to == 0 || f.Mono < w.to) })
	if f.Proofs[peer.name] == state.ProofWord && !off {
		names = append(names, peer.name)
	}
	return names
}

// watchAddress notes what the kernel tells of the virtual address.
func (n *pairNode) watchAddress() error {
	var fd int
	err := n.space.in(func() (err error) {
		if fd, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE); err != nil {
			return err
		}
		return unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: unix.RTMGRP_IPV4_IFADDR})
	})
	if err != nil {
		return err
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return err
	}
	file := os.NewFile(uintptr(fd), "netlink")
	n.p.t.Cleanup(func() { file.Close() })
	go func() {
		b := make([]byte, 64<<10)
		for {
			size, err := file.Read(b)
			if err != nil {
				return
			}
			n.addresses(b[:size], zfsfake.Mono())
		}
	}()
	return nil
}

func (n *pairNode) addresses(b []byte, at int64) {
	for len(b) >= unix.SizeofNlMsghdr {
		size := int(uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24)
		if size < unix.SizeofNlMsghdr || size > len(b) {
			return
		}
		kind := uint16(b[4]) | uint16(b[5])<<8
		if strings.Contains(string(b[:size]), string([]byte{10, 99, 0, 10})) {
			switch kind {
			case unix.RTM_NEWADDR:
				n.p.fact(history.Fact{Mono: at, Node: n.name, Event: history.VIPOn, Term: n.termNow()})
			case unix.RTM_DELADDR:
				n.p.fact(history.Fact{Mono: at, Node: n.name, Event: history.VIPOff})
			}
		}
		b = b[min(len(b), (size+3)&^3):]
	}
}

// termNow is the term that the group names on the machine: the address has none of its own.
func (n *pairNode) termNow() uint64 {
	f, err := zfsfake.Load(n.path("machine.json"))
	if err != nil {
		return 0
	}
	text, err := f.Do("zfs get -H -o value " + state.TermProperty + " " + pairHome)
	term, _ := strconv.ParseUint(strings.TrimSpace(text), 10, 64)
	if err != nil {
		return 0
	}
	return term
}
