package dataset

import (
	"fmt"
	"testing"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// Planning 10,000 datasets that are as declared, and 10,000 of which each has drifted.
func BenchmarkDiff(b *testing.B) {
	for name, value := range map[string]string{"same": "zstd", "drift": "lz4"} { // each with its own value observed
		b.Run(name, func(b *testing.B) {
			want := declare(b, "tank")
			have := machine("tank")
			for i := range 10_000 {
				name := spec.DatasetName(fmt.Sprintf("tank/d%02d/e%d", i%100, i))
				want.Datasets[name] = &spec.Dataset{Name: name, Properties: map[string]spec.Property{"compression": {Value: "zstd"}, "quota": {Value: "0"}, "atime": {Value: "on"}}}
				props := map[string]state.Property{"compression": {Value: value, Source: "local"}, "quota": {Value: "0", Source: "default"}, "atime": {Value: "on", Source: "default"}}
				have.Datasets[string(name)] = &state.Dataset{Name: string(name), Type: "filesystem", GUID: fmt.Sprint(i), Properties: props}
				have.Recorded = append(have.Recorded, state.Recorded{Kind: "dataset", Name: string(name), GUID: fmt.Sprint(i)})
			}
			for b.Loop() {
				new(Driver).Diff(drivers.Input{Want: want, Have: have})
			}
		})
	}
}
