package web

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dplaneos/dplane/cmd/internal/render"
	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/reconcile"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
	"github.com/dplaneos/dplane/state/sqlite"
)

var (
	_ Reader          = (*sqlite.Store)(nil)
	_ reconcile.Store = (*sqlite.Store)(nil)

	t0 = time.Date(2026, 11, 24, 7, 3, 0, 0, time.UTC)
)

// at is a clock that stands.
type at time.Time

func (c at) Now() time.Time                       { return time.Time(c) }
func (c at) After(time.Duration) <-chan time.Time { return nil }

func onTime() (time.Time, time.Duration) { return t0, time.Minute }

const evil = `<script>alert(1)</script>"'`

// machine is a database with one record whose every text is hostile.
func machine(t *testing.T) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(filepath.Join(t.TempDir(), "d.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	ctx := context.Background()
	plan, err := render.PlanJSON(&reconcile.Plan{Generation: "3f9c", ObservedAt: t0, Actions: []reconcile.Planned{{Action: drivers.Action{
		ID: "a1", Object: spec.Ref{Kind: spec.KindDataset, Name: "tank/home"}, Verb: drivers.Update, Risk: spec.Safe, Fields: []drivers.Field{{Name: "x", From: evil, To: evil}},
		Steps: []host.Command{host.Write("zfs", "set", evil)},
	}}}})
	if err != nil {
		t.Fatal(err)
	}
	o := state.NewObserved(t0, evil)
	o.Pools["tank"] = &state.Pool{Name: "tank", GUID: "1", Health: "DEGRADED", Size: 1000, Allocated: 250, Free: 750, Capacity: 25}
	o.Datasets["tank/home"] = &state.Dataset{Name: "tank/home", GUID: "2"}
	o.ReplicationHealth = []state.ReplicationHealth{{Name: "offsite", Lag: 2 * time.Hour, Objective: time.Hour, Never: 1, Error: evil,
		Datasets: []state.DatasetLag{{Source: "tank/home", Lag: 2 * time.Hour}, {Source: "tank/home/x", Lag: time.Hour, Never: true, Lost: true}}}}
	o.Replications = map[string]*state.Replication{"offsite": {Remembered: &state.Replicated{Runs: []state.TransferRun{
		{Began: t0.Add(-time.Minute), Ended: t0.Add(-50 * time.Second), Bytes: 5000, Streams: 2, Resumed: 1, Outcome: state.Failed, Error: evil}}}}}
	o.Schedules = []state.ScheduleHealth{{Name: "standard", Datasets: 2, Late: []string{"tank/home"}, Failed: []string{evil}, Newest: t0, Oldest: t0.Add(-time.Hour)}}
	rec := state.Record{
		At: t0, Generation: "3f9c", Interval: time.Minute, Observed: o, Plan: plan, Errors: []string{evil}, Invalid: evil,
		Declared: &state.Declared{Pools: map[string]state.DeclaredPool{"tank": {}, "gone": {}}, Datasets: []string{"tank/home"}},
	}
	if err := s.SaveRecord(ctx, rec); err != nil {
		t.Fatal(err)
	}
	group := &state.HARecord{At: t0, Every: time.Minute, Misses: 2, Peers: []state.HAPeer{{Name: "nas-b", Address: evil, Trouble: evil}, {Name: evil}},
		HA: state.HA{Node: "nas-a", Role: state.RoleStandby, Term: 3, Quorum: state.Quorum{Nodes: 3, Fresh: 2, Possible: true}, Peers: map[string]state.PeerHealth{
			"nas-b": {Node: "nas-b", State: state.PeerDegraded, Reason: evil, LastAt: t0, Last: &state.Beat{Role: state.Role(evil), At: t0.Add(-2 * time.Second)}}}}}
	if err := s.SaveHA(ctx, group); err != nil {
		t.Fatal(err)
	}
	id, err := s.Begin(ctx, state.Event{At: t0, Type: "action", Message: evil, Action: &state.Action{Kind: "dataset", Name: "tank/home", Verb: "update", Started: t0}})
	if err == nil {
		err = s.Finish(ctx, id, state.Done, "", t0)
	}
	if err == nil {
		err = s.Log(ctx, state.Event{At: t0, Type: "daemon", Message: "daemon started"})
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func get(t *testing.T, h http.Handler, method, target string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, target, nil))
	return w
}

var known = []string{"/", "/health", "/metrics", "/api/status", "/api/plan", "/api/events", "/api/replication", "/api/ha/status"}

func TestOnlyReadsAreAnswered(t *testing.T) {
	h := newAt(machine(t), onTime, at(t0))
	for _, path := range append([]string{"/unknown", "/api/../etc/passwd"}, known...) {
		for _, m := range []string{"POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "get"} {
			w := get(t, h, m, path)
			if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "GET, HEAD" {
				t.Errorf("%s %s: %d, Allow %q", m, path, w.Code, w.Header().Get("Allow"))
			}
		}
		for _, m := range []string{"GET", "HEAD"} {
			if w := get(t, h, m, path); w.Code == http.StatusMethodNotAllowed {
				t.Errorf("%s %s: %d", m, path, w.Code)
			}
		}
	}
}

func TestAnswers(t *testing.T) {
	h := newAt(machine(t), onTime, at(t0))
	h.Version = "1.2.3"
	for target, want := range map[string]string{
		"/":                                     "daemon started",
		"/?q=daemon":                            `value="daemon"`,
		"/health":                               `{"healthy":true,"last":"2026-11-24T07:03:00Z","version":1}`,
		"/api/status":                           `"state": "critical"`,
		"/api/plan":                             `"verb":"update"`,
		"/api/events":                           `"daemon started"`,
		"/api/events?q=daemon&limit=1":          `"daemon started"`,
		"/api/events?q=" + url.QueryEscape(`"`): `"events": []`,
		"/api/replication":                      `"lag": 7200`,
		"/api/replication?datasets":             `"source": "tank/home/x"`,
		"/api/replication?runs":                 `"rate": 500`,
		"/api/ha/status":                        `"name": "nas-b"`,
		"/api/ha/status?term":                   `"term": 3`,
		"/?q=peers":                             `<h2>Peers</h2>`,
		"/metrics?peer":                         `dplane_peer_state{peer="nas-b",state="degraded"} 1`,
		"/metrics?healthy":                      `dplane_peer_healthy{peer="nas-b"} 0`,
		"/metrics?skew":                         `dplane_peer_clock_skew_seconds{peer="nas-b"} -2`,
		"/metrics?role":                         `dplane_ha_role{role="standby"} 1`,
		"/metrics?term":                         `dplane_ha_term 3`,
		"/metrics?quorum":                       `dplane_ha_quorum 1`,
		"/metrics?fresh":                        `dplane_ha_fresh_nodes 2`,
		"/?q=schedule":                          `<h2>Schedules</h2>`,
		"/?q=replication":                       `<h2>Replications</h2>`,
		"/metrics":                              `dplane_pool_size_bytes{pool="tank"} 1000`,
	} {
		w := get(t, h, "GET", target)
		if w.Code != 200 || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: %d, without %s:\n%s", target, w.Code, want, w.Body)
		}
		for name, value := range map[string]string{"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"} {
			if w.Header().Get(name) != value {
				t.Errorf("%s: %s is %q", target, name, w.Header().Get(name))
			}
		}
		if csp := w.Header().Get("Content-Security-Policy"); !strings.HasPrefix(csp, "default-src 'none'; style-src 'unsafe-inline'") {
			t.Errorf("%s: policy %q", target, csp)
		}
		if strings.HasPrefix(target, "/api/") && (!json.Valid(w.Body.Bytes()) || w.Header().Get("Content-Type") != "application/json") {
			t.Errorf("%s: no JSON: %s", target, w.Body)
		}
	}
}

