package zfsfake

import (
	"fmt"
	"strings"
	"time"
)

// now is the time on the machine: of the clock that a test set, else the real one.
func (m *Model) now() int64 {
	if m.Clock != 0 {
		return m.Clock
	}
	return time.Now().Unix()
}

// zpoolScrub begins a scrub, which ends at once unless the model is Slow, or goes on with a paused one.
func (k *call) zpoolScrub(args []string) int {
	opts, operands, ok := getopt(args, "sp")
	if !ok || len(operands) == 0 {
		return k.usage()
	}
	pools, code := k.pools(operands)
	for _, p := range pools {
		s := p.Scan
		running := s != nil && s.State == "SCANNING"
		switch {
		case opts.has('p') && running && s.Paused:
			return k.fail(1, "cannot pause scrubbing %s: scrub is paused; use 'zpool scrub' to resume scrub", p.Name)
		case (opts.has('s') || opts.has('p')) && !running:
			return k.fail(1, "cannot %s scrubbing %s: there is no active scrub", map[bool]string{true: "cancel", false: "pause"}[opts.has('s')], p.Name)
		case p.ReadOnly:
			k.hung = true // for ever: no transaction group ever ends
			return 0
		case running && s.Function == "RESILVER":
			return k.fail(1, "cannot scrub %s: currently resilvering", p.Name)
		case running && !s.Paused && !opts.has('s') && !opts.has('p'):
			return k.fail(1, "cannot scrub %s: currently scrubbing; use 'zpool scrub -s' to cancel scrub", p.Name)
		}
		if p.Checkpoint && len(opts) == 0 {
			k.fail(0, "warning: will not scrub state that belongs to the checkpoint of pool '%s'", p.Name)
		}
		if k.write(p) {
			p.scrub(opts, k.now(), k.Slow)
		}
	}
	return code
}

func (p *Pool) scrub(opts options, now int64, slow bool) {
	switch {
	case opts.has('s'):
		p.Scan.State, p.Scan.At = "CANCELED", now
		return
	case opts.has('p'):
		p.Scan.Paused = true
		return
	case p.Scan != nil && p.Scan.State == "SCANNING":
		p.Scan.Paused = false
	default:
		p.Scan = &Scan{Function: "SCRUB", State: "SCANNING", Total: p.space(p.Name), At: now}
	}
	if !slow {
		p.Scan.State, p.Scan.Done, p.Scan.At = "FINISHED", p.Scan.Total, now
	}
}

// Trimming is a device's last trim.
type Trimming struct {
	State string // UNTRIMMED, ACTIVE, SUSPENDED, COMPLETE
	At    int64
}

// zpoolTrim trims all devices of a pool that can be, files among them; -s suspends that, -c cancels it.
func (k *call) zpoolTrim(args []string) int {
	opts, operands, ok := getopt(args, "sc")
	if !ok || len(operands) != 1 {
		return k.usage()
	}
	pools, code := k.pools(operands)
	for _, p := range pools {
		able := devicesOf(p.Vdevs, func(v *Vdev) bool { return v.Class != "spare" && !k.trimless(v.Name) })
		switch {
		case p.ReadOnly:
			return k.fail(255, "operation failed: pool is read-only")
		case len(able) == 0:
			return k.fail(255, "cannot trim: no devices in pool support trim operations")
		}
		for _, v := range able {
			switch active := v.Trim != nil && v.Trim.State == "ACTIVE"; {
			case active && len(opts) == 0:
				code = k.fail(255, "cannot trim '%s': currently trimming", v.Name)
			case !active && len(opts) > 0:
				code = k.fail(255, "cannot trim '%s': there is no active trim", v.Name)
			}
		}
		if code == 0 && k.write(p) {
			k.trim(able, opts)
		}
	}
	return code
}

func (k *call) trim(devices []*Vdev, opts options) {
	for _, v := range devices {
		switch {
		case opts.has('c'):
			v.Trim = nil
		case opts.has('s'):
			v.Trim.State = "SUSPENDED"
		case k.Slow:
			v.Trim = &Trimming{"ACTIVE", k.now()}
		default:
			v.Trim = &Trimming{"COMPLETE", k.now()}
		}
	}
}

func (m *Model) trimless(path string) bool { d := m.Devices[path]; return d != nil && d.Trimless }

// devicesOf are the devices in a tree that fit.
func devicesOf(vdevs []Vdev, fit func(*Vdev) bool) []*Vdev {
	var out []*Vdev
	for i := range vdevs {
		if v := &vdevs[i]; len(v.Children) > 0 {
			out = append(out, devicesOf(v.Children, fit)...)
		} else if fit(v) {
			out = append(out, v)
		}
	}
	return out
}

// trimNote is what `zpool status -t` adds to a device.
func (k *call) trimNote(v Vdev) string {
	switch t := v.Trim; {
	case k.trimless(v.Name):
		return "(trim unsupported)"
	case t == nil || t.State == "UNTRIMMED":
		return "(untrimmed)"
	case t.State == "ACTIVE":
		return fmt.Sprintf("(0%% trimmed, started at %s)", ctime(t.At))
	case t.State == "SUSPENDED":
		return fmt.Sprintf("(0%% trimmed, suspended, started at %s)", ctime(t.At))
	}
	return fmt.Sprintf("(100%% trimmed, completed at %s)", ctime(v.Trim.At))
}

func (k *call) trimJSON(v Vdev, o *object) {
	t := v.Trim
	if t == nil {
		t = &Trimming{State: "UNTRIMMED"}
	}
	o.put("trim_state", t.State)
	if t.At != 0 && !strings.HasPrefix(t.State, "UN") {
		o.put("trim_time", t.At)
	}
	o.put("trim_notsup", flag(k.trimless(v.Name)))
}

// importable is what a search says of a pool.
func (k *call) importable(p *Pool) {
	status, action := "", "The pool can be imported using its name or numeric identifier."
	switch {
	case p.Foreign:
		status, action = "status: The pool was last accessed by another system.\n", "The pool can be imported using its name or numeric identifier and\n\tthe '-f' flag."
	case p.health() == "DEGRADED":
		status = "status: One or more devices are missing from the system.\n"
		action = "The pool can be imported despite missing or damaged devices.  The\n\tfault tolerance of the pool may be compromised if imported."
	case p.health() != "ONLINE":
		status = "status: One or more devices are missing from the system.\n"
		action = "The pool cannot be imported. Attach the missing\n\tdevices and try again."
	}
	k.printf("  pool: %s\n    id: %s\n state: %s\n%saction: %s\nconfig:\n\n", p.Name, p.GUID, p.health(), status, action)
	k.table(p, false, false, false)
}

func (p *Pool) refusesImport(opts options) *refusal {
	switch {
	case p.Foreign && !opts.has('f'):
		return refuse(1, "cannot import '%s': pool was previously in use from another system.\nLast accessed by node1 (hostid=aabbccdd) at %s\n"+
			"The pool can be imported, use 'zpool import -f' to import the pool.", p.Name, ctime(epoch))
	case p.health() == "UNAVAIL":
		return refuse(1, "cannot import '%s': no such pool or dataset\n\tDestroy and re-create the pool from\n\ta backup source.", p.Name)
	}
	return nil
}

// mountAll mounts what an import mounts.
func (p *Pool) mountAll() {
	for n, d := range p.Datasets {
		d.At = ""
		d.Mounted = !d.Volume && p.mountable(n) && d.Local["canmount"] != "noauto" && !p.locked(n)
	}
}
