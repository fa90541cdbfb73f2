package spec

import (
	"fmt"
	"strings"
	"testing"
)

// BenchmarkLoad is a load with the schema compiled anew, as `dplane validate` does it.
func BenchmarkLoad(b *testing.B) {
	for _, n := range []int{10, 1000, 10000} {
		for _, equal := range []bool{false, true} {
			files := map[string][]byte{"tank.yaml": []byte(benchText(n, equal))}
			b.Run(fmt.Sprintf("datasets=%d/equal=%v", n, equal), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if _, err := LoadFiles(files, LoadOptions{Hostname: "bench"}); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func benchText(n int, equal bool) string {
	var y strings.Builder
	y.WriteString("pools:\n  tank: {vdevs: [{mirror: [/dev/disk/by-id/ata-A, /dev/disk/by-id/ata-B]}]}\ndatasets:\n")
	for i := range n {
		quota := 10
		if !equal {
			quota += i
		}
		fmt.Fprintf(&y, "  tank/d%d:\n    properties: {compression: zstd, quota: %dG, recordsize: 128K, atime: off, \"com.example:owner\": it}\n", i, quota)
	}
	return y.String()
}
