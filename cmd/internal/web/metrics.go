package web

import (
	"bytes"
	"cmp"
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"sort"
	"strings"

	"github.com/VictoriaMetrics/metrics"

	"github.com/dplaneos/dplane/cmd/internal/render"
)

// metrics answers in the text format of Prometheus.
func (h *Handler) metrics(w http.ResponseWriter, r *http.Request) {
	outcomes, err := h.store.Outcomes(r.Context())
	if err != nil {
		fail(w, http.StatusInternalServerError, err.Error(), "look at the daemon's log")
		return
	}
	rec, err := h.store.HA(r.Context())
	if err != nil {
		fail(w, http.StatusInternalServerError, err.Error(), "look at the daemon's log")
		return
	}
	group := render.NewHAStatus(rec, h.clock.Now())
	_, up := h.healthy()
	st := h.readStatus(r.Context())
	m := &exposition{}
	m.family("dplane_up", "gauge", "Whether the loop runs on time.")
	m.gauge("dplane_up", "", flag(up))
	m.family("dplane_build_info", "gauge", "The running build.")
	m.gauge("dplane_build_info", labels("version", h.Version, "go", runtime.Version()), 1)
	m.status(st)
	m.pools(st.Pools)
	m.schedules(st.Schedules)
	m.replications(st.Replications)
	m.group(group)
	m.outcomes(outcomes)
	metrics.WriteProcessMetrics(m)
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	_, _ = w.Write(m.Bytes())
}

// exposition is the text that is being written.
type exposition struct{ bytes.Buffer }

func (m *exposition) family(name, kind, help string) {
	fmt.Fprintf(m, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind)
}

func (m *exposition) gauge(name, labels string, v float64) {
	metrics.WriteGaugeFloat64(m, name+labels, v)
}

func (m *exposition) status(st *render.Status) {
	m.family("dplane_state", "gauge", "The state of the machine: 1 for the one it is in.")
	for _, s := range []string{render.OK, render.Degraded, render.Critical, render.Unknown} {
		m.gauge("dplane_state", labels("state", s), flag(st.State == s))
	}
	m.family("dplane_drift", "gauge", "Creates and updates that are yet to be made.")
	m.gauge("dplane_drift", "", float64(st.Drift))
	m.family("dplane_held", "gauge", "Actions that wait for a person.")
	m.gauge("dplane_held", "", float64(st.Held))
	m.family("dplane_datasets", "gauge", "Declared datasets by state.")
	n := map[string]int{}
	for _, d := range st.Datasets {
		n[d.State]++
	}
	for _, s := range sortedKeys(n) {
		m.gauge("dplane_datasets", labels("state", s), float64(n[s]))
	}
	if st.ObservedAt != nil {
		m.family("dplane_last_reconcile_timestamp_seconds", "gauge", "When the machine was last observed.")
		m.gauge("dplane_last_reconcile_timestamp_seconds", "", float64(st.ObservedAt.UnixMilli())/1000)
	}
}

func (m *exposition) pools(pools []render.PoolStatus) {
	for _, f := range []struct {
		name, help string
		value      func(render.PoolStatus) float64
	}{
		{"dplane_pool_healthy", "Whether the health of the pool is online.", func(p render.PoolStatus) float64 { return flag(p.Health == "online") }},
		{"dplane_pool_size_bytes", "Size of the pool.", func(p render.PoolStatus) float64 { return float64(p.Size) }},
		{"dplane_pool_allocated_bytes", "Allocated bytes of the pool.", func(p render.PoolStatus) float64 { return float64(p.Allocated) }},
		{"dplane_pool_free_bytes", "Free bytes of the pool.", func(p render.PoolStatus) float64 { return float64(p.Free) }},
		{"dplane_pool_capacity_ratio", "How full the pool is, from 0 to 1.", func(p render.PoolStatus) float64 { return float64(p.Capacity) / 100 }},
	} {
		m.family(f.name, "gauge", f.help)
		for _, p := range pools {
			if p.Health != "" || f.name == "dplane_pool_healthy" { // a pool that was not seen has no size, and is not well
				m.gauge(f.name, labels("pool", p.Name), f.value(p))
			}
		}
	}
	m.family("dplane_pool_health", "gauge", "The health of the pool in the words of ZFS, and its state.")
	for _, p := range pools {
		m.gauge("dplane_pool_health", labels("pool", p.Name, "health", p.Health, "state", p.State), 1)
	}
}

