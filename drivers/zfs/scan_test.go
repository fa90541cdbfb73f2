package zfs

import (
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/dplaneos/dplane/state"
)

func at2026(clock string) time.Time {
	t, err := time.Parse("2006-01-02 15:04:05", "2026-11-24 "+clock)
	if err != nil {
		panic(err)
	}
	return t
}

// What runs in the background, as text and as JSON, in the words of each release.
func TestWork(t *testing.T) {
	const m = 1 << 20
	for _, c := range []struct {
		file string
		of   func(p *state.Pool) *state.Work
		want *state.Work
	}{
		{"2.3.9/status_scrub.txt", scanned, &state.Work{Kind: "scrub", State: state.Running, Start: at2026("07:37:25"), Total: 42.5 * m}},
		{"2.3.9/status_scrub.json", scanned, &state.Work{Kind: "scrub", State: state.Running, Start: at2026("07:37:25"), Total: 44568576}},
		{"2.3.9/status_scrub_paused.txt", scanned, &state.Work{Kind: "scrub", State: state.Paused, Start: at2026("07:37:25"), Total: 42.5 * m}},
		{"2.3.9/status_scrub_paused.json", scanned, &state.Work{Kind: "scrub", State: state.Paused, Start: at2026("07:37:25"), Total: 44568576}},
		{"2.3.9/status_scrub_done.txt", scanned, &state.Work{Kind: "scrub", State: state.Finished, Start: at2026("07:37:25"), End: at2026("07:37:29")}},
		{"2.3.9/status_scrub_canceled.txt", scanned, &state.Work{Kind: "scrub", State: state.Canceled, End: at2026("07:37:30")}},
		{"2.3.9/status_resilver.txt", scanned, &state.Work{Kind: "resilver", State: state.Running, Start: at2026("07:37:23"), Total: size("42.3M")}},
		{"2.3.9/status_resilvered.txt", scanned, &state.Work{Kind: "resilver", State: state.Finished, Start: at2026("07:37:23"), End: at2026("07:37:24"), Fixed: 20.5 * m}},
		{"2.3.9/status_permanent_errors.txt", scanned, &state.Work{Kind: "scrub", State: state.Finished, Start: at2026("07:37:43"), End: at2026("07:37:43"), Fixed: 76 << 10, Errors: 887}},
		{"2.1.11/status_resilver.txt", scanned, &state.Work{Kind: "resilver", State: state.Running, Start: at2026("07:40:59"), Total: size("42.2M")}},
		{"2.3.9/status_missing_vdev.json", scanned, &state.Work{Kind: "resilver", State: state.Finished, Start: at2026("07:37:47"), End: at2026("07:37:47"), Done: 49152, Total: 1032192, Fixed: 49152}},
		{"2.3.9/status_removed.txt", removed, &state.Work{Kind: "removal", State: state.Finished, Start: at2026("07:38:04"), End: at2026("07:38:04"), Done: 20.5 * m, Total: 20.5 * m}},
		{"2.3.9/status_removed.json", removed, &state.Work{Kind: "removal", State: state.Finished, Start: at2026("07:38:04"), End: at2026("07:38:04"), Done: 21491712, Total: 21491712}},
		{"2.3.9/status_expand.txt", expanded, &state.Work{Kind: "expansion", State: state.Running, Vdev: "raidz1-0", Start: at2026("07:38:06"), Done: 228 << 10, Total: 984 << 10, Left: 3}},
		{"2.3.9/status_expand.json", expanded, &state.Work{Kind: "expansion", State: state.Finished, Start: at2026("07:38:06"), End: at2026("07:38:07"), Done: 815104, Total: 1277952}},
		{"2.3.9/status_expanding.txt", expanded, &state.Work{Kind: "expansion", State: state.Running, Vdev: "raidz1-0", Start: at2026("12:10:02"), Done: size("4.67M"), Total: size("90.4M"), Left: 36}},
		{"2.3.9/status_expanding.json", expanded, &state.Work{Kind: "expansion", State: state.Running, Start: at2026("12:10:02"), Done: 4891648, Total: 94757888, Left: 2167}},
		{"2.3.9/status_evacuating.txt", removed, &state.Work{Kind: "removal", State: state.Running, Vdev: "/pool/b.img", Start: at2026("12:10:44"), Done: 21 << 10, Total: size("50.2M"), Left: 2400}},
		{"2.3.9/status_evacuating.json", removed, &state.Work{Kind: "removal", State: state.Running, Vdev: "/pool/b.img", Start: at2026("12:10:44"), Done: 21504, Total: 52686848, Left: 186756}},
		{"2.3.9/status_resilvering.txt", scanned, &state.Work{Kind: "resilver", State: state.Running, Start: at2026("12:11:21"), Done: 53.5 * m, Total: size("90.2M"), Fixed: size("53.6M"), Left: 3}},
		{"2.3.9/status_resilvering.json", scanned, &state.Work{Kind: "resilver", State: state.Running, Start: at2026("12:11:21"), Done: 59264512, Total: 94589440, Fixed: 59492864, Left: 23}},
		{"2.3.9/status_offline.txt", scanned, nil},
		{"2.3.9/status_offline.json", scanned, nil},
	} {
		p := parsed(t, c.file)
		got := c.of(p)
		if got == nil || c.want == nil {
			if got != c.want {
				t.Errorf("%s: %+v, want %+v", c.file, got, c.want)
			}
		} else if *got != *c.want {
			t.Errorf("%s\n got %+v\nwant %+v", c.file, *got, *c.want)
		}
	}
}

