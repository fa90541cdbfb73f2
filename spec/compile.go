package spec

import (
	"fmt"
	"io/fs"
	"regexp"
	"strings"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/cuecontext"
)

// The schema is compiled by CUE, once per load, into shapes: plain Go values that check a YAML node
// several hundred times faster than CUE unifies it, and that know what to say. CUE stays the one source of truth:
// nothing here repeats a rule, what a shape can't express is an error of compile, and a test holds
// shapes and CUE's own verdict together (shape_test.go).
//
// Refused: unifying each object with its definition at load: 0.3 ms per object, 2.7 s for 10,000
// datasets, and its errors name neither choices nor all unknown keys.

// schemaSource is the CUE text of all files as one.
func schemaSource(fsys fs.FS) (string, error) {
	names, err := fs.Glob(fsys, "*.cue")
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, name := range names {
		text, err := fs.ReadFile(fsys, name)
		if err != nil {
			return "", err
		}
		b.WriteString(strings.Replace(string(text), "package schema\n", "\n", 1))
	}
	return b.String(), nil
}

// compileSchema uses one CUE context and lets it go: a context that lives on grows with each use.
func compileSchema(fsys fs.FS) (*shape, error) {
	src, err := schemaSource(fsys)
	if err != nil {
		return nil, err
	}
	root := cuecontext.New().CompileString(src, cue.Filename("schema.cue"))
	if err := root.Err(); err != nil {
		return nil, err
	}
	c := shapes{known: map[string]*shape{}}
	return c.compile(root.LookupPath(cue.ParsePath("#Config")))
}

// shapes compiles each definition once.
type shapes struct{ known map[string]*shape }

func (c *shapes) compile(v cue.Value) (*shape, error) {
	_, path := v.ReferencePath()
	ref := path.String()
	if s, ok := c.known[ref]; ok && ref != "" {
		return s, nil
	}
	s := &shape{}
	if ref != "" {
		c.known[ref] = s
		v = cue.Dereference(v)
		s.expect, s.example = attribute(v, "expect"), attribute(v, "example")
	}
	if err := c.alternatives(s, v); err != nil {
		return nil, fmt.Errorf("%s: %w", v.Path(), err)
	}
	return s, nil
}

func (c *shapes) alternatives(s *shape, v cue.Value) error {
	op, args := v.Expr()
	if op == cue.SelectorOp {
		v = cue.Dereference(v)
		op, args = v.Expr()
	}
	if op == cue.OrOp {
		for _, a := range args {
			if err := c.alternatives(s, a); err != nil {
				return err
			}
		}
		return nil
	}
	switch v.IncompleteKind() {
	case cue.StructKind:
		return c.structure(s, v)
	case cue.ListKind:
		items, err := c.compile(v.LookupPath(cue.MakePath(cue.AnyIndex)))
		s.items = items
		return err
	}
	r := rule{kind: kindsOf(v.IncompleteKind())}
	s.rules = append(s.rules, r)
	return scalarRule(&s.rules[len(s.rules)-1], v)
}

func (c *shapes) structure(s *shape, v cue.Value) (err error) {
	if any := v.LookupPath(cue.MakePath(cue.AnyString)); any.Exists() {
		s.each, err = c.compile(any)
		return err
	}
	it, err := v.Fields(cue.Optional(true))
	if err != nil {
		return err
	}
	s.fields = map[string]*field{}
	for it.Next() {
		name := it.Selector().Unquoted()
		inner, err := c.compile(it.Value())
		if err != nil {
			return err
		}
		own := *inner
		f := &field{shape: &own, required: it.FieldType() == cue.StringLabel|cue.RequiredConstraint}
		f.def = attribute(it.Value(), "default")
		f.expect = first(attribute(it.Value(), "expect"), own.expect)
		f.example = first(attribute(it.Value(), "example"), own.example)
		s.fields[name] = f
		s.names = append(s.names, name)
	}
	return nil
}

// scalarRule reads a type, a literal, a regular expression, bounds, or several joined by &.
func scalarRule(r *rule, v cue.Value) error {
	op, args := v.Expr()
	switch op {
	case cue.AndOp:
		for _, a := range args {
			if err := scalarRule(r, a); err != nil {
				return err
			}
		}
		return nil
	case cue.RegexMatchOp:
		text, err := args[0].String()
		if err != nil {
			return err
		}
		r.re, err = regexp.Compile(text)
		return err
	case cue.GreaterThanEqualOp, cue.LessThanEqualOp:
		n, err := args[0].Int64()
		if op == cue.GreaterThanEqualOp {
			r.min = &n
		} else {
			r.max = &n
		}
		return err
	case cue.NoOp:
		if v.IsConcrete() {
			r.fixed = true
			r.literal = literal(v)
		}
		return nil
	}
	return fmt.Errorf("the loader can't check %v", v)
}

func literal(v cue.Value) string {
	if s, err := v.String(); err == nil {
		return s
	}
	return fmt.Sprint(v)
}

func attribute(v cue.Value, key string) string {
	a := v.Attribute("dplane")
	s, _, _ := a.Lookup(0, key)
	return s
}

func kindsOf(k cue.Kind) (set kinds) {
	for _, m := range []struct {
		cue cue.Kind
		own kinds
	}{{cue.StringKind, textKind}, {cue.IntKind, intKind}, {cue.FloatKind, floatKind}, {cue.BoolKind, boolKind}, {cue.NullKind, nullKind}} {
		if k&m.cue != 0 {
			set |= m.own
		}
	}
	return set
}
