package dataset

import (
	"context"
	"errors"
	"fmt"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/drivers/zfs"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// observeKeys looks at the declared key files: all of them from the outside, in one process, and those that a plan may
// use also for their form, in one process per format. No process prints what is in them. A dataset whose key comes from
// elsewhere is asked, without loading anything, whether the declared file holds its key.
func (d *Driver) observeKeys(ctx context.Context, want *spec.Spec, obs *state.Observed) error {
	v := newView(drivers.Input{Want: want, Have: obs})
	files, formats := map[string]bool{}, map[string]map[string]bool{}
	for _, name := range want.DatasetNames() {
		e := want.Datasets[name].Encryption
		if e == nil || e.KeyFile == "" || want.Datasets[name].Absent || want.ReceivedOnly(name, obs.Role) != "" {
			continue
		}
		files[e.KeyFile] = true
		if v.needsKey(name) {
			if formats[e.Format] == nil {
				formats[e.Format] = map[string]bool{}
			}
			formats[e.Format][e.KeyFile] = true
		}
	}
	if len(files) == 0 {
		return nil
	}
	if err := d.statKeys(ctx, obs, sortedKeys(files)); err != nil {
		return err
	}
	for _, format := range sortedKeys(formats) {
		if err := d.countKeyLines(ctx, obs, format, sortedKeys(formats[format])); err != nil {
			return err
		}
	}
	return d.tryKeys(ctx, v)
}

// needsKey tells whether a plan may use the key file of a dataset: it is to be made, its key is to be loaded, or to be
// another one.
func (v *view) needsKey(name spec.DatasetName) bool {
	e, have := v.Want.Datasets[name].Encryption, v.have(name)
	if have == nil {
		return true
	}
	k := keyOf(v.Want.Datasets[name], have)
	return k.locked || have.EncryptionRoot != have.Name || k.format != e.Format || k.location != zfs.KeyLocation(e.KeyFile)
}

// ran runs a read whose exit status says something about what it read, and no failure: stat and grep exit 1 where one
// file is not there or holds no such line, zfs load-key where the key is another one.
func (d *Driver) ran(ctx context.Context, c host.Command) (host.Result, error) {
	res, err := d.Runner.Run(ctx, c)
	var exit *host.ExitError
	if errors.As(err, &exit) {
		return res, nil
	}
	return res, err
}

func (d *Driver) statKeys(ctx context.Context, obs *state.Observed, files []string) error {
	res, err := d.ran(ctx, zfs.StatKeys(files...))
	var keys map[string]*state.KeyFile
	if err == nil {
		keys, err = zfs.ParseStatKeys(files, res.Stdout)
	}
	if ctx.Err() != nil {
		return fmt.Errorf("look at key files: %w", err)
	}
	if err != nil {
		keys = map[string]*state.KeyFile{}
		for _, f := range files {
			keys[f] = &state.KeyFile{Error: err.Error()}
		}
	}
	obs.KeyFiles = keys
	return nil
}

func (d *Driver) countKeyLines(ctx context.Context, obs *state.Observed, format string, files []string) error {
	c, needed := zfs.CountKeyLines(format, files...)
	if !needed {
		return nil
	}
	res, err := d.ran(ctx, c)
	if ctx.Err() != nil {
		return fmt.Errorf("look at key files: %w", err)
	}
	good := zfs.ParseKeyLines(res.Stdout)
	for _, f := range files {
		if err != nil {
			obs.KeyFiles[f].Error = err.Error()
		}
		obs.KeyFiles[f].Lines = map[bool]string{true: "good", false: "bad"}[good[f]]
	}
	return nil
}

// tryKeys asks ZFS whether a declared file holds the key that a dataset has from elsewhere.
func (d *Driver) tryKeys(ctx context.Context, v *view) error {
	for _, name := range v.Want.DatasetNames() {
		want, have := v.Want.Datasets[name], v.have(name)
		if have == nil || want.Encryption == nil || want.Absent || have.EncryptionRoot != have.Name || !v.reachable(name) {
			continue
		}
		e, k := want.Encryption, keyOf(want, have)
		if e.KeyFile == "" || k.format != e.Format || k.location == zfs.KeyLocation(e.KeyFile) || v.Have.KeyFault(e) != "" {
			continue
		}
		res, err := d.ran(ctx, zfs.TryKey(have.Name, e.KeyFile))
		if ctx.Err() != nil {
			return fmt.Errorf("try key files: %w", err)
		}
		file := v.Have.KeyFiles[e.KeyFile]
		switch {
		case err != nil:
			file.Error = err.Error()
		default:
			if file.Opens == nil {
				file.Opens = map[string]bool{}
			}
			file.Opens[have.Name] = res.Code == 0
		}
	}
	return nil
}