func scanned(p *state.Pool) *state.Work  { return p.Scanned }
func removed(p *state.Pool) *state.Work  { return p.Removal }
func expanded(p *state.Pool) *state.Work { return p.Expansion }

// parsed reads a capture of either form.
func parsed(t *testing.T, file string) *state.Pool {
	t.Helper()
	release, name := filepath.Split(file)
	out := golden(t, strings.TrimSuffix(release, "/"), name)
	p := &state.Pool{Name: poolIn(string(out))}
	var err error
	if strings.HasSuffix(file, ".json") {
		err = ParsePoolStatusJSON(out, at2026("12:12:00"), p)
	} else {
		err = ParsePoolStatus(out, p)
	}
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return p
}

// poolIn is the name of the pool in a capture.
func poolIn(out string) string {
	if _, rest, json := strings.Cut(out, `"pools":{"`); json {
		name, _, _ := strings.Cut(rest, `"`)
		return name
	}
	return strings.TrimPrefix(strings.SplitN(out, "\n", 2)[0], "  pool: ")
}

func TestWorkText(t *testing.T) {
	for text, want := range map[string]state.Work{
		"scrub in progress since Sun Nov  1 00:00:00 2026 1.50T / 3T scanned at 1.2G/s, 1T / 3T issued at 812M/s 4K repaired, 33.33% done, 1 days 02:03:04 to go": {
			Kind: "scrub", State: state.Running, Start: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC), Done: 1 << 40, Total: 3 << 40, Fixed: 4096, Left: 93784},
		"resilver in progress since Sun Nov  1 00:00:00 2026 1.50T scanned at 1.2G/s, 1T issued at 812M/s, 3T total 4K resilvered, 33.33% done, no estimated completion time": {
			Kind: "resilver", State: state.Running, Start: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC), Done: 1 << 40, Total: 3 << 40, Fixed: 4096},
		"resilvered (draid1:2d:4c:1s-0) 330K in 2 days 00:00:01 with 3 errors on Tue Nov 24 08:23:51 2026": {
			Kind: "resilver", State: state.Finished, Start: at2026("08:23:50").AddDate(0, 0, -2), End: at2026("08:23:51"), Fixed: 330 << 10, Errors: 3},
		"none requested": {},
	} {
		got := parseScan(text)
		if got == nil {
			got = &state.Work{}
		}
		if *got != want {
			t.Errorf("%s\n got %+v\nwant %+v", text, *got, want)
		}
	}
	if w := parseRemoval("Evacuation of /pool/b.img in progress since Tue Nov 24 08:23:51 2026 2M copied out of 8M at 1M/s, 25.00% done, 1h2m to go"); w == nil ||
		*w != (state.Work{Kind: "removal", State: state.Running, Vdev: "/pool/b.img", Start: at2026("08:23:51"), Done: 2 << 20, Total: 8 << 20, Left: 3720}) {
		t.Errorf("removal %+v", w)
	}
	if c := parseCheckpoint("discarding, 12K remaining."); c == nil || *c != (state.Checkpoint{State: "discarding", Space: 12 << 10}) {
		t.Errorf("checkpoint %+v", c)
	}
}

