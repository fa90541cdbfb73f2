package spec

import (
	"fmt"

	"gopkg.in/yaml.v3"
)

// converter turns the parser's nodes of one document into ours: aliases and merge keys are resolved
// (within bounds), duplicate keys and odd tags reported.
type converter struct {
	file     string
	path     []step               // to the value that is being read
	anchors  map[*yaml.Node]*node // what stands behind an anchor; nil while it is being read
	problems Problems
	merged   int // keys that merges copied
	stop     bool
}

// step is a key, or the number of an item.
type step struct {
	key  string
	item int // -1: a key
}

func (c *converter) add(pos Pos, format string, args ...any) *Problem {
	p := &Problem{Pos: pos, Path: c.where(), Message: fmt.Sprintf(format, args...), Expected: "plain YAML", Example: "pools: {tank: {}}"}
	c.problems = append(c.problems, p)
	return p
}

// where is the path of the value that is being read, of a very deep one its beginning.
func (c *converter) where() (path string) {
	for i, s := range c.path {
		if i == 20 {
			return path + "..."
		}
		if s.item >= 0 {
			path += fmt.Sprintf("[%d]", s.item)
		} else {
			path = join(path, s.key)
		}
	}
	return path
}

// inside reads a value one level down.
func (c *converter) inside(s step, y *yaml.Node, depth int) *node {
	c.path = append(c.path, s)
	n := c.node(y, depth+1)
	c.path = c.path[:len(c.path)-1]
	return n
}

// abort ends the reading of a document that is out of bounds.
func (c *converter) abort(pos Pos, format string, args ...any) {
	if !c.stop {
		c.add(pos, format, args...)
	}
	c.stop = true
}

// document is nil where it is empty or out of bounds.
func (c *converter) document(doc *yaml.Node) *node {
	if len(doc.Content) == 0 {
		return nil
	}
	n := c.node(doc.Content[0], 0)
	if c.stop || n == nil || n.is(tagNull) {
		return nil
	}
	return n
}

func (c *converter) node(y *yaml.Node, depth int) *node {
	pos := Pos{c.file, y.Line, y.Column}
	if depth > maxDepth {
		c.abort(pos, "is nested deeper than %d levels", maxDepth)
	}
	if c.stop {
		return nil
	}
	if y.Kind == yaml.AliasNode {
		return c.alias(y, pos, depth)
	}
	if y.Anchor != "" {
		c.anchors[y] = nil
	}
	n := &node{pos: pos, size: 1}
	switch y.Kind {
	case yaml.MappingNode:
		n.kind = mapNode
		c.plainTag(y, pos, "!!map")
		c.mapping(n, y, depth)
	case yaml.SequenceNode:
		n.kind = listNode
		c.plainTag(y, pos, "!!seq")
		c.sequence(n, y, depth)
	default:
		c.scalar(n, y)
	}
	if n.size > maxNodes {
		c.abort(pos, "unfolds to more than %d values with its aliases", maxNodes)
		return nil
	}
	if y.Anchor != "" {
		c.anchors[y] = n
	}
	return n
}

// alias is the node behind it, shared. The place of the anchor is kept: there the mistake stands.
func (c *converter) alias(y *yaml.Node, pos Pos, depth int) *node {
	n, seen := c.anchors[y.Alias]
	switch {
	case seen && n == nil:
		c.abort(pos, "the anchor &%s holds itself", y.Value)
	case !seen: // behind a part that was refused
		return c.node(y.Alias, depth)
	}
	return n
}

func (c *converter) sequence(n *node, y *yaml.Node, depth int) {
	n.items = make([]*node, 0, len(y.Content))
	for i, v := range y.Content {
		item := c.inside(step{item: i}, v, depth)
		if item == nil {
			return
		}
		n.items = append(n.items, item)
		n.size = min(n.size+item.size, maxNodes+1)
	}
}

