package zfs

import (
	"bytes"
	"strings"

	"github.com/dplaneos/dplane/state"
)

// ParsePools reads what ListPools prints. A pool that is imported but can't be opened has "-" in most
// columns: its sizes are 0, and its health says why.
func ParsePools(out []byte) ([]*state.Pool, error) {
	var pools []*state.Pool
	for line := range bytes.Lines(out) {
		line = bytes.TrimSuffix(line, []byte("\n"))
		f := strings.Split(string(line), "\t")
		if len(f) != len(poolColumns) || f[0] == "" {
			return nil, &ParseError{What: "zpool list", Text: string(line)}
		}
		pools = append(pools, &state.Pool{
			Name: f[0], GUID: absent([]byte(f[1])), Health: f[7],
			Size: number([]byte(f[2])), Allocated: number([]byte(f[3])), Free: number([]byte(f[4])),
			Fragmentation: percent(f[5], -1), Capacity: percent(f[6], 0),
		})
	}
	return pools, nil
}

// percent reads "12" and "12%": releases differ under -p.
func percent(s string, unknown int) int {
	s = strings.TrimSuffix(s, "%")
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return unknown
	}
	return int(min(number([]byte(s)), 100))
}

// ParsePoolProperties reads what GetPool prints.
func ParsePoolProperties(pool string, out []byte) (map[string]state.Property, error) {
	props := map[string]state.Property{}
	starts := func(prev, next record) bool {
		_, seen := props[string(next.property)]
		return !seen && string(next.property) != string(prev.property) && string(next.name) == pool
	}
	err := records(pool, out, starts, func(r record) {
		props[string(r.property)] = state.Property{Value: string(r.value), Source: string(r.source)}
	})
	if err != nil {
		return nil, err
	}
	if _, ok := props["guid"]; !ok {
		return nil, &ParseError{What: "zpool get " + pool, Text: string(out)}
	}
	return props, nil
}
