package state

import (
	"strings"
	"time"

	"github.com/dplaneos/dplane/spec"
)

// The user properties in which act one of a destroy remembers what it changes, on each dataset of the tree.
const (
	TrashName     = "dplane:trash.name" // these three on the topmost alone
	TrashGUID     = "dplane:trash.guid"
	TrashTime     = "dplane:trash.time"
	TrashCanmount = "dplane:trash.canmount" // value and source: "on default"
	TrashReadonly = "dplane:trash.readonly"
	TrashMounted  = "dplane:trash.mounted" // yes or no
)

// TrashProperties are all of them, in the order in which they go when all else is undone: while a name and a
// guid are there, so is the rest that is still to be undone.
var TrashProperties = []string{TrashMounted, TrashCanmount, TrashReadonly, TrashTime, TrashName, TrashGUID}

// Trashed is what act one of a destroy remembers of the topmost dataset.
type Trashed struct {
	Name spec.DatasetName // that it had
	At   time.Time
}

// Trashed reads the marks of act one. Only local ones count, with the guid of the dataset itself: those of a
// parent, or that came with a stream, are another's. The name is in the pool that the dataset is in, which may have been
// imported under another name since: nothing else takes a dataset with its guid into another pool.
func (d *Dataset) Trashed() (Trashed, bool) {
	name, guid, at := d.Properties[TrashName], d.Properties[TrashGUID], d.Properties[TrashTime]
	if !name.Local() || !guid.Local() || guid.Value != d.GUID {
		return Trashed{}, false
	}
	parsed, err := spec.ParseDatasetName(name.Value)
	if err != nil || parsed.IsRoot() || parsed.InTrash() {
		return Trashed{}, false
	}
	pool := spec.DatasetName(d.Name).Pool()
	t := Trashed{Name: spec.DatasetName(pool) + parsed[len(parsed.Pool()):]}
	if when, err := time.Parse(time.RFC3339, at.Value); err == nil && at.Local() {
		t.At = when
	}
	return t, true
}

// Kept is the value and source that act one remembers of canmount or readonly; ok is false where it remembers
// none.
func (d *Dataset) Kept(mark string) (p Property, ok bool) {
	m := d.Properties[mark]
	value, source, ok := strings.Cut(m.Value, " ")
	if !ok || !m.Local() || value != "on" && value != "off" && value != "noauto" {
		return Property{}, false
	}
	return Property{Value: value, Source: source}, true
}

// InTrash tells whether the dataset is what act one put into the trash: marked, and under the name it gives.
func (d *Dataset) InTrash() bool {
	_, marked := d.Trashed()
	name := spec.DatasetName(d.Name)
	return marked && name.Base() == d.GUID && name.Parent().IsTrash()
}

// Busy is what keeps a dataset that is declared absent from being taken away.
type Busy struct {
	Dataset string `json:"dataset"`
	By      string `json:"by"` // "sleep (340) has /srv/x/f open"
}