func (m *exposition) schedules(all []render.ScheduleStatus) {
	for _, f := range []struct {
		name, help string
		value      func(render.ScheduleStatus) (float64, bool)
	}{
		{"dplane_schedule_healthy", "Whether all that the schedule covers has a snapshot as new as it must be.", func(s render.ScheduleStatus) (float64, bool) { return flag(s.State == render.OK), true }},
		{"dplane_schedule_datasets", "Datasets that the schedule covers.", func(s render.ScheduleStatus) (float64, bool) { return float64(s.Datasets), true }},
		{"dplane_schedule_late_datasets", "Datasets whose newest snapshot is older than the schedule allows.", func(s render.ScheduleStatus) (float64, bool) { return float64(len(s.Late)), true }},
		{"dplane_schedule_oldest_newest_timestamp_seconds", "The oldest of the newest snapshots of its datasets.", func(s render.ScheduleStatus) (float64, bool) {
			if s.Oldest == nil {
				return 0, false
			}
			return float64(s.Oldest.Unix()), true
		}},
	} {
		m.family(f.name, "gauge", f.help)
		for _, s := range all {
			if v, known := f.value(s); known {
				m.gauge(f.name, labels("schedule", s.Name), v)
			}
		}
	}
}

func (m *exposition) replications(all []render.ReplicationStatus) {
	for _, f := range []struct {
		name, help string
		value      func(render.ReplicationStatus) (float64, bool)
	}{
		{"dplane_replication_healthy", "Whether the target is as new as its objective says, and the last run was well.", func(r render.ReplicationStatus) (float64, bool) {
			return flag(r.State == render.OK || r.State == "running"), true
		}},
		{"dplane_replication_lag_seconds", "Age of the newest snapshot that the target has, of the dataset that is furthest behind.", func(r render.ReplicationStatus) (float64, bool) { return float64(r.Lag), r.State != render.Unknown }},
		{"dplane_replication_objective_seconds", "How old it may get.", func(r render.ReplicationStatus) (float64, bool) { return float64(r.Objective), r.Objective > 0 }},
		{"dplane_replication_datasets", "Datasets that it sends, as far as they are known.", func(r render.ReplicationStatus) (float64, bool) { return float64(len(r.Datasets)), true }},
		{"dplane_replication_unsent_datasets", "Datasets of which the target has nothing yet.", func(r render.ReplicationStatus) (float64, bool) { return float64(r.Never), true }},
	} {
		m.family(f.name, "gauge", f.help)
		for _, r := range all {
			if v, known := f.value(r); known {
				m.gauge(f.name, labels("replication", r.Name), v)
			}
		}
	}
	m.datasetLags(all)
}

// mostLags is how many datasets of one replication have a series of their own: those that are furthest behind.
const mostLags = 500

func (m *exposition) datasetLags(all []render.ReplicationStatus) {
	m.family("dplane_replication_dataset_lag_seconds", "gauge", "Age of the newest snapshot of a dataset that the target has; where it has nothing, of the oldest that it lacks.")
	for _, r := range all {
		list := slices.Clone(r.Datasets)
		slices.SortStableFunc(list, func(a, b render.DatasetLag) int { return cmp.Compare(b.Lag, a.Lag) })
		list = list[:min(len(list), mostLags)]
		slices.SortFunc(list, func(a, b render.DatasetLag) int { return strings.Compare(a.Source, b.Source) })
		for _, d := range list {
			m.gauge("dplane_replication_dataset_lag_seconds", labels("replication", r.Name, "dataset", d.Source), float64(d.Lag))
		}
	}
}

func (m *exposition) outcomes(n map[string]int64) {
	m.family("dplane_actions_total", "counter", "Actions that ended, by outcome.")
	for _, o := range sortedKeys(n) {
		metrics.WriteCounterUint64(m, "dplane_actions_total"+labels("outcome", o), uint64(n[o]))
	}
}

// labels makes {name="value",...} of pairs; what would end a value early is escaped.
func labels(pairs ...string) string {
	escape := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)
	var list []string
	for i := 0; i < len(pairs); i += 2 {
		list = append(list, pairs[i]+`="`+escape.Replace(pairs[i+1])+`"`)
	}
	return "{" + strings.Join(list, ",") + "}"
}

func flag(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}
