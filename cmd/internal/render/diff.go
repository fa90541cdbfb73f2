package render

import (
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/dplaneos/dplane/spec"
)

// Change is one difference between two generations. A whole map that is new or gone is one change; a
// list is one value.
type Change struct {
	Path   string `json:"path"`   // datasets."tank/home".properties.compression
	Change string `json:"change"` // added, removed, changed
	From   any    `json:"from"`   // null where added
	To     any    `json:"to"`     // null where removed
}

type diffDocument struct {
	Version int      `json:"version"`
	Changes []Change `json:"changes"`
}

// DiffJSON is the document of a difference: {"version": 1, "changes": []}.
func DiffJSON(changes []Change) ([]byte, error) { return document(diffDocument{1, list(changes)}) }

var changeLook = map[string]struct{ symbol, color string }{"added": {"+", green}, "removed": {"-", red}, "changed": {"~", yellow}}

// DiffText writes a difference for people, one line each.
func DiffText(w io.Writer, changes []Change, opt TextOptions) error {
	t := &text{opt: opt}
	if len(changes) == 0 {
		t.printf("No difference in what the files declare.\n")
	}
	for _, c := range changes {
		look := changeLook[c.Change]
		value := flow(c.To)
		switch c.Change {
		case "removed":
			value = flow(c.From)
		case "changed":
			value = flow(c.From) + " -> " + flow(c.To)
		}
		t.printf("%s\n", t.in(look.color, clean(look.symbol+" "+c.Path+": "+value)))
	}
	return t.writeTo(w)
}

// flow is a value on one line.
func flow(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(b)
}

// diffYAML compares two canonical documents, in the order of their keys.
func diffYAML(a, b []byte) ([]Change, error) {
	var from, to map[string]any
	if err := yaml.Unmarshal(a, &from); err != nil {
		return nil, fmt.Errorf("read the older generation: %w", err)
	}
	if err := yaml.Unmarshal(b, &to); err != nil {
		return nil, fmt.Errorf("read the newer generation: %w", err)
	}
	changes := []Change{}
	diffMaps("", from, to, &changes)
	return changes, nil
}

func diffMaps(path string, from, to map[string]any, out *[]Change) {
	keys := map[string]bool{}
	for k := range from {
		keys[k] = true
	}
	for k := range to {
		keys[k] = true
	}
	for _, k := range sorted(keys) {
		at := strings.TrimPrefix(path+"."+pathKey(k), ".")
		x, before := from[k]
		y, after := to[k]
		switch {
		case !before:
			*out = append(*out, Change{at, "added", nil, y})
		case !after:
			*out = append(*out, Change{at, "removed", x, nil})
		default:
			diffValues(at, x, y, out)
		}
	}
}

func diffValues(path string, x, y any, out *[]Change) {
	from, isMap := x.(map[string]any)
	to, both := y.(map[string]any)
	if isMap && both {
		diffMaps(path, from, to, out)
		return
	}
	if !reflect.DeepEqual(x, y) {
		*out = append(*out, Change{path, "changed", x, y})
	}
}

// pathKey quotes a key that would not read as one word of a path.
func pathKey(k string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_'
	}
	if k != "" && strings.IndexFunc(k, func(r rune) bool { return !plain(r) }) < 0 {
		return k
	}
	return strconv.Quote(k)
}

// DiffSpecs is the difference of what two generations declare, by their canonical forms.
func DiffSpecs(a, b *spec.Spec) ([]Change, error) { return diffYAML(a.Encode(), b.Encode()) }
