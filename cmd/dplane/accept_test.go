package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// What left the files stays on the machine, and is named: whole objects, properties of a pool, and all those of a dataset.
func TestReleased(t *testing.T) {
	const (
		objects = "no longer declared, so released and left alone: "
		values  = "no longer declared, so left as they are: "
	)
	pool := func(rest string) string { return "pools: {tank: {vdevs: [{stripe: [/vdev/a]}]" + rest + "}}\n" }
	for name, c := range map[string]struct {
		before, now string
		want        []string
	}{
		"nothing":                      {pool(", properties: {autotrim: on}"), pool(", properties: {autotrim: off}"), nil},
		"one of a pool's":              {pool(", properties: {autotrim: on, comment: hello}"), pool(", properties: {comment: hello}"), []string{values + "autotrim of pool tank"}},
		"all of a pool's":              {pool(", properties: {autotrim: on, comment: hello}, compatibility: openzfs-2.1-linux"), pool(""), []string{values + "autotrim of pool tank, comment of pool tank, compatibility of pool tank"}},
		"a pool with all":              {pool(", properties: {autotrim: on}"), "", []string{objects + "pool tank"}},
		"all of a dataset's":           {pool("") + "datasets: {tank/a: {properties: {atime: off}}}", pool("") + "datasets: {tank/a: {}}", []string{values + "the properties of dataset tank/a"}},
		"some of a dataset's go back":  {pool("") + "datasets: {tank/a: {properties: {atime: off}}}", pool("") + "datasets: {tank/a: {properties: {}}}", nil},
		"there were none":              {pool("") + "datasets: {tank/a: {properties: {}}}", pool("") + "datasets: {tank/a: {}}", nil},
		"what is to be destroyed":      {pool("") + "datasets: {tank/a: {properties: {atime: off}}}", pool("") + "datasets: {tank/a: {absent: true}}", nil},
		"a whole object and one value": {pool(", properties: {autotrim: on}") + "datasets: {tank/a: {}}", pool(""), []string{objects + "dataset tank/a", values + "autotrim of pool tank"}},
	} {
		t.Run(name, func(t *testing.T) {
			now, err := spec.LoadFiles(map[string][]byte{"a.yaml": []byte(c.now)}, spec.LoadOptions{})
			if err != nil {
				t.Fatal(err)
			}
			got := released(state.Generation{Files: map[string]string{"a.yaml": c.before}}, now)
			if !slices.Equal(got, c.want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
			}
		})
	}
}