func TestMetrics(t *testing.T) {
	h := newAt(machine(t), onTime, at(t0))
	h.Version = `1.2"3\`
	body := get(t, h, "GET", "/metrics").Body.String()
	for _, want := range []string{
		"dplane_up 1\n", `dplane_build_info{version="1.2\"3\\",go="go`, `dplane_state{state="critical"} 1`, `dplane_state{state="ok"} 0`,
		"dplane_drift 1\n", "dplane_held 0\n", "dplane_last_reconcile_timestamp_seconds 1.79550378e+09\n", `dplane_actions_total{outcome="done"} 1`,
		`dplane_pool_healthy{pool="tank"} 0`, `dplane_pool_capacity_ratio{pool="tank"} 0.25`, `dplane_pool_allocated_bytes{pool="tank"} 250`,
		`dplane_pool_health{pool="tank",health="degraded",state="degraded"} 1`, `dplane_datasets{state="drift"} 1`, "# TYPE dplane_actions_total counter\n",
		`dplane_replication_lag_seconds{replication="offsite"} 7200`, `dplane_replication_healthy{replication="offsite"} 0`,
		`dplane_replication_dataset_lag_seconds{replication="offsite",dataset="tank/home"} 7200`, `dplane_replication_datasets{replication="offsite"} 2`,
		`dplane_schedule_healthy{schedule="standard"} 0`, `dplane_schedule_late_datasets{schedule="standard"} 1`, `dplane_schedule_datasets{schedule="standard"} 2`,
		`dplane_pool_healthy{pool="gone"} 0`, `dplane_pool_health{pool="gone",health="",state="missing"} 1`,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("no %s in\n%s", want, body)
		}
	}
	if strings.Contains(body, `bytes{pool="gone"}`) {
		t.Error("a pool that is not there has a size")
	}
}

