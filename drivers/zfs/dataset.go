package zfs

import (
	"strconv"
	"strings"

	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// ParseDatasets reads what GetDatasets, GetUnopened or GetWhole prints: the file systems and volumes of one pool, in the order of the
// output. A value that tries to look like another dataset's record stays a value. One forgery is not told
// apart, and gains nothing: who may set user properties on a dataset can spell one as part of another.
func ParseDatasets(pool string, out []byte) ([]*state.Dataset, error) {
	p := &datasetParser{columns: map[string]*column{}, texts: interned{}, done: map[string]bool{}}
	if err := records(pool, out, p.starts, p.record); err != nil {
		return nil, err
	}
	for _, d := range p.datasets {
		if d.Type != "filesystem" && d.Type != "volume" || d.GUID == "" || d.TXG == 0 {
			return nil, &ParseError{What: "zfs get " + pool, Text: "no type, guid or createtxg for " + d.Name}
		}
	}
	return p.datasets, nil
}

// ParseQuotas reads what GetQuotas prints: by dataset, then by property. A quota that is not set is "0"
// (or "none") and yet has the source local; one of a name unknown to this machine is "-".
func ParseQuotas(pool string, out []byte) (map[string]map[string]state.Property, error) {
	all := map[string]map[string]state.Property{}
	texts := interned{}
	always := func(record, record) bool { return true } // numbers: nothing to be forged
	err := records(pool, out, always, func(r record) {
		name := texts.get(r.name)
		if all[name] == nil {
			all[name] = map[string]state.Property{}
		}
		all[name][texts.get(r.property)] = state.Property{Value: texts.get(r.value), Source: texts.get(r.source)}
	})
	return all, err
}

// column is what is known of one property while a table is read.
type column struct {
	name string
	keep bool // belongs into Dataset.Properties
	user bool
	seen int // in the dataset of this number, counted from 1
}

type datasetParser struct {
	columns  map[string]*column
	texts    interned
	done     map[string]bool
	datasets []*state.Dataset
}

func (p *datasetParser) column(name []byte) *column {
	if c, ok := p.columns[string(name)]; ok {
		return c
	}
	c := &column{name: string(name), user: spec.IsUserProperty(string(name)), keep: true}
	if info, ok := spec.LookupProperty(c.name, spec.Filesystems|spec.Volumes); ok {
		c.keep = info.Change != spec.Never
	}
	p.columns[c.name] = c
	return c
}

// starts follows the order that zfs prints in: of each dataset its type first, then the other native
// properties, then the user properties, and nothing twice.
func (p *datasetParser) starts(prev, next record) bool {
	if string(prev.name) != string(next.name) {
		return string(next.property) == "type" && !p.done[string(next.name)] && string(prev.name) != string(next.name)
	}
	c, before := p.column(next.property), p.column(prev.property)
	begun := len(p.datasets) // the previous record, still to come, may be the first of its dataset
	if string(prev.property) == "type" {
		begun++
	}
	return c != before && c.seen != begun && (c.user || !before.user)
}

func (p *datasetParser) record(r record) {
	c := p.column(r.property)
	if len(p.datasets) == 0 || p.datasets[len(p.datasets)-1].Name != string(r.name) {
		name := string(r.name)
		p.done[name] = true
		p.datasets = append(p.datasets, &state.Dataset{Name: name, Properties: make(map[string]state.Property, 64)})
	}
	c.seen = len(p.datasets)
	d := p.datasets[len(p.datasets)-1]
	switch {
	case c.keep && string(r.value) == "-" && string(r.source) == "-": // GetUnopened asks for what it does not have
	case c.keep:
		d.Properties[c.name] = state.Property{Value: p.texts.get(r.value), Source: p.texts.get(r.source)}
	default:
		p.fill(d, c.name, r.value)
	}
}

// fill keeps what ZFS reports and nobody sets.
func (p *datasetParser) fill(d *state.Dataset, property string, value []byte) {
	switch property {
	case "type":
		d.Type = p.texts.get(value)
	case "guid":
		d.GUID = string(value)
	case "createtxg":
		d.TXG = number(value)
	case "used":
		d.Used = number(value)
	case "referenced":
		d.Referenced = number(value)
	case "available":
		d.Available = number(value)
	case "written":
		d.Written = number(value)
	case "mounted":
		d.Mounted = string(value) == "yes"
	case "origin":
		d.Origin = absent(value)
	case "encryptionroot":
		d.EncryptionRoot = absent(value)
	case "keystatus":
		d.KeyStatus = absent(value)
	case "receive_resume_token":
		d.ResumeToken = absent(value)
	}
}

// number is 0 where zfs prints "-" for what it does not know.
func number(b []byte) uint64 {
	n, err := strconv.ParseUint(string(b), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// absent is "" where zfs prints "-" or none for what there is not.
func absent(b []byte) string {
	if s := strings.TrimSpace(string(b)); s != "-" && s != "none" {
		return s
	}
	return ""
}
