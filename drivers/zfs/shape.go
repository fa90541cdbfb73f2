package zfs

import (
	"strings"

	"github.com/dplaneos/dplane/drivers/host"
)

// shapeColumns are what decides which features a stream needs; none of them is free text.
const shapeColumns = "recordsize,volblocksize,compression,dnodesize,encryption"

// GetShape asks for what decides which features a stream of a dataset, or with below of what is below it too, needs.
func GetShape(dataset string, below bool) host.Command {
	argv := []string{"zfs", "get", "-Hp"}
	if below {
		argv = append(argv, "-r")
	}
	c := host.Read(append(argv, "-t", "filesystem,volume", "-o", "name,property,value", shapeColumns, dataset)...)
	c.Timeout = datasetsTimeout
	return c
}

// ParseShape reads what GetShape prints: by property all values, with the first dataset that has each.
func ParseShape(out []byte) (map[string]map[string]string, error) {
	shape := map[string]map[string]string{}
	for line := range strings.Lines(string(out)) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(f) != 3 {
			return nil, &ParseError{What: "zfs get " + shapeColumns, Text: line}
		}
		if shape[f[1]] == nil {
			shape[f[1]] = map[string]string{}
		}
		if _, known := shape[f[1]][f[2]]; !known {
			shape[f[1]][f[2]] = f[0]
		}
	}
	return shape, nil
}

// GetEncryption asks how a dataset is encrypted: "off" is not at all.
func GetEncryption(dataset string) host.Command {
	return host.Read("zfs", "get", "-H", "-o", "value", "encryption", dataset)
}

// GetAvailable asks for the bytes that can be written into a dataset; ParseNumber reads the answer.
func GetAvailable(dataset string) host.Command {
	return host.Read("zfs", "get", "-Hp", "-o", "value", "available", dataset)
}

// Clock asks for the time of a machine, in seconds since 1970; ParseNumber reads the answer.
func Clock() host.Command { return host.Read("date", "+%s") }

// ParseNumber reads a number that stands alone.
func ParseNumber(out []byte) (n uint64, ok bool) {
	all := numbers(strings.TrimSpace(string(out)))
	if all == nil || strings.HasPrefix(string(out), "-") {
		return 0, false
	}
	return all[0], true
}
