package spec

import (
	"strconv"
	"strings"
	"time"
)

const second = Duration(time.Second)

// decode makes the types of the joined nodes. Entries whose name is no name are left out, with a problem.
func (l *loader) decode() {
	root := cursor{l: l, n: l.root}
	s := l.spec
	s.Node = l.node(root.get("node"))
	s.Daemon = l.daemon(root.get("daemon"))
	s.Pools = decodeMap[PoolName](root.get("pools"), l.pool)
	s.Datasets = decodeMap[DatasetName](root.get("datasets"), l.dataset)
	s.Schedules = decodeMap[string](root.get("schedules"), l.schedule)
	s.Remotes = decodeMap[string](root.get("remotes"), l.remote)
	s.Replications = decodeMap[string](root.get("replications"), l.replication)
	if ha := root.get("ha"); ha.there() {
		s.HA = l.ha(ha)
	}
}

// decodeMap gives the entries for which one is not nil, by name.
func decodeMap[K ~string, V any](c cursor, one func(string, cursor) *V) map[K]*V {
	names, values := c.entries()
	m := make(map[K]*V, len(names))
	for i, name := range names {
		if v := one(name, values[i]); v != nil {
			m[K(name)] = v
		}
	}
	return m
}

func (l *loader) node(c cursor) Node {
	n := Node{Name: c.get("name").textOr(l.opts.Hostname), Timezone: c.get("timezone").textOr(defaultTimezone)}
	n.Assumed = !c.get("name").there()
	c.get("timezone").checkZone()
	return n
}

func (l *loader) daemon(c cursor) Daemon {
	d := Daemon{
		Interval: c.get("interval").duration(defaultInterval, second),
		Apply:    defaultApply,
		Limits: Limits{
			Destroys: c.get("limits").get("destroys").number(0),
			Changes:  c.get("limits").get("changes").percent(defaultChanges),
		},
		Trash:    c.get("trash").duration(defaultTrash, Duration(time.Hour)),
		Listen:   c.get("listen").textOr(defaultListen),
		Runtime:  c.get("runtime").textOr(DefaultRuntime),
		Database: c.get("database").textOr(defaultDatabase),
	}
	if apply := c.get("apply"); apply.there() {
		if r, err := ParseRisk(apply.text()); err == nil {
			d.Apply = r
		}
	}
	if port := d.Listen[strings.LastIndexByte(d.Listen, ':')+1:]; !validPort(port) {
		c.get("listen").bad("the port %s is out of range", quote(port)).Expected = "a port from 0 to 65535"
	}
	return d
}

func validPort(s string) bool {
	_, err := strconv.ParseUint(s, 10, 16)
	return err == nil
}

func (l *loader) schedule(name string, c cursor) *Schedule {
	s := &Schedule{
		Name: name, Pos: c.key,
		Keep:           c.get("keep").keep(),
		FrequentPeriod: c.get("frequentPeriod").duration(defaultFrequent, Duration(time.Minute)),
		At:             c.get("at").textOr(defaultAt),
		Weekday:        c.get("weekday").textOr(defaultWeekday),
		Monthday:       c.get("monthday").number(defaultMonthday),
		Month:          c.get("month").textOr(defaultMonth),
		Timezone:       c.get("timezone").text(),
		SkipEmpty:      c.get("skipEmpty").flag(false),
		Format:         c.get("format").text(),
		MaxPrune:       c.get("maxPrune").percent(defaultMaxPrune),
	}
	if name == noSchedule {
		c.badKey("no schedule can be called none: snapshots: none stops an inherited one")
	}
	c.checkName("schedule", name)
	c.get("timezone").checkZone()
	c.get("format").checkFormat()
	return s
}

// keep is nil where nothing is said. One that keeps nothing would take snapshots to destroy them.
func (c cursor) keep() map[string]int {
	if !c.there() {
		return nil
	}
	names, values := c.entries()
	m, total := map[string]int{}, 0
	for i, name := range names {
		m[name] = values[i].number(0)
		total += m[name]
	}
	if total == 0 && !c.faulty() {
		p := c.badKey("keeps nothing")
		p.Expected, p.Example = "at least one count over 0", "keep: {daily: 30}"
	}
	return m
}

func (l *loader) remote(name string, c cursor) *Remote {
	r := &Remote{
		Name: name, Pos: c.key,
		Host:         c.get("host").text(),
		Port:         c.get("port").number(defaultPort),
		User:         c.get("user").text(),
		IdentityFile: c.get("identityFile").text(),
		HostKey:      strings.Join(firstTwo(c.get("hostKey").text()), " "),
	}
	c.checkName("remote", name)
	c.get("hostKey").checkHostKey()
	return r
}

// firstTwo leaves out the comment of a public key.
func firstTwo(s string) []string {
	f := strings.Fields(s)
	return f[:min(2, len(f))]
}

// checkName is for names of schedules, remotes, replications and peers: they become parts of file names, hold tags and arguments.
func (c cursor) checkName(kind, name string) {
	bad := func(r rune) bool { return !letter(r) && (r < '0' || r > '9') && !strings.ContainsRune("-_.", r) }
	switch {
	case name == "":
		c.badKey("the name of a %s is empty", kind).Expected = "letters, digits, - _ and ."
	case strings.ContainsFunc(name, bad), strings.ContainsAny(name[:1], "-."):
		c.badKey("%s is no name of a %s", quote(name), kind).Expected = "letters, digits, - _ and ., not beginning with - or ."
	case len(name) > 64:
		c.badKey("the name of the %s has %d bytes", kind, len(name)).Expected = "at most 64"
	}
}
