package zfsfake

import "strings"

// What the kernel says of a suspended pool to whatever has to open a dataset of it, or to change it (2.3.9). What was
// on its way when the pool was suspended, and a scrub, wait for ever; zpool list, get and status answer from memory.
const suspended = "pool I/O is currently suspended"

// refusesSuspended is true where zfs names a suspended pool.
func (k *call) refusesSuspended(args []string) (code int, refuses bool) {
	for _, w := range args {
		p := k.Pools[poolOf(w)]
		if strings.HasPrefix(w, "-") || p == nil || !p.Suspended {
			continue
		}
		verb, name := "open", w
		if k.argv[1] == "create" {
			verb = "create"
		} else if i := strings.IndexAny(w, "@#"); i >= 0 {
			name = w[:i]
		}
		code = k.fail(1, "cannot %s '%s': %s", verb, name, suspended)
		if k.argv[1] == "snapshot" {
			code = k.usage()
		}
		return code, true
	}
	return 0, false
}
