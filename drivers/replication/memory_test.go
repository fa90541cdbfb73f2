package replication

import (
	"strings"
	"testing"
	"time"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// planned is what becomes of one pair, with what is remembered of it.
func planned(t *testing.T, send spec.Send, p state.Pair, known *state.Replicated) (drivers.Result, state.ReplicationHealth) {
	t.Helper()
	r := &spec.Replication{
		Name: "off", Source: spec.End{Dataset: "tank/a"}, Target: spec.End{Dataset: "usb/a"}, When: spec.When{After: true}, Send: send,
	}
	p.To = "usb/a"
	seen := &state.Replication{Pairs: []state.Pair{p}, Remembered: known}
	have := &state.Observed{Replications: map[string]*state.Replication{"off": seen}}
	want := &spec.Spec{Replications: map[string]*spec.Replication{"off": r}}
	return (&Driver{}).Diff(drivers.Input{Want: want, Have: have}), health(r, seen, sight{}, time.Now())
}

// sourceAnd is a source with the guid s, and a target with the guid t.
func sourceAnd(source, target string) state.Pair {
	p := state.Pair{Source: *endOf(source), Target: endOf(target)}
	p.Source.GUID, p.Source.Type = "s", "filesystem"
	if p.Target != nil {
		p.Target.Name, p.Target.GUID, p.Target.Type = "usb/a", "t", "filesystem"
	}
	return p
}

func commonly(place, target string) *state.Replicated {
	return &state.Replicated{Common: map[string]state.Common{"s": {Source: "tank/a", Place: place, Target: target, GUID: "1"}}}
}

// What was sent to a place and is not there any more is a loss; another place in the files is none, nor one that never had it.
func TestLost(t *testing.T) {
	for name, c := range map[string]struct {
		source string
		known  *state.Replicated
		lost   bool
	}{
		"never":                                 {"@a,1", nil, false},
		"once":                                  {"@a,1", commonly(":usb/a", "t"), true},
		"once, by a release that knew no place": {"@a,1", commonly("", "t"), true},
		"elsewhere":                             {"@a,1", commonly(":usb/other", "t"), false},
		"on another machine":                    {"@a,1", commonly("nas:usb/a", "t"), false},
		"elsewhere, as its bookmark tells":      {"@a,1 #dplane-off-1,1", commonly(":usb/other", "t"), false},
		"the memory is lost":                    {"@a,1 #dplane-off-1,1", nil, true},
		"the bookmark is of another one":        {"@a,1 #dplane-on-1,1", nil, false},
		"nothing to send":                       {"", commonly(":usb/a", "t"), true},
	} {
		r, h := planned(t, spec.Send{}, sourceAnd(c.source, "none"), c.known)
		held := len(r.Actions) == 1 && r.Actions[0].Hold != ""
		sends := len(r.Actions) == 1 && r.Actions[0].Hold == ""
		if held != (c.lost && c.source != "") || sends == c.lost && c.source != "" {
			t.Errorf("%s: %+v", name, r.Actions)
		}
		if strings.Contains(h.Error, "had it once, and is gone") != c.lost || h.Datasets[0].Lost != c.lost {
			t.Errorf("%s: %+v", name, h)
		}
	}
}

// Another dataset in the target's place is told, and sent to only where it has what both need in common.
func TestAnotherTarget(t *testing.T) {
	const other = "usb/a is another dataset than the one that was sent to (guid old, now t)"
	for name, c := range map[string]struct {
		target        string
		remembered    *state.Replicated
		sends, notice bool
		err           bool
	}{
		"the same":                      {"@a,1", commonly(":usb/a", "t"), true, false, false},
		"another one, which has it":     {"@a,1", commonly(":usb/a", "old"), true, true, false},
		"another one, which has it not": {"@x,9", commonly(":usb/a", "old"), false, false, true},
		"another one, empty":            {"", commonly(":usb/a", "old"), false, false, true},
		"of another place":              {"@a,1", commonly(":usb/b", "old"), true, false, false},
	} {
		r, h := planned(t, spec.Send{}, sourceAnd("@a,1 +5 @b,2", c.target), c.remembered)
		sends := false
		for _, a := range r.Actions {
			sends = sends || a.Sending != nil
		}
		told := strings.Contains(strings.Join(r.Notices, "\n"), other)
		blocked := r.Actions[0].Verb == drivers.Blocked && strings.Contains(r.Actions[0].Reason.Observed, other)
		if sends != c.sends || told != c.notice || blocked != c.err || strings.Contains(h.Error, other) != c.err {
			t.Errorf("%s: sends %t, told %t, blocked %t, %q: %+v", name, sends, told, blocked, h.Error, r)
		}
	}
}

// What a target was first received with is kept, whatever the files say since; only in plain nothing is sent that they do
// not declare.
func TestFlags(t *testing.T) {
	sent := func(raw, large bool) *state.Replicated {
		return &state.Replicated{Sent: map[string]state.Sent{"s": {Place: ":usb/a", Target: "t", Raw: raw, LargeBlocks: large}}}
	}
	elsewhere := sent(false, true)
	elsewhere.Sent["s"] = state.Sent{Place: ":usb/b", Target: "t"}
	another := sent(false, true)
	another.Sent["s"] = state.Sent{Place: ":usb/a", Target: "old"}
	begun := sent(false, true)
	begun.Sent["s"] = state.Sent{Place: ":usb/a", LargeBlocks: true}
	plain := func(*state.Pair) {}
	encrypted := func(target bool, root string, loaded bool) func(*state.Pair) {
		return func(p *state.Pair) {
			p.Source.Encrypted, p.Source.KeyLoaded = true, true
			p.Target.Encrypted, p.Target.EncryptionRoot, p.Target.KeyLoaded = target, root, loaded
		}
	}
	for name, c := range map[string]struct {
		send  spec.Send
		known *state.Replicated
		ends  func(*state.Pair)
		argv  string // of what is sent; "": it is blocked
		kept  bool
	}{
		"nothing remembered":                 {spec.Send{LargeBlocks: true}, nil, plain, "-L", false},
		"as ever":                            {spec.Send{LargeBlocks: true}, sent(false, true), plain, "-L", false},
		"no large blocks any more":           {spec.Send{}, sent(false, true), plain, "-L", true},
		"large blocks now":                   {spec.Send{LargeBlocks: true}, sent(false, false), plain, "", true},
		"remembered of another place":        {spec.Send{LargeBlocks: true}, elsewhere, plain, "-L", false},
		"remembered of another target":       {spec.Send{LargeBlocks: true}, another, plain, "-L", false},
		"remembered before it was there":     {spec.Send{}, begun, plain, "-L", true},
		"raw of what is not encrypted":       {spec.Send{Raw: "true"}, sent(false, true), plain, "-w", false},
		"raw of it now, and no large blocks": {spec.Send{Raw: "true"}, sent(false, false), plain, "", true},
		"encrypted":                          {spec.Send{Raw: "auto"}, nil, encrypted(true, "usb/a", false), "-w", false},
		"raw, and in plain now":              {spec.Send{Raw: "false"}, sent(true, true), encrypted(true, "usb/a", true), "-w -L", true},
		"in plain, as declared":              {spec.Send{Raw: "false"}, sent(false, false), encrypted(false, "", false), "", false},
		"in plain, and raw now":              {spec.Send{Raw: "auto"}, sent(false, false), encrypted(false, "", false), "blocked", false},
		"in plain as the target shows":       {spec.Send{Raw: "auto"}, nil, encrypted(false, "", false), "blocked", false},
		"raw as the target shows":            {spec.Send{Raw: "false"}, nil, encrypted(true, "usb/a", false), "-w -L", true},
		"into what is encrypted there":       {spec.Send{Raw: "false"}, nil, encrypted(true, "usb", true), "", false},
	} {
		p := sourceAnd("@a,1 @b,2", "@a,1")
		c.ends(&p)
		r, _ := planned(t, c.send, p, c.known)
		if len(r.Actions) != 1 {
			t.Fatalf("%s: %+v", name, r.Actions)
		}
		kept := strings.Contains(strings.Join(r.Notices, "\n"), "first received")
		if c.argv == "blocked" || r.Actions[0].Verb == drivers.Blocked {
			if c.argv != "blocked" || !strings.Contains(r.Actions[0].Reason.Observed, "first received in plain") {
				t.Errorf("%s: %+v", name, r.Actions[0])
			}
			continue
		}
		last := r.Actions[0].Steps[len(r.Actions[0].Steps)-1]
		argv := strings.Join(last.Stdin.Argv, " ")
		want := strings.Join(strings.Fields("zfs send -P -v "+c.argv+" -i @a tank/a@b"), " ")
		if argv != want || kept != c.kept {
			t.Errorf("%s: %s, told %t: %v", name, argv, kept, r.Notices)
		}
	}
}

// What broke off in its first stream goes on with the flags of its token, and what came of another kind is not gone on with.
func TestFlagsOfAToken(t *testing.T) {
	for name, c := range map[string]struct {
		token *state.Token
		large bool
	}{
		"of this one":      {&state.Token{ToName: "tank/a@a", ToGUID: "1", LargeBlocks: true}, true},
		"without them":     {&state.Token{ToName: "tank/a@a", ToGUID: "1"}, false},
		"of another one":   {&state.Token{ToName: "tank/x@a", ToGUID: "1"}, true},
		"can't be read":    {nil, true},
		"of the other way": {&state.Token{ToName: "tank/a@a", ToGUID: "1", Raw: true}, true},
	} {
		p := sourceAnd("@a,1 @b,2", "")
		p.Target.Partial, p.Target.Token, p.Target.Resume = true, "1-x", c.token
		r, _ := planned(t, spec.Send{LargeBlocks: true}, p, nil)
		if got := r.Actions[0].Sending.Pairs[0]; got.LargeBlocks != c.large || got.Raw {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// What is not sent any more stays in the memory for a while, and does not count.
func TestRemembering(t *testing.T) {
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	r := &state.Replicated{
		Common: map[string]state.Common{"gone": {At: now.Add(-time.Hour)}, "long gone": {At: now.Add(-keptLeft - time.Hour)}, "here": {Left: true}},
		Sent:   map[string]state.Sent{"long gone": {}, "gone": {}, "begun": {Place: "p"}, "here": {Target: "x"}, "first": {Place: "p"}},
	}
	m := &remembering{
		common:  map[string]state.Common{"first": {Place: "p", Target: "t"}},
		sources: map[string]bool{"here": true, "first": true, "begun": true},
	}
	m.into(r, now)
	if len(r.Common) != 3 || !r.Common["gone"].Left || r.Common["here"].Left || r.Common["first"].Target != "t" {
		t.Errorf("%+v", r.Common)
	}
	if len(r.Sent) != 4 || r.Sent["first"].Target != "t" || r.Sent["here"].Target != "x" || r.Sent["begun"].Target != "" {
		t.Errorf("%+v", r.Sent)
	}
}
