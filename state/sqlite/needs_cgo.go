//go:build !cgo

package sqlite

// Without cgo the SQLite driver compiles to a stub that fails at the first query. Better not to build.
var _ = dplane_needs_cgo_to_build_SQLite__set_CGO_ENABLED_to_1_and_install_a_C_compiler
