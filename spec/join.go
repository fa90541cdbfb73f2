package spec

import (
	"strconv"
	"strings"
)

// join makes one root of all documents: sections may stand in several, entries may not.
func (l *loader) join(docs []*node) {
	l.root = &node{kind: mapNode, size: 1}
	for _, doc := range docs {
		if doc.kind != mapNode {
			p := l.problem(doc.pos, "", "the document is no map of sections: %s", doc.what())
			p.Expected, p.Example = "sections such as pools and datasets", "pools: {tank: {}}"
			continue
		}
		for _, e := range doc.keys {
			if !strings.HasPrefix(e.key, "x-") && !e.val.is(tagNull) {
				l.joinSection(e)
			}
		}
	}
}

// joinSection adds a section to what other documents say of it. A section that is no map, or unknown, is left to the schema.
func (l *loader) joinSection(e entry) {
	have := l.root.entry(e.key)
	f := l.shape.fields[e.key]
	switch {
	case have == nil:
		copied := *e.val
		copied.keys = append([]entry(nil), copied.keys...)
		l.root.keys = append(l.root.keys, entry{e.key, e.pos, &copied})
	case f == nil:
		l.unknown(l.shape, e, spot{path: ""})
	case e.val.kind != mapNode || have.val.kind != mapNode:
		l.check(f.shape, e.val, spot{at: e.pos, path: e.key, field: f})
	default:
		l.joinMaps(have.val, e.val, e.key, f.shape.each == nil)
	}
}

// joinMaps adds the keys of b to a. Settings (deep) join further down; an entry or a single setting that is there
// already is reported with both places.
func (l *loader) joinMaps(a, b *node, path string, deep bool) {
	index := make(map[string]int, len(a.keys))
	for i := range a.keys {
		index[a.keys[i].key] = i
	}
	for _, e := range b.keys {
		i, dup := index[e.key]
		switch {
		case !dup:
			index[e.key] = len(a.keys)
			a.keys = append(a.keys, e)
		case deep && a.keys[i].val.kind == mapNode && e.val.kind == mapNode:
			copied := *a.keys[i].val
			copied.keys = append([]entry(nil), copied.keys...)
			a.keys[i].val = &copied
			l.joinMaps(&copied, e.val, join(path, e.key), true)
		default:
			l.problem(e.pos, join(path, e.key), "stands in two places, first at %s", a.keys[i].pos).Expected = "each entry and each setting once"
		}
	}
}

// join adds a key to a path. A key with a dot, a quote, a bracket or a space is quoted.
func join(path, key string) string {
	if key == "" || strings.ContainsAny(key, ".\"'[]{} \t\n\\") || strings.ContainsFunc(key, unprintable) {
		key = quote(key)
	}
	if path == "" {
		return key
	}
	return path + "." + key
}

func unprintable(r rune) bool { return r < 0x20 || r == 0x7f }

// splitPath gives the keys of a path, "[]" for an item of a list.
func splitPath(path string) (keys []string) {
	for path != "" {
		if q, err := strconv.QuotedPrefix(path); err == nil && q[0] == '"' {
			key, _ := strconv.Unquote(q)
			keys, path = append(keys, key), path[len(q):]
		} else if i := strings.IndexAny(path, ".["); i != 0 {
			if i < 0 {
				i = len(path)
			}
			keys, path = append(keys, path[:i]), path[i:]
		}
		if strings.HasPrefix(path, "[") {
			_, path, _ = strings.Cut(path, "]")
			keys = append(keys, "[]")
		}
		path = strings.TrimPrefix(path, ".")
	}
	return keys
}
