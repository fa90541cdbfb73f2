package spec

// nodeKind is what a YAML value is once aliases and merge keys are resolved.
type nodeKind uint8

const (
	scalarNode nodeKind = iota
	mapNode
	listNode
)

// tag is the type YAML gives a scalar: what is quoted is text, what is not may be something else.
type tag uint8

const (
	tagText tag = iota
	tagInt
	tagFloat
	tagBool
	tagNull
)

// node is one value of the files with its place. What is behind an alias is shared, never copied, so
// an alias bomb costs no memory; size tells what it would unfold to.
type node struct {
	kind  nodeKind
	tag   tag
	text  string // scalars
	pos   Pos
	keys  []entry // maps, in the order of the file, merged keys last
	items []*node // lists
	size  int     // values with aliases unfolded, this one included
}

// entry is one key of a map with its value.
type entry struct {
	key string
	pos Pos // of the key
	val *node
}

// get is the value of a key, nil where there is none.
func (n *node) get(key string) *node {
	if e := n.entry(key); e != nil {
		return e.val
	}
	return nil
}

func (n *node) entry(key string) *entry {
	if n == nil {
		return nil
	}
	for i := range n.keys {
		if n.keys[i].key == key {
			return &n.keys[i]
		}
	}
	return nil
}

// is tells whether this is a scalar of that type.
func (n *node) is(t tag) bool { return n != nil && n.kind == scalarNode && n.tag == t }

// what names the value in a message.
func (n *node) what() string {
	switch {
	case n.kind == mapNode:
		return "a map"
	case n.kind == listNode:
		return "a list"
	case n.tag == tagNull:
		return "empty"
	case n.tag == tagBool:
		return n.text + " is true or false"
	case n.tag == tagInt, n.tag == tagFloat:
		return n.text + " is a number"
	}
	return quote(n.text) + " is text"
}
