package zfs

import (
	"bytes"
	"strings"
	"time"

	"github.com/dplaneos/dplane/drivers/host"
)

// searchTimeout bounds a search for pools: it reads the labels of every device in the folders, and a disk that
// spins up or fails takes its time.
const searchTimeout = 3 * time.Minute

// Found is a pool that a search for importable pools lists. Status is what ails it, "" where nothing does, and Ready
// tells whether it can be imported as it is, without force.
type Found struct {
	Name, GUID, State, Status string
	Ready                     bool
}

// SearchPools looks in folders for pools that are not imported; it imports none. A folder that does not exist
// is no error.
func SearchPools(folders []string) host.Command {
	argv := []string{"zpool", "import"}
	for _, f := range folders {
		argv = append(argv, "-d", f)
	}
	c := host.Read(argv...)
	c.Timeout = searchTimeout
	return c
}

// ParseSearch reads what SearchPools prints; nothing found is no output.
func ParseSearch(out []byte) ([]Found, error) {
	var found []Found
	var action []string
	into := "" // the key that a continued line belongs to
	for line := range bytes.Lines(out) {
		text := strings.TrimRight(string(line), "\n")
		if last := len(found) - 1; last >= 0 && strings.HasPrefix(text, "\t") {
			switch more := " " + strings.TrimSpace(text); into {
			case "status":
				found[last].Status += more
			case "action":
				action[last] += more
			}
			continue
		}
		key, value, ok := strings.Cut(strings.TrimLeft(text, " "), ": ")
		if into = key; !ok {
			continue
		}
		switch last := len(found) - 1; {
		case key == "pool":
			found, action = append(found, Found{Name: value}), append(action, "")
		case last < 0:
			return nil, &ParseError{What: "zpool import", Text: text}
		case key == "id" && found[last].GUID == "":
			found[last].GUID = strings.TrimSpace(value)
		case key == "state" && found[last].State == "":
			found[last].State = value
		case key == "status" && found[last].Status == "":
			found[last].Status = value
		case key == "action" && action[last] == "":
			action[last] = value
		}
	}
	for i, f := range found {
		f.Ready = strings.Contains(action[i], "can be imported") && !strings.Contains(action[i], "-f") && !strings.Contains(f.State, "DESTROYED")
		f.Status = strings.Join(strings.Fields(f.Status), " ")
		found[i] = f
		if f.Name == "" || f.GUID == "" || strings.Trim(f.GUID, "0123456789") != "" {
			return nil, &ParseError{What: "zpool import", Text: "no name or id in " + string(out)}
		}
	}
	return found, nil
}