func TestThePageEscapes(t *testing.T) {
	h := newAt(machine(t), onTime, at(t0))
	body := get(t, h, "GET", "/?q="+url.QueryEscape(evil)).Body.String()
	if strings.Contains(body, "<script") || strings.Contains(body, `value="<`) {
		t.Fatal(body)
	}
	if n := strings.Count(get(t, h, "GET", "/").Body.String(), "&lt;script&gt;"); n < 5 {
		t.Fatalf("the page shows %d of the hostile texts", n)
	}
}

func TestNothingIsBehindThePaths(t *testing.T) {
	h := newAt(machine(t), onTime, at(t0))
	for _, p := range []string{"/page.html", "//", "/.", "/api", "/api/", "/api/status/", "/API/STATUS", "/api/plan/../status", "/..%2f..%2fetc/passwd", "/health/x", "/%00", "/metrics%0a"} {
		if w := get(t, h, "GET", p); w.Code != http.StatusNotFound || !json.Valid(w.Body.Bytes()) {
			t.Errorf("%s: %d %s", p, w.Code, w.Body)
		}
	}
	for _, q := range []string{"0", "-1", "1001", "x", "9999999999999999999999"} {
		if w := get(t, h, "GET", "/api/events?limit="+q); w.Code != http.StatusBadRequest {
			t.Errorf("limit=%s: %d", q, w.Code)
		}
	}
}

func TestHealthFollowsTheLoop(t *testing.T) {
	for _, c := range []struct {
		name     string
		last     time.Time
		interval time.Duration
		now      time.Time
		want     int
	}{
		{"just started", time.Time{}, 0, t0.Add(3 * time.Minute), 200},
		{"never came to a pass", time.Time{}, 0, t0.Add(3*time.Minute + 1), 503},
		{"on time", t0.Add(time.Hour), time.Minute, t0.Add(time.Hour + 3*time.Minute), 200},
		{"late", t0.Add(time.Hour), time.Minute, t0.Add(time.Hour + 3*time.Minute + 1), 503},
		{"a long interval", t0.Add(time.Hour), time.Hour, t0.Add(4 * time.Hour), 200},
	} {
		h := newAt(machine(t), func() (time.Time, time.Duration) { return c.last, c.interval }, at(t0))
		h.clock = at(c.now)
		if w := get(t, h, "GET", "/health"); w.Code != c.want {
			t.Errorf("%s: %d", c.name, w.Code)
		}
		if w := get(t, h, "GET", "/api/status"); w.Code != 200 {
			t.Errorf("%s: status %d", c.name, w.Code)
		}
	}
}

// broken is a database that can't be read.
type broken struct{}

