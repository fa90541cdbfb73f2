package zfs

import (
	"bytes"
	"regexp"
	"strconv"
	"strings"

	"github.com/dplaneos/dplane/state"
)

// statusClasses are the headings that stand between the vdevs of a pool, and the class of what follows.
var statusClasses = map[string]string{
	"special": "special", "dedup": "dedup", "logs": "log", "cache": "cache", "spares": "spare",
}

// ParsePoolStatus reads what PoolStatus prints and fills in the vdevs, health, status, background work and errors
// of p. Vdev names are whole paths; a device that is gone has its guid for a name and "was PATH" in its note, and
// a disk that ZFS partitioned itself shows the path of that partition.
func ParsePoolStatus(out []byte, p *state.Pool) error {
	fields, config := statusSections(out)
	if fields["pool"] != p.Name {
		return &ParseError{What: "zpool status " + p.Name, Text: string(out)}
	}
	vdevs, err := parseVdevs(p.Name, config)
	if err != nil {
		return err
	}
	p.Health, p.Status, p.Errors = fields["state"], strings.Join(strings.Fields(fields["status"]), " "), fields["errors"]
	p.Scanned, p.Removal, p.Expansion = parseScan(fields["scan"]), parseRemoval(fields["remove"]), parseExpansion(fields["expand"])
	p.Checkpoint, p.DataErrors = parseCheckpoint(fields["checkpoint"]), parseDataErrors(fields["errors"])
	var t trims
	t.text(vdevs)
	t.into(p)
	p.Vdevs = vdevs
	return nil
}

// statusSections splits the text into its "key: value" fields, continued lines joined by a space, and the
// lines of the table under "config:".
func statusSections(out []byte) (fields map[string]string, config []string) {
	fields = map[string]string{}
	key := ""
	for line := range bytes.Lines(out) {
		text := strings.TrimRight(string(line), "\n")
		name, value, found := strings.Cut(text, ":")
		switch {
		case found && !strings.HasPrefix(text, "\t") && isFieldName(strings.TrimSpace(name)):
			key = strings.TrimSpace(name)
			fields[key] = strings.TrimPrefix(value, " ")
		case key == "config" && strings.HasPrefix(text, "\t"):
			config = append(config, text[1:])
		case strings.HasPrefix(text, "\t"):
			fields[key] = strings.TrimSpace(fields[key] + " " + strings.TrimSpace(text))
		}
	}
	return fields, config
}

func isFieldName(s string) bool {
	return s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz") == ""
}

// row is one line of the table.
type row struct {
	depth int
	vdev  state.Vdev
}

// parseVdevs reads the table under "config:". Names may hold spaces, so the columns are found by where the
// heading has them.
func parseVdevs(pool string, lines []string) ([]state.Vdev, error) {
	unexpected := func(text string) error { return &ParseError{What: "zpool status " + pool, Text: text} }
	if len(lines) < 2 {
		return nil, unexpected(strings.Join(lines, "\n"))
	}
	at := strings.Index(lines[0], "STATE")
	if !strings.HasPrefix(lines[0], "NAME") || at < 0 {
		return nil, unexpected(lines[0])
	}
	var rows []row
	class := ""
	for i, line := range lines[1:] {
		if c, ok := statusClasses[strings.TrimSpace(line)]; ok && i > 0 {
			class = c
			continue
		}
		r, ok := parseRow(line, at)
		if !ok || (r.depth == 0) != (i == 0) {
			return nil, unexpected(line)
		}
		if r.depth == 1 {
			r.vdev.Class = class
		}
		if i > 0 {
			rows = append(rows, r)
		}
	}
	vdevs, rest := tree(rows, 1)
	if len(rest) > 0 {
		return nil, unexpected(rest[0].vdev.Name)
	}
	return vdevs, nil
}

// stateNotes are what follows the path of a device that is gone: (untrimmed), (resilvering).
var stateNotes = regexp.MustCompile(`( \([^()]*\))+$`)

func parseRow(line string, at int) (row, bool) {
	if len(line) <= at || line[at-1] != ' ' {
		return row{}, false
	}
	name := strings.TrimLeft(line[:at], " ")
	indent := at - len(name)
	r := row{depth: indent / 2, vdev: state.Vdev{Name: strings.TrimRight(name, " ")}}
	words := strings.Fields(line[at:])
	if len(words) == 0 || strings.Trim(words[0], "ABCDEFGHIJKLMNOPQRSTUVWXYZ_") != "" || indent%2 != 0 || r.vdev.Name == "" {
		return row{}, false
	}
	r.vdev.State = words[0]
	words = words[1:]
	for _, into := range []*uint64{&r.vdev.Read, &r.vdev.Write, &r.vdev.Checksum} {
		if len(words) == 0 {
			break
		}
		n, err := strconv.ParseUint(words[0], 10, 64)
		if err != nil {
			break // a spare has no counters, and its note begins here
		}
		*into, words = n, words[1:]
	}
	r.vdev.Note = strings.Join(words, " ")
	if was, gone := strings.CutPrefix(r.vdev.Note, "was "); gone {
		r.vdev.GUID, r.vdev.Path = r.vdev.Name, stateNotes.ReplaceAllString(was, "")
	} else if strings.HasPrefix(r.vdev.Name, "/") {
		r.vdev.Path = r.vdev.Name
	}
	return r, true
}

// tree takes the rows at this depth, with what is below each, and gives back the rest.
func tree(rows []row, depth int) ([]state.Vdev, []row) {
	var out []state.Vdev
	for len(rows) > 0 && rows[0].depth == depth {
		v := rows[0].vdev
		v.Children, rows = tree(rows[1:], depth+1)
		out = append(out, v)
	}
	return out, rows
}
