package zfsfake

import (
	"encoding/json"
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"github.com/dplaneos/dplane/state"
)

// HistoryVariable names a file to which the programs add what happened to what can be written on their machine, so that a run
// of several machines can be judged by it: one Happened to a line. NoteVariable is a text that goes into each.
const (
	HistoryVariable = "DPLANE_FAKE_HISTORY"
	NoteVariable    = "DPLANE_FAKE_NOTE"
)

// Happened is one line of it.
type Happened struct {
	Mono    int64  // CLOCK_MONOTONIC, which all machines of one run share
	Event   string // rw_on, rw_off, recv_begin
	Dataset string
	Term    string // dplane:term, as the dataset has it
	Note    string // NoteVariable
}

// writable are the datasets that can be written, with the term that they name: a volume, or a mounted file system, that is
// not read-only.
func (m *Model) writable() map[string]string {
	all := map[string]string{}
	m.each(func(p *Pool, name string, d *Dataset) {
		if readonly, _, _ := m.get(p, name, "readonly"); readonly == "off" && (d.Volume || d.Mounted) {
			all[name], _, _ = m.get(p, name, state.TermProperty)
		}
	})
	return all
}

// Mono is now, by the clock of a history.
func Mono() int64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		return 0
	}
	return t.Nano()
}

// changed are the facts of a command. What can be written is so from before it was saved, and what can't from after it.
func changed(before, after map[string]string, at int64) (all []Happened) {
	for name, term := range after {
		if was, open := before[name]; !open || was != term {
			all = append(all, Happened{Mono: at, Event: "rw_on", Dataset: name, Term: term})
		}
	}
	for name, term := range before {
		if _, open := after[name]; !open {
			all = append(all, Happened{Mono: Mono(), Event: "rw_off", Dataset: name, Term: term})
		}
	}
	return all
}

// note adds facts to the history, where there is one. It is called with the lock of the machine.
func note(all ...Happened) error {
	path := os.Getenv(HistoryVariable)
	if path == "" || len(all) == 0 {
		return nil
	}
	var text []byte
	for _, h := range all {
		h.Note = os.Getenv(NoteVariable)
		line, err := json.Marshal(h)
		if err != nil {
			return err
		}
		text = append(append(text, line...), '\n')
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Close())
}

// power takes away what a machine does not remember over a boot, or boots it: what is to be mounted is.
func (m *Model) power(on bool) {
	m.each(func(p *Pool, name string, d *Dataset) {
		d.Busy, d.Stale, d.At = false, nil, ""
		if d.Partial != nil {
			d.Partial.Busy = false
		}
		d.Unloaded = d.Unloaded || d.Key != ""
		canmount, _, _ := m.get(p, name, "canmount")
		d.Mounted = on && canmount == "on" && p.mountable(name) && !p.locked(name)
	})
}
