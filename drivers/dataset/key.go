package dataset

import (
	"fmt"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/drivers/zfs"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// keys gives the action that makes the key of an encrypted dataset as declared, or loads it. One thing at a time: a key
// that is to be another one has to be loaded first.
func (v *view) keys(name spec.DatasetName) []drivers.Action {
	want, have := v.Want.Datasets[name], v.have(name)
	e := want.Encryption
	if have.EncryptionRoot == "" {
		return nil // encryption of a plain dataset is refused with its properties
	}
	if e == nil {
		v.strangersKey(have)
		return nil
	}
	k := keyOf(want, have)
	switch {
	case have.EncryptionRoot != have.Name, k.format != e.Format:
		return []drivers.Action{v.newKey(k)}
	case k.location != zfs.KeyLocation(e.KeyFile):
		return v.elsewhere(k)
	case k.locked:
		return []drivers.Action{v.load(k)}
	}
	if why := v.Have.KeyFault(e); why != "" {
		v.notices = append(v.notices, fmt.Sprintf("%s: the key of %s is loaded, and could not be loaded again: %s", e.Pos.At(), name, why))
	}
	return nil
}

// strangersKey tells of a key that dplane does not load, since the files say nothing of it.
func (v *view) strangersKey(have *state.Dataset) {
	if have.KeyStatus == "unavailable" && !v.toldLocked[have.EncryptionRoot] && !v.declaresKey(have.EncryptionRoot) {
		v.toldLocked[have.EncryptionRoot] = true
		v.notices = append(v.notices, fmt.Sprintf("the key of %s is not loaded, and the files say nothing of it: zfs load-key %s", have.EncryptionRoot, have.EncryptionRoot))
	}
}

func (v *view) declaresKey(root string) bool {
	d := v.Want.Datasets[spec.DatasetName(root)]
	return d != nil && d.Encryption != nil
}

// keyState is what is declared and what is there of the key of one dataset.
type keyState struct {
	want             *spec.Dataset
	have             *state.Dataset
	format, location string
	locked           bool
}

func keyOf(want *spec.Dataset, have *state.Dataset) keyState {
	return keyState{want, have, have.Properties["keyformat"].Value, have.Properties["keylocation"].Value, have.KeyStatus == "unavailable"}
}

// action is one of a key, with what all of them have in common.
func (k keyState) action(verb drivers.Verb, risk spec.Risk, fields ...drivers.Field) drivers.Action {
	root := k.have.EncryptionRoot
	a := drivers.Action{
		Object: ref(k.want.Name), GUID: k.have.GUID, Verb: verb, Risk: risk, Fields: fields,
		Reason: drivers.Reason{Code: drivers.Drift, At: k.want.Encryption.Pos.At(), Observed: k.observed()},
		Guard: []host.Expect{zfs.ExpectProps(k.have.Name, map[string]state.Property{
			"guid": {Value: k.have.GUID, Source: "-"}, "encryptionroot": {Value: root, Source: "-"},
			"keystatus": {Value: k.have.KeyStatus, Source: "-"}, "keylocation": k.have.Properties["keylocation"],
		})},
	}
	return a
}

func (k keyState) observed() string {
	if k.have.EncryptionRoot != k.have.Name {
		return fmt.Sprintf("%s has the key of %s", k.have.Name, k.have.EncryptionRoot)
	}
	return fmt.Sprintf("its key is %s, from %s, and is %s", k.format, k.location, map[bool]string{true: "not loaded", false: "loaded"}[k.locked])
}

// fields are what differs.
func (k keyState) fields() []drivers.Field {
	e := k.want.Encryption
	var out []drivers.Field
	if k.have.EncryptionRoot != k.have.Name {
		out = append(out, drivers.Field{Name: "encryptionroot", From: k.have.EncryptionRoot, To: k.have.Name})
	}
	if k.format != e.Format {
		out = append(out, drivers.Field{Name: "keyformat", From: k.format, To: e.Format})
	}
	if to := zfs.KeyLocation(e.KeyFile); k.location != to {
		out = append(out, drivers.Field{Name: "keylocation", From: k.location, To: to})
	}
	return out
}

func (k keyState) blocked(note string) drivers.Action {
	a := block(k.want, k.have.GUID, drivers.Drift, k.want.Encryption.Pos.At(), k.observed(), note)
	a.Fields = k.fields()
	return a
}

// newKey makes another key the one that unlocks the dataset: what was encrypted stays as it is.
func (v *view) newKey(k keyState) drivers.Action {
	e := k.want.Encryption
	if k.locked {
		return k.blocked(fmt.Sprintf("the key can be changed only while it is loaded: zfs load-key %s, and apply again", k.have.EncryptionRoot))
	}
	if why := v.Have.KeyFault(e); why != "" {
		return k.blocked(why + "; the key that it has stays in force")
	}
	a := k.action(drivers.Update, spec.Irreversible, k.fields()...)
	a.Undo = "nothing brings the old key back into force but another change of key: keep what held it until this one is known to work, and for the snapshots that were sent with it"
	a.Notes = []string{"what is written stays encrypted with the same master key: a change of key does not help where the old one was stolen together with the disks"}
	c := zfs.NewKey(k.have.Name, e, k.want.Properties["pbkdf2iters"].Value)
	delete(v.changes[k.have.Name], "pbkdf2iters") // comes with the key
	c.Prompt = zfs.NewSecret(e, k.have.Name)
	a.Steps = []host.Command{c}
	a.Guard = append(a.Guard, zfs.ExpectKeyFile(e, v.Have)...)
	return a
}

// elsewhere is for a key that comes from another place than declared: the same key, or another one.
func (v *view) elsewhere(k keyState) []drivers.Action {
	e, name := k.want.Encryption, k.have.Name
	if why := v.Have.KeyFault(e); why != "" {
		return []drivers.Action{k.blocked(why + "; the key is still loaded from " + k.location)}
	}
	fits, tried := e.KeyFile == "", true
	if !fits {
		fits, tried = v.Have.KeyFiles[e.KeyFile].Opens[name]
	}
	if !tried { // under that name: another change of it comes first
		return []drivers.Action{k.blocked("whether " + e.KeyFile + " holds its key could not be asked yet: apply again")}
	}
	if !fits {
		if k.locked {
			return []drivers.Action{k.blocked(fmt.Sprintf("%s holds another key than %s has, and the key can be changed only while it is loaded: zfs load-key -L file:///OLD/KEY %s, and apply again", e.KeyFile, name, name))}
		}
		return []drivers.Action{v.newKey(k)}
	}
	a := k.action(drivers.Update, spec.Safe, k.fields()...)
	a.Steps = []host.Command{zfs.Set(name, map[string]string{"keylocation": zfs.KeyLocation(e.KeyFile)})}
	a.Undo = zfs.Set(name, map[string]string{"keylocation": k.location}).String()
	a.Notes = []string{"the key stays the same"}
	if e.KeyFile != "" {
		try := zfs.TryKey(name, e.KeyFile)
		a.Guard = append(a.Guard, host.Expect{Command: try, Output: zfs.KeyVerified, Means: e.KeyFile + " holds the key of " + name})
	} else {
		a.Notes = append(a.Notes, "from then on it is asked for, and never loaded unasked")
	}
	if !k.locked {
		return []drivers.Action{a}
	}
	a.Identify()
	load := v.load(k)
	load.After = append(load.After, a.ID)
	return []drivers.Action{a, load}
}

// load loads a key: from its file, or by asking.
func (v *view) load(k keyState) drivers.Action {
	e, name := k.want.Encryption, k.have.Name
	if why := v.Have.KeyFault(e); why != "" {
		return k.blocked(why + ": the key can't be loaded")
	}
	a := k.action(drivers.Run, spec.Safe, drivers.Field{Name: "keystatus", From: "unavailable", To: "available"})
	c := zfs.LoadKey(name)
	c.Prompt = zfs.Secret(e, name)
	a.Steps = []host.Command{c}
	a.Undo = "zfs unload-key " + host.Read(name).String() + ", once nothing of it is mounted"
	a.Guard[0] = zfs.ExpectProps(name, map[string]state.Property{
		"guid": {Value: k.have.GUID, Source: "-"}, "encryptionroot": {Value: name, Source: "-"}, "keystatus": {Value: "unavailable", Source: "-"},
	})
	a.Guard = append(a.Guard, zfs.ExpectKeyFile(e, v.Have)...)
	a.Identify()
	v.loads[name] = a.ID
	return a
}