func (broken) Record(context.Context) (*state.Record, error) {
	return nil, errors.New("disk I/O error")
}
func (broken) Events(context.Context, string, int) ([]state.Event, error) {
	return nil, errors.New("disk I/O error")
}
func (broken) Outcomes(context.Context) (map[string]int64, error) {
	return nil, errors.New("disk I/O error")
}

func (broken) HA(context.Context) (*state.HARecord, error) {
	return nil, errors.New("disk I/O error")
}

func TestABrokenDatabaseIsSaid(t *testing.T) {
	h := newAt(broken{}, onTime, at(t0))
	for path, want := range map[string]int{"/": 200, "/health": 200, "/api/status": 200, "/api/plan": 500, "/api/events": 500, "/metrics": 500} {
		w := get(t, h, "GET", path)
		if w.Code != want || path != "/health" && !strings.Contains(w.Body.String(), "disk I/O error") {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
}

func TestAnEmptyDatabase(t *testing.T) {
	s, err := sqlite.Open(filepath.Join(t.TempDir(), "d.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	h := newAt(s, onTime, at(t0))
	for _, p := range known {
		if w := get(t, h, "GET", p); w.Code != 200 {
			t.Errorf("%s: %d %s", p, w.Code, w.Body)
		}
	}
	var plan struct {
		Version int
		Actions []any
	}
	if err := json.Unmarshal(get(t, h, "GET", "/api/plan").Body.Bytes(), &plan); err != nil || plan.Version != 1 || plan.Actions == nil {
		t.Errorf("%+v %v", plan, err)
	}
}

func TestAddress(t *testing.T) {
	for listen, want := range map[string]string{":9000": "127.0.0.1:9000", "127.0.0.1:9000": "127.0.0.1:9000", "[::1]:9000": "[::1]:9000", "0.0.0.0:1": "0.0.0.0:1", "9000": "", "": ""} {
		if got, err := address(listen); got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q %v", listen, got, err)
		}
	}
}

// start serves on a free port of the loopback until the test ends.
func start(t *testing.T, h http.Handler) net.Addr {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- serve(ctx, l, h) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return l.Addr()
}

func TestServe(t *testing.T) {
	addr := start(t, newAt(machine(t), onTime, at(t0)))
	ask := func(lines string) string {
		t.Helper()
		c, err := net.Dial("tcp", addr.String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(c, lines)
		first, err := bufio.NewReader(c).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return err.Error() // the server may cut off what it does not read to the end
		}
		return strings.TrimSpace(first)
	}
	for lines, want := range map[string]string{
		"GET /health HTTP/1.1\r\nHost: x\r\n\r\n":                                     "HTTP/1.1 200 OK",
		"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n":                                       "HTTP/1.1 405 Method Not Allowed",
		"CONNECT a.b:443 HTTP/1.1\r\nHost: a.b\r\n\r\n":                               "HTTP/1.1 405 Method Not Allowed",
		"GET /../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n":                           "HTTP/1.1 404 Not Found",
		"GET / HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("a", 40<<10) + "\r\n\r\n": "HTTP/1.1 431 Request Header Fields Too Large",
	} {
		if got := ask(lines); got != want {
			t.Errorf("%.40q: %s, want %s", lines, got, want)
		}
	}
	if err := Serve(context.Background(), addr.String(), nil); err == nil || !strings.Contains(err.Error(), "daemon.listen") {
		t.Errorf("a port that is taken: %v", err)
	}
}

// A client that asks for nothing must not hold the others up, nor must many at once.
func TestManyReaders(t *testing.T) {
	s := machine(t)
	addr := start(t, newAt(s, onTime, at(t0)))
	errs := make(chan error)
	const n = 40
	for i := range n {
		go func() {
			res, err := http.Get("http://" + addr.String() + known[i%len(known)])
			if err == nil {
				res.Body.Close()
				if res.StatusCode != 200 {
					err = fmt.Errorf("%s: %s", known[i%len(known)], res.Status)
				}
			}
			errs <- err
		}()
	}
	for i := range 20 { // reconciles go on meanwhile
		if err := s.Log(context.Background(), state.Event{At: t0, Type: "x", Message: fmt.Sprint(i)}); err != nil {
			t.Error(err)
		}
	}
	for range n {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}
