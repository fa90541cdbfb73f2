package web

import (
	"strings"
	"testing"
	"time"

	"github.com/dplaneos/dplane/state"
)

// Load balancers are told yes or no, by what is so now. Unknown is no, of two active nodes none is one, and what can't be
// understood is neither.
func TestBalance(t *testing.T) {
	as := func(role state.Role, lag time.Duration) *state.HARecord {
		return &state.HARecord{Lag: &lag, HA: state.HA{Role: role, Term: 3}}
	}
	unknown, dirty := as(state.RoleStandby, 0), as(state.RoleStandby, time.Minute)
	unknown.Lag, dirty.HA.Dirty = nil, true
	standby := as(state.RoleStandby, 15*time.Minute)
	for _, c := range []struct {
		rec  *state.HARecord
		path string
		code int
		says string
	}{
		{nil, "/primary", 503, `"role":""`},
		{nil, "/replica", 503, `"lag":null`},
		{nil, "/replica?lag=1h", 503, ""},
		{as(state.RoleActive, 0), "/primary", 200, `"role":"active","term":3`},
		{as(state.RoleActiveFailsafe, 0), "/primary", 200, ""},
		{as(state.RoleSplitBrain, 0), "/primary", 503, "split_brain"},
		{as(state.RolePromoting, 0), "/primary", 503, ""},
		{as(state.RoleDemoting, 0), "/primary", 503, ""},
		{as(state.RoleActive, 0), "/replica", 503, ""},
		{as(state.RoleActive, 0), "/replica?lag=1h", 503, ""},
		{standby, "/primary", 503, ""},
		{standby, "/replica", 200, `"lag":900`},
		{standby, "/replica?lag=15m", 200, ""},
		{standby, "/replica?lag=14m", 503, `"lag":900`},
		{standby, "/replica?lag=1h", 200, ""},
		{unknown, "/replica", 200, `"lag":null`},
		{unknown, "/replica?lag=365d", 503, ""},
		{dirty, "/replica?lag=1h", 503, ""},
		{as(state.RoleRejoining, 0), "/replica", 503, ""},
		{as(state.RoleDiverged, 0), "/replica?lag=1h", 503, ""},
		{standby, "/replica?lag=", 400, "lag is a duration"},
		{standby, "/replica?lag=x", 400, "such as 15m"},
		{standby, "/replica?lag=-5m", 400, ""},
		{standby, "/replica?lag=15", 400, ""},
		{standby, "/replica?lag=1m&lag=1h", 400, "2 times"},
		{standby, "/replica?lag=%zz", 400, "can't be read"},
		{standby, "/replica?lag=99999999999999999999d", 400, ""},
	} {
		h := newAt(nil, onTime, at(t0)) // no database: it would be seen
		if c.rec != nil {
			h.Live = func() *state.HARecord { return c.rec }
		}
		for _, method := range []string{"GET", "HEAD"} {
			w := get(t, h, method, c.path)
			if w.Code != c.code || !strings.Contains(w.Body.String(), c.says) || w.Header().Get("Cache-Control") != "no-store" {
				t.Errorf("%v %s %s: %d %s, want %d %s", c.rec, method, c.path, w.Code, w.Body, c.code, c.says)
			}
		}
		if w := get(t, h, "POST", c.path); w.Code != 405 {
			t.Errorf("POST %s: %d", c.path, w.Code)
		}
	}
}
