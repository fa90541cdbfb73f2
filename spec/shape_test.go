package spec

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/cuecontext"
	"golang.org/x/tools/txtar"
	"pgregory.net/rapid"

	"github.com/dplaneos/dplane/schema"
)

// cueVerdict asks CUE itself whether the joined files fit #Config.
type cueVerdict struct {
	ctx *cue.Context
	def cue.Value
}

func newVerdict(t testing.TB) cueVerdict {
	t.Helper()
	src, err := schemaSource(schema.FS)
	if err != nil {
		t.Fatal(err)
	}
	ctx := cuecontext.New()
	v := ctx.CompileString(src)
	if v.Err() != nil {
		t.Fatal(v.Err())
	}
	return cueVerdict{ctx, v.LookupPath(cue.ParsePath("#Config"))}
}

func (c cueVerdict) check(n *node, s *shape) error {
	return c.def.Unify(c.ctx.Encode(plain(n, s))).Validate(cue.Concrete(true), cue.All())
}

// plain is the value as CUE is to see it: an empty entry is one with no settings.
func plain(n *node, s *shape) any {
	switch n.kind {
	case mapNode:
		m := map[string]any{}
		for _, e := range n.keys {
			inner := &shape{}
			if f := s.fields[e.key]; f != nil {
				inner = f.shape
			} else if s.each != nil {
				inner = s.each
			}
			if e.val.is(tagNull) && s.each != nil && inner.fields != nil {
				m[e.key] = map[string]any{}
				continue
			}
			m[e.key] = plain(e.val, inner)
		}
		return m
	case listNode:
		inner := &shape{}
		if s.items != nil {
			inner = s.items
		}
		list := []any{}
		for _, i := range n.items {
			list = append(list, plain(i, inner))
		}
		return list
	}
	switch n.tag {
	case tagInt:
		if i, err := strconv.ParseInt(n.text, 10, 64); err == nil && plainInt(n.text) {
			return i
		}
	case tagFloat:
		if f, err := strconv.ParseFloat(n.text, 64); err == nil {
			return f
		}
	case tagBool:
		return strings.EqualFold(n.text, "true")
	case tagNull:
		return nil
	}
	return n.text
}

// shapeProblems are those of the schema alone, for one directory.
func shapeProblems(files map[string][]byte, s *shape) (*node, Problems) {
	l := &loader{shape: s, spec: &Spec{Files: map[string][]byte{}}, taken: map[Pos]bool{}}
	l.join(l.read(memoryFiles(files)))
	l.problems = nil
	l.check(l.shape, l.root, spot{})
	return l.root, l.problems
}

// TestShapeIsTheSchema: the compiled shapes and CUE itself agree on each example of what is right and wrong.
func TestShapeIsTheSchema(t *testing.T) {
	verdict := newVerdict(t)
	s, err := compileSchema(schema.FS)
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	compare := func(name string, files map[string][]byte) {
		root, problems := shapeProblems(files, s)
		err := verdict.check(root, s)
		if (err == nil) != (len(problems) == 0) {
			t.Errorf("%s: CUE says %v, the shapes say %v", name, err, problems.Err())
		}
		checked++
	}
	for _, pattern := range []string{"testdata/good/*.yaml", "../examples/*/*.yaml", "../examples/*/*/node.yaml"} {
		names, _ := filepath.Glob(pattern)
		for _, name := range names {
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			compare(name, map[string][]byte{"a.yaml": data})
		}
	}
	archives, _ := filepath.Glob("testdata/bad/*.txtar")
	for _, name := range archives {
		a, err := txtar.ParseFile(name)
		if err != nil {
			t.Fatal(err)
		}
		files := map[string][]byte{}
		for _, f := range a.Files {
			if f.Name != "want" {
				files[f.Name] = f.Data
			}
		}
		if strings.Contains(name, "alias_bomb") || strings.Contains(name, "yaml_deep") {
			continue // refused before the schema is asked
		}
		compare(name, files)
	}
	if checked < 60 {
		t.Errorf("only %d were compared", checked)
	}
}

