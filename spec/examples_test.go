package spec

import (
	"path/filepath"
	"reflect"
	"testing"
)

// TestExamples: what people copy loads, with no error and no warning.
func TestExamples(t *testing.T) {
	nodes := map[string]*Spec{}
	for _, dir := range []string{"home-nas", "pair/nas-a", "pair/nas-b", "laptop"} {
		abs, err := filepath.Abs(filepath.Join("../examples", dir))
		if err != nil {
			t.Fatal(err)
		}
		s, err := LoadDir(abs, LoadOptions{Hostname: "example"})
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range s.Warnings {
			t.Errorf("%s: %v", dir, w.Error())
		}
		roundTrip(t, s)
		nodes[dir] = s
	}
	a, b := nodes["pair/nas-a"], nodes["pair/nas-b"]
	if a == nil || b == nil || string(a.HA.encode().yaml()) != string(b.HA.encode().yaml()) || a.Generation == b.Generation {
		t.Error("the nodes of the pair share ha, and differ in their own part")
	}
}

// TestExamplesStandAlone: whatever folder of the examples holds files can be copied as it is.
func TestExamplesStandAlone(t *testing.T) {
	files, err := filepath.Glob("../examples/*/*.yaml")
	deeper, _ := filepath.Glob("../examples/*/*/*.yaml")
	if err != nil || len(deeper) < 4 {
		t.Fatalf("%v %v %v", files, deeper, err)
	}
	for _, f := range append(files, deeper...) {
		if _, err := LoadDir(filepath.Dir(f), LoadOptions{Hostname: "example"}); err != nil {
			t.Error(err)
		}
	}
}

// roundTrip: the canonical form loads to the same generation.
func roundTrip(t interface {
	Fatalf(string, ...any)
}, s *Spec) {
	text := s.Encode()
	again, err := LoadFiles(map[string][]byte{"canonical.yaml": text}, LoadOptions{Hostname: s.Node.Name})
	if err != nil {
		t.Fatalf("the canonical form does not load: %v\n%s", err, text)
	}
	if again.Generation != s.Generation {
		t.Fatalf("another generation:\n%s\n%s", text, again.Encode())
	}
	a, b := meaning(reflect.ValueOf(*s)), meaning(reflect.ValueOf(*again))
	if !reflect.DeepEqual(a, b) {
		t.Fatalf("another meaning:\n%v\n%v\n%s", a, b, text)
	}
}

// meaning is a value without what does not enter the generation: places, the text of properties, files, warnings.
func meaning(v reflect.Value) any {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return nil
		}
		return meaning(v.Elem())
	case reflect.Struct:
		m := map[string]any{}
		for i := range v.NumField() {
			switch name := v.Type().Field(i).Name; name {
			case "Pos", "ActivePos", "Text", "Files", "Warnings":
			default:
				m[name] = meaning(v.Field(i))
			}
		}
		return m
	case reflect.Map:
		m := map[string]any{}
		for _, k := range v.MapKeys() {
			m[k.String()] = meaning(v.MapIndex(k))
		}
		return m
	case reflect.Slice:
		var list []any
		for i := range v.Len() {
			list = append(list, meaning(v.Index(i)))
		}
		return list
	}
	return v.Interface()
}
