package spec

import (
	"encoding/base64"
	"encoding/binary"
	"strings"
)

func (l *loader) replication(name string, c cursor) *Replication {
	r := &Replication{
		Name: name, Pos: c.key,
		Source:    c.get("source").end(false),
		Target:    c.get("target").end(true),
		Recursive: c.get("recursive").flag(false),
		Exclude:   c.get("exclude").texts(),
		Snapshots: c.get("snapshots").texts(),
		When:      c.get("when").when(),
		Objective: c.get("objective").duration(0, second),
		RateLimit: c.get("rateLimit").size(),
		Send: Send{
			Compressed:  c.get("send").get("compressed").flag(true),
			Raw:         strings.ToLower(c.get("send").get("raw").textOr(defaultRaw)),
			LargeBlocks: c.get("send").get("largeBlocks").flag(true),
		},
		Receive: Receive{
			Set:     c.get("receive").get("set").properties(datasets),
			Exclude: c.get("receive").get("exclude").texts(),
		},
		Keep: c.get("keep").keep(),
	}
	c.checkName("replication", name)
	c.checkPatterns(r)
	for _, p := range c.get("receive").get("exclude").list() {
		p.checkExcluded()
	}
	if rate := c.get("rateLimit"); rate.there() && r.RateLimit == 0 {
		rate.bad("a rate of 0 would send nothing").Expected = "a rate over 0, or no rateLimit"
	}
	return r
}

// end reads a dataset here, one there, or standby.
func (c cursor) end(target bool) End {
	switch {
	case !c.there():
		return End{Pos: c.key}
	case c.n.kind == scalarNode && target && c.text() == standby:
		return End{Standby: true, Pos: c.n.pos}
	case c.n.kind == scalarNode:
		return End{Dataset: c.datasetName(), Pos: c.n.pos}
	}
	e := End{Remote: c.get("remote").text(), Pos: c.key}
	if d := c.get("dataset"); d.there() {
		e.Dataset = d.datasetName()
	}
	return e
}

func (c cursor) when() When {
	if !c.there() {
		return When{After: true}
	}
	c.exactlyOne(append(words("after manual"), recurKeys...))
	w := When{After: c.get("after").text() == "snapshot", Manual: c.get("manual").flag(false)}
	r := c.recurrence()
	if !w.After && !w.Manual {
		w.Recur = r
	} else if r.Timezone != "" || r.Window != "" {
		c.badKey("timezone and window go with what recurs").Expected = "every, daily, weekly, monthly or cron beside them"
	}
	return w
}

func (c cursor) checkPatterns(r *Replication) {
	for _, p := range c.get("exclude").list() {
		text := p.text()
		fixed, _, _ := strings.Cut(text, "*")
		switch err := patternComponents(text); {
		case err != nil:
			p.bad("%v", err).Expected = "a dataset's name in which * stands for any text in a component and ** for any number of components"
		case r.Source.Dataset != "" && !strings.HasPrefix(fixed, string(r.Source.Dataset)+"/") && !strings.HasPrefix(string(r.Source.Dataset)+"/", fixed):
			p.bad("%s matches nothing below the source %s", quote(text), r.Source.Dataset).want("a pattern of what is below the source", string(r.Source.Dataset)+"/*/cache")
		}
	}
	if e := c.get("exclude"); e.there() && len(r.Exclude) > 0 && !r.Recursive && r.Source.Dataset != "" {
		e.badKey("exclude without recursive: nothing below the source is sent anyway").Expected = "recursive: true beside it"
	}
	for _, p := range c.get("snapshots").list() {
		if err := component(strings.ReplaceAll(p.text(), "*", "x")); err != nil {
			p.bad("%s is no pattern of snapshot names: %v", quote(p.text()), err).want("part of a snapshot's name, with * for any text", `"GMT-*"`)
		}
	}
}

// patternComponents allows what names allow, and *.
func patternComponents(s string) error {
	for _, part := range strings.Split(s, "/") {
		if err := component(strings.ReplaceAll(part, "*", "x")); err != nil {
			return err
		}
	}
	return nil
}

func (c cursor) checkExcluded() {
	name := c.text()
	if _, ok := LookupProperty(name, datasets); ok || IsUserProperty(name) {
		return
	}
	c.bad("there is no property %s%s", quote(name), c.l.suggest(name, PropertyNames(datasets))).Expected = "a name of zfsprops(7)"
}

// checkHostKey looks into the key: a cut one, or a type that is not the key's, would fail at night. It is a warning,
// for files that are checked before the other machine has its keys: ssh refuses such a key anyway.
func (c cursor) checkHostKey() {
	f := strings.Fields(c.text())
	if len(f) < 2 {
		return
	}
	blob, err := base64.StdEncoding.DecodeString(f[1])
	if err == nil && len(blob) > 4 {
		n := binary.BigEndian.Uint32(blob)
		if uint64(len(blob)-4) > uint64(n) && string(blob[4:4+n]) == f[0] {
			return
		}
	}
	c.doubt("the text after %s is no key of that type: nothing can be sent", f[0]).
		want("a whole line of `ssh-keyscan -t ed25519 HOST`, without the host's name", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI...")
}