func (c *converter) mapping(n *node, y *yaml.Node, depth int) {
	n.keys = make([]entry, 0, len(y.Content)/2)
	seen := newKeySet(len(y.Content) / 2)
	var merges []*yaml.Node
	for i := 0; i+1 < len(y.Content); i += 2 {
		e, ok := c.key(y.Content[i])
		if !ok {
			continue
		}
		if first, dup := seen.add(e); dup {
			p := c.add(e.pos, "the key %s stands twice in this map, first at %s", quote(e.key), first)
			p.Path = join(p.Path, e.key)
			p.Expected, p.Example = "each key once", e.key+": ..."
			continue
		}
		if y.Content[i].Tag == "!!merge" {
			merges = append(merges, y.Content[i+1])
			continue
		}
		if e.val = c.inside(step{key: e.key, item: -1}, y.Content[i+1], depth); e.val == nil {
			return
		}
		n.size = min(n.size+e.val.size+1, maxNodes+1)
		n.keys = append(n.keys, e)
	}
	for _, m := range merges {
		c.merge(n, seen, m, depth)
	}
}

func (c *converter) key(y *yaml.Node) (entry, bool) {
	pos := Pos{c.file, y.Line, y.Column}
	for y.Kind == yaml.AliasNode {
		y = y.Alias
	}
	if y.Kind != yaml.ScalarNode {
		c.add(pos, "a key is a map or a list").Expected = "a single word as the key"
		return entry{}, false
	}
	return entry{key: y.Value, pos: pos}, true
}

// merge copies the keys of one map, or of several of which the first counts, that n itself has not.
func (c *converter) merge(n *node, seen *keySet, y *yaml.Node, depth int) {
	from := c.node(y, depth+1)
	if from == nil {
		return
	}
	maps := []*node{from}
	if from.kind == listNode {
		maps = from.items
	}
	for _, m := range maps {
		if m.kind != mapNode {
			p := c.add(Pos{c.file, y.Line, y.Column}, "<< merges what is no map")
			p.Expected, p.Example = "an alias of a map, or a list of such", "<<: *common"
			continue
		}
		if c.merged += len(m.keys); c.merged > maxMerged {
			c.abort(n.pos, "merges more than %d keys", maxMerged)
			return
		}
		for _, e := range m.keys {
			if _, dup := seen.add(e); dup {
				continue
			}
			n.keys = append(n.keys, e)
			n.size = min(n.size+e.val.size+1, maxNodes+1)
		}
	}
}

// scalar keeps the text as it stands. A tag that says what the text is not (!!bool yes) is refused: what reads it
// later would take it for something else.
func (c *converter) scalar(n *node, y *yaml.Node) {
	n.text = y.Value
	t := y.ShortTag()
	if plain := (&yaml.Node{Kind: yaml.ScalarNode, Value: y.Value}).ShortTag(); y.Style&yaml.TaggedStyle != 0 && t != "!!str" && t != plain {
		c.oddTag(n.pos, t)
		return
	}
	switch t {
	case "!!str", "!!timestamp", "!!merge":
	case "!!int":
		n.tag = tagInt
	case "!!float":
		n.tag = tagFloat
	case "!!bool":
		n.tag = tagBool
	case "!!null":
		n.tag = tagNull
	default:
		c.oddTag(n.pos, t)
	}
}

// plainTag wants no other tag on a map or a list than YAML's own.
func (c *converter) plainTag(y *yaml.Node, pos Pos, own string) {
	if t := y.ShortTag(); t != own {
		c.oddTag(pos, t)
	}
}

func (c *converter) oddTag(pos Pos, t string) {
	c.add(pos, "the tag %s has no place here", quote(t)).Expected = "a plain value"
}

// keySet finds a key that stands twice: by looking through the few keys of a small map, by hash else.
type keySet struct {
	list []entry
	hash map[string]Pos
}

func newKeySet(n int) *keySet {
	s := &keySet{}
	if n > 12 {
		s.hash = make(map[string]Pos, n)
	}
	return s
}

// add gives the place of the first one where the key was there.
func (s *keySet) add(e entry) (first Pos, dup bool) {
	if s.hash != nil {
		if first, dup = s.hash[e.key]; !dup {
			s.hash[e.key] = e.pos
		}
		return first, dup
	}
	for i := range s.list {
		if s.list[i].key == e.key {
			return s.list[i].pos, true
		}
	}
	if s.list = append(s.list, entry{key: e.key, pos: e.pos}); len(s.list) > 12 {
		s.hash = make(map[string]Pos, 2*len(s.list))
		for _, e := range s.list {
			s.hash[e.key] = e.pos
		}
	}
	return Pos{}, false
}
