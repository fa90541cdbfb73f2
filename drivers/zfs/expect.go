package zfs

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/state"
)

// ExpectMissingDataset holds while there is no such dataset. A pool that is missing has none either: guard
// the pool as well where that matters.
func ExpectMissingDataset(name string) host.Expect {
	return host.Expect{
		Command: ListName(name),
		Code:    1, Stderr: "dataset does not exist",
		Means: name + " does not exist",
	}
}

// ExpectMissingPool holds while no pool of that name is imported.
func ExpectMissingPool(name string) host.Expect {
	return host.Expect{
		Command: host.Read("zpool", "list", "-H", "-o", "name", name),
		Code:    1, Stderr: "no such pool",
		Means: "pool " + name + " does not exist",
	}
}

// ExpectProps holds while the dataset has these values with these sources. With its guid among them (source
// "-") it also proves that the name still means the same dataset. A user property that is not set is
// {"-", "-"}, a user's quota that is not set {"0", "local"}.
func ExpectProps(name string, props map[string]state.Property) host.Expect {
	return expectProps("zfs", name, props)
}

// ExpectPoolProps is ExpectProps of a pool.
func ExpectPoolProps(name string, props map[string]state.Property) host.Expect {
	return expectProps("zpool", name, props)
}

func expectProps(program, name string, props map[string]state.Property) host.Expect {
	names := slices.Sorted(maps.Keys(props))
	var output strings.Builder
	means := make([]string, len(names))
	for i, n := range names {
		p := props[n]
		fmt.Fprintf(&output, "%s\t%s\t%s\n", n, p.Value, p.Source)
		means[i] = fmt.Sprintf("%s=%s (%s)", n, p.Value, p.Source)
	}
	return host.Expect{
		Command: host.Read(program, "get", "-Hp", "-o", "property,value,source", strings.Join(names, ","), name),
		Output:  output.String(),
		Means:   name + " has " + strings.Join(means, ", "),
	}
}
