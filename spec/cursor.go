package spec

import (
	"fmt"
	"strconv"
	"strings"
)

// cursor is a value of the files while it is decoded. What the schema refused already decodes to the
// default, silently.
type cursor struct {
	l    *loader
	n    *node // nil: not there
	key  Pos   // of the key that holds it
	path string
}

func (c cursor) there() bool { return c.n != nil }

// get goes to the value of a key.
func (c cursor) get(key string) cursor {
	if c.n == nil || c.n.kind != mapNode {
		return cursor{l: c.l, key: c.key, path: c.path}
	}
	e := c.n.entry(key)
	if e == nil {
		return cursor{l: c.l, key: c.key, path: c.path}
	}
	return cursor{l: c.l, n: e.val, key: e.pos, path: join(c.path, key)}
}

// entries are the keys of a map with their values, in the order of the files.
func (c cursor) entries() (names []string, values []cursor) {
	if c.n == nil || c.n.kind != mapNode {
		return nil, nil
	}
	for _, e := range c.n.keys {
		names = append(names, e.key)
		values = append(values, cursor{l: c.l, n: e.val, key: e.pos, path: join(c.path, e.key)})
	}
	return names, values
}

func (c cursor) list() []cursor {
	if c.n == nil || c.n.kind != listNode {
		return nil
	}
	all := make([]cursor, len(c.n.items))
	for i, n := range c.n.items {
		all[i] = cursor{l: c.l, n: n, key: n.pos, path: fmt.Sprintf("%s[%d]", c.path, i)}
	}
	return all
}

// bad reports a mistake in this value.
func (c cursor) bad(format string, args ...any) *Problem {
	return c.l.rule(c.n.pos, c.path, format, args...)
}

// badKey reports a mistake at the key.
func (c cursor) badKey(format string, args ...any) *Problem {
	return c.l.rule(c.key, c.path, format, args...)
}

// doubt warns of this value, unless it was refused already.
func (c cursor) doubt(format string, args ...any) *Problem {
	if c.l.taken[c.n.pos] {
		return &Problem{}
	}
	return c.l.warn(c.n.pos, c.path, format, args...)
}

// faulty tells whether a key or value of this map was reported already.
func (c cursor) faulty() bool {
	for _, e := range c.n.keys {
		if c.l.taken[e.pos] || c.l.taken[e.val.pos] {
			return true
		}
	}
	return false
}

// text is a scalar's text, whatever its type.
func (c cursor) text() string {
	if c.n == nil || c.n.kind != scalarNode {
		return ""
	}
	return c.n.text
}

func (c cursor) textOr(def string) string { return first(c.text(), def) }

// texts is a list of words; an empty one is not nil, where the list is there.
func (c cursor) texts() []string {
	if c.n == nil || c.n.kind != listNode {
		return nil
	}
	all := make([]string, 0, len(c.n.items))
	for _, i := range c.list() {
		all = append(all, i.text())
	}
	return all
}

func (c cursor) flag(def bool) bool {
	if !c.n.is(tagBool) {
		return def
	}
	return strings.EqualFold(c.n.text, "true")
}

func (c cursor) number(def int) int {
	n, err := strconv.Atoi(c.text())
	if err != nil {
		return def
	}
	return n
}

func (c cursor) percent(def int) int {
	n, err := strconv.Atoi(strings.TrimSuffix(c.text(), "%"))
	if err != nil {
		return def
	}
	return n
}

// size is 0 where the value is not there.
func (c cursor) size() Size {
	if !c.there() {
		return 0
	}
	n, err := ParseSize(c.text())
	if err != nil {
		c.bad("%v", err)
		c.l.taken[c.n.pos] = true // what follows from it is not said too
	}
	return n
}

// duration is at least least; def where the value is not there.
func (c cursor) duration(def, least Duration) Duration {
	if !c.there() {
		return def
	}
	d, err := ParseDuration(c.text())
	switch {
	case err != nil:
		c.bad("%v", err)
		return def
	case d < least:
		c.bad("%s is too short", quote(c.text())).Expected = "at least " + least.String()
	}
	return d
}

func first(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
