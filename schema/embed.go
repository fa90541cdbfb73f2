// Package schema is what may be said in the configuration files: the CUE files of this folder, one per
// kind, embedded. They are the one source of truth for the shape of the files.
//
// It must never hold code: rules that CUE says badly (cross references, ZFS's own rules) and the
// defaults are Go's, in package spec. Every field carries @dplane attributes: doc (what it is), example
// (what could stand there), default (what Go fills in; a test compares), expect (what a message says
// instead of a regular expression).
package schema

import "embed"

// FS holds the *.cue files, all of CUE package schema; #Config is the whole of a directory.
//
//go:embed *.cue
var FS embed.FS