// Text and JSON of one moment tell the same.
func TestJSONAgreesWithText(t *testing.T) {
	for _, r := range []string{"2.3.9", "2.4.4"} {
		files, err := filepath.Glob(filepath.Join("testdata", r, "status_*.json"))
		if err != nil || len(files) < 15 {
			t.Fatalf("%s: %d captures, %v", r, len(files), err)
		}
		for _, f := range files {
			name := strings.TrimSuffix(filepath.Base(f), ".json")
			j, text := parsed(t, r+"/"+name+".json"), parsed(t, r+"/"+name+".txt")
			want := strings.NewReplacer("<(resilvering)>", "", "<(removing)>", "").Replace(short(text.Vdevs))
			if strings.Contains(name, "permanent") {
				want = strings.ReplaceAll(want, "2447", "2451") // one more read between the two
				want = strings.ReplaceAll(want, "2448", "2452")
			}
			if strings.Contains(name, "trim") {
				want = ""
			}
			if got := short(j.Vdevs); got != want && want != "" {
				t.Errorf("%s %s\nJSON %s\ntext %s", r, name, got, want)
			}
			if j.Health != text.Health || j.Status != text.Status || (j.Checkpoint == nil) != (text.Checkpoint == nil) {
				t.Errorf("%s %s: JSON %s %q, text %s %q", r, name, j.Health, j.Status, text.Health, text.Status)
			}
			if s := j.Scanned; s != nil && (text.Scanned == nil || s.Kind != text.Scanned.Kind) && name != "status_expand" {
				t.Errorf("%s %s: JSON %+v, text %+v", r, name, s, text.Scanned)
			}
			for _, v := range j.Vdevs {
				if v.GUID == "" || len(v.Children) == 0 && v.Path == "" && name != "status_dspare" {
					t.Errorf("%s %s: %+v", r, name, v)
				}
			}
		}
	}
}

// The time left follows from the pace of this pass.
func TestLeft(t *testing.T) {
	out := `{"pools":{"tank":{"name":"tank","state":"ONLINE","scan_stats":{"function":"SCRUB","state":"SCANNING","start_time":1000,"to_examine":1100,"skipped":100,
		"issued":400,"issued_bytes_per_scan":200,"pass_start":"1100","scrub_spent_paused":50},"vdevs":{"tank":{"vdevs":{"/a":{"name":"/a","state":"ONLINE"}}}}}}}`
	p := &state.Pool{Name: "tank"}
	if err := ParsePoolStatusJSON([]byte(out), time.Unix(1250, 0), p); err != nil {
		t.Fatal(err)
	}
	if w := p.Scanned; w.Done != 400 || w.Total != 1000 || w.Left != 300 { // 200 bytes in 100 s
		t.Errorf("%+v", w)
	}
}

func TestGUIDs(t *testing.T) {
	for _, name := range []string{"status_all", "status_replacing", "status_spare_in", "status_dspare"} {
		p, j := parsed(t, "2.3.9/"+name+".txt"), parsed(t, "2.3.9/"+name+".json")
		if err := ParsePoolGUIDs(golden(t, "2.3.9", name+"_g.txt"), p); err != nil || !reflect.DeepEqual(p.Vdevs, j.Vdevs) {
			t.Errorf("%s: %v\ntext %+v\nJSON %+v", name, err, p.Vdevs, j.Vdevs)
		}
	}
	guids := strings.ReplaceAll(string(golden(t, "2.3.9", "status_all_g.txt")), "pool: cls", "pool: tank")
	other := &state.Pool{Name: "tank", Vdevs: []state.Vdev{{Name: "/pool/a.img"}}}
	if err := ParsePoolGUIDs([]byte(guids), other); err != nil || other.Vdevs[0].GUID != "" {
		t.Errorf("a tree that changed in between: %+v, %v", other.Vdevs, err)
	}
}

func TestHasJSON(t *testing.T) {
	for release, want := range map[string]bool{"2.1.11-1+deb12u1": false, "2.2.7": false, "2.3.9-0+deb13u1": true, "2.4.4-1": true, "3.0.0": true, "": false} {
		if HasJSON(release) != want {
			t.Errorf("%q: %v", release, !want)
		}
	}
}
