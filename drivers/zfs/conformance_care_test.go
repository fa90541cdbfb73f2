package zfs_test

import (
	"time"

	"github.com/dplaneos/dplane/drivers/zfs"
	"github.com/dplaneos/dplane/state"
)

// status observes a pool as dplane does on this release.
func (m *machine) status(pool string) *state.Pool {
	m.t.Helper()
	p := &state.Pool{Name: pool}
	var err error
	if m.v21 {
		err = zfs.ParsePoolStatus([]byte(m.do(zfs.PoolStatus(pool))), p)
	} else {
		err = zfs.ParsePoolStatusJSON([]byte(m.do(zfs.PoolStatusJSON(pool))), time.Now(), p)
	}
	if err != nil {
		m.t.Fatal(err)
	}
	return p
}

// until looks until the pool is as it should be; the real kernel takes its time.
func (m *machine) until(pool string, is func(*state.Pool) bool) *state.Pool {
	m.t.Helper()
	for range 100 {
		if p := m.status(pool); is(p) {
			return p
		}
		time.Sleep(200 * time.Millisecond)
	}
	p := m.status(pool)
	m.t.Fatalf("in vain: %+v", p)
	return nil
}

// A scrub and a trim begin at once, end by themselves, and tell when.
func scrubAndTrim(m *machine, _ string) {
	before := time.Now().Add(-2 * time.Second) // seconds are cut, and two clocks tick
	if p := m.status(m.pool); !p.Trimmed.IsZero() || p.Trimless || p.Trimming {
		m.t.Errorf("before: %+v", p)
	}
	m.do(zfs.Scrub(m.pool))
	p := m.until(m.pool, func(p *state.Pool) bool { return p.Scanned != nil && p.Scanned.State == state.Finished })
	if s := p.Scanned; s.Kind != "scrub" || s.End.Before(before) || s.End.After(time.Now().Add(time.Second)) || s.Errors != 0 {
		m.t.Errorf("%+v, begun after %s", s, before)
	}
	m.do(zfs.Trim(m.pool)) // files can be trimmed
	p = m.until(m.pool, func(p *state.Pool) bool { return !p.Trimmed.IsZero() && !p.Trimming })
	if p.Trimmed.Before(before) || p.Trimless {
		m.t.Errorf("trimmed %s, begun after %s", p.Trimmed, before)
	}
}
