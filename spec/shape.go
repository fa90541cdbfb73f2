package spec

import (
	"regexp"
	"sync"

	"github.com/dplaneos/dplane/schema"
)

// shape is what one place of the files admits. A value passes if it fits one of the alternatives.
type shape struct {
	rules   []rule            // scalars
	fields  map[string]*field // a closed map; nil: none
	names   []string          // of fields, in the schema's order
	each    *shape            // a map of any keys; nil: none
	items   *shape            // a list; nil: none
	expect  string            // said instead of what the alternatives would say
	example string
}

// field is one key of a closed map.
type field struct {
	*shape
	required bool
	def      string // @dplane(default=...): documentation, Go fills it in
}

// kinds is a set of YAML's scalar types.
type kinds uint8

const (
	textKind kinds = 1 << iota
	intKind
	floatKind
	boolKind
	nullKind
)

// rule is one alternative of a scalar.
type rule struct {
	kind     kinds
	literal  string // the only value
	fixed    bool   // there is only the literal
	re       *regexp.Regexp
	min, max *int64
}

// Cache keeps what loads have in common. It holds plain Go values, no CUE, and is safe for concurrent use.
type Cache struct {
	once sync.Once
	root *shape
	err  error
}

// NewCache is an empty one.
func NewCache() *Cache { return &Cache{} }

// shape compiles the schema on first use; a nil Cache compiles it each time.
func (c *Cache) shape() (*shape, error) {
	if c == nil {
		return compileSchema(schema.FS)
	}
	c.once.Do(func() { c.root, c.err = compileSchema(schema.FS) })
	return c.root, c.err
}