// TestShapeAgreesWithCUE: so they do where one value anywhere in a whole configuration becomes another.
func TestShapeAgreesWithCUE(t *testing.T) {
	verdict := newVerdict(t)
	s, err := compileSchema(schema.FS)
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile("testdata/good/product.yaml")
	if err != nil {
		t.Fatal(err)
	}
	values := []*node{
		{text: "x"}, {text: "15m"}, {text: "/a"}, {text: "50%"}, {text: "02:00"}, {text: "auto"}, {text: "none"}, {text: "10G"},
		{tag: tagInt, text: "3"}, {tag: tagInt, text: "-1"}, {tag: tagInt, text: "100000"}, {tag: tagFloat, text: "1.5"},
		{tag: tagBool, text: "true"}, {tag: tagBool, text: "false"}, {tag: tagNull},
		{kind: listNode}, {kind: mapNode}, {kind: listNode, items: []*node{{text: "/a"}}},
		{kind: mapNode, keys: []entry{{key: "schedule", val: &node{text: "s"}}}},
	}
	rapid.Check(t, func(t *rapid.T) {
		docs, _, _ := parseFile("a.yaml", data)
		root := docs[0]
		all := places(root)
		at := all[rapid.IntRange(0, len(all)-1).Draw(t, "place")]
		switch rapid.IntRange(0, 2).Draw(t, "change") {
		case 0:
			*at = *rapid.SampledFrom(values).Draw(t, "value")
		case 1:
			if len(at.keys) > 0 {
				i := rapid.IntRange(0, len(at.keys)-1).Draw(t, "key")
				at.keys = append(at.keys[:i:i], at.keys[i+1:]...)
			}
		case 2:
			if at.kind == mapNode {
				at.keys = append(at.keys, entry{key: "extra", val: rapid.SampledFrom(values).Draw(t, "value")})
			}
		}
		l := &loader{shape: s, spec: &Spec{}, taken: map[Pos]bool{}}
		l.check(s, root, spot{})
		if err := verdict.check(root, s); (err == nil) != (len(l.problems) == 0) {
			t.Fatalf("CUE says %v, the shapes say %v", err, l.problems.Err())
		}
	})
}

func places(n *node) []*node {
	all := []*node{n}
	for _, e := range n.keys {
		all = append(all, places(e.val)...)
	}
	for _, i := range n.items {
		all = append(all, places(i)...)
	}
	return all
}

// TestSchemaAttributes: every field says what it is and shows an example that fits it.
func TestSchemaAttributes(t *testing.T) {
	src, err := schemaSource(schema.FS)
	if err != nil {
		t.Fatal(err)
	}
	root := cuecontext.New().CompileString(src).LookupPath(cue.ParsePath("#Config"))
	s, err := compileSchema(schema.FS)
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	var walk func(v cue.Value, s *shape, path string)
	walk = func(v cue.Value, s *shape, path string) {
		if any := v.LookupPath(cue.MakePath(cue.AnyString)); any.Exists() {
			walk(any, s.each, path+".*")
		}
		it, err := v.Fields(cue.Optional(true))
		if err != nil {
			return
		}
		for it.Next() {
			seen++
			name := it.Selector().Unquoted()
			f, in := s.fields[name], path+"."+name
			if attribute(it.Value(), "doc") == "" || attribute(it.Value(), "example") == "" {
				t.Errorf("%s has no doc or no example", in)
			}
			checkExample(t, in, f)
			walk(it.Value(), f.shape, in)
		}
	}
	walk(root, s, "")
	if seen < 100 {
		t.Errorf("only %d fields were seen", seen)
	}
	for _, word := range words("on off yes no") {
		if strings.Contains(src, "\t"+word+"?:") || strings.Contains(src, "\t"+word+"!:") {
			t.Errorf("a key is called %s, which is a truth value to many YAML readers", word)
		}
	}
}

// checkExample holds the example against its own shape; `...` stands for what a person fills in.
func checkExample(t *testing.T, path string, f *field) {
	text := strings.NewReplacer(", ...]", "]", "AAAA...", "AAAAC3Nz", "sha256/...", "sha256/abc").Replace(f.example)
	docs, problems, _ := parseFile("example", []byte(text))
	if len(problems) > 0 || len(docs) != 1 {
		t.Errorf("%s: the example %s is no YAML: %v", path, f.example, problems.Err())
		return
	}
	l := &loader{shape: f.shape, spec: &Spec{}, taken: map[Pos]bool{}}
	if l.check(f.shape, docs[0], spot{}); len(l.problems) > 0 {
		t.Errorf("%s: the example %s does not fit: %v", path, f.example, l.problems.Err())
	}
}
