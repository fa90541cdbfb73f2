package spec

import "io/fs"

// compileSchema knows the sections, and leaves what is in them to the decoder: the modules that the
// evaluation of the schema needs are not in go.sum yet.
func compileSchema(fs.FS) (*shape, error) {
	any := &shape{open: true}
	s := &shape{fields: map[string]*field{}, names: words("node pools datasets schedules remotes replications ha daemon")}
	for _, name := range s.names {
		own := *any
		if name != "node" && name != "ha" && name != "daemon" {
			own.each = any
		}
		s.fields[name] = &field{shape: &own}
	}
	return s, nil
}
