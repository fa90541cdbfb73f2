package state

import (
	"fmt"

	"github.com/dplaneos/dplane/spec"
)

// KeyFile is a declared key file, seen from the outside. What is in it is never read.
type KeyFile struct {
	Kind  string `json:"kind,omitempty"` // regular file, directory, ...; "": there is none
	Owner string `json:"owner,omitempty"`
	Mode  string `json:"mode,omitempty"` // octal
	Size  uint64 `json:"size,omitempty"`
	// Lines is good where each of its lines could be a key of its format, else bad; "" where that was not asked.
	Lines string `json:"lines,omitempty"`
	// Opens tells of each dataset that was tried whether the file holds its key.
	Opens map[string]bool `json:"opens,omitempty"`
	// Error is a look that could not be taken.
	Error string `json:"error,omitempty"`
}

// Fault says why ZFS would not take the file for a key of this format, or why dplane does not, "" where both do.
func (k *KeyFile) Fault(format string) string {
	switch {
	case k == nil:
		return "was not looked at"
	case k.Error != "":
		return "could not be looked at: " + k.Error
	case k.Kind == "":
		return "is not there"
	case k.Kind != "regular file" && k.Kind != "regular empty file":
		return "is no regular file but a " + k.Kind
	case k.Owner != "0":
		return "belongs to the user " + k.Owner + ": chown root"
	case k.Mode != "600" && k.Mode != "400":
		return "has the mode " + k.Mode + ", so that others may read it: chmod 600"
	}
	return k.misfit(format)
}

// misfit is what is wrong with what is in it: ZFS reads 32 bytes, 64 hexadecimal digits, or a first line of 8 to 512
// bytes (get_key_material_raw in lib/libzfs/libzfs_crypto.c).
func (k *KeyFile) misfit(format string) string {
	switch {
	case format == "raw" && k.Size != 32:
		return fmt.Sprintf("has %d bytes, and a raw key has 32", k.Size)
	case format == "hex" && (k.Size < 64 || k.Size > 65):
		return fmt.Sprintf("has %d bytes, and a hex key has 64 digits", k.Size)
	case format == "hex" && k.Lines == "bad":
		return "holds something else than 64 hexadecimal digits"
	case format == "passphrase" && k.Size < 8:
		return fmt.Sprintf("has %d bytes, and a passphrase has at least 8", k.Size)
	case format == "passphrase" && k.Lines == "bad":
		return "has a line of less than 8 or more than 512 bytes"
	}
	return ""
}

// KeyFault says why a declared key can't be used, "" where it can as far as can be seen.
func (o *Observed) KeyFault(e *spec.Encryption) string {
	switch {
	case e == nil:
		return ""
	case e.KeyFile != "":
		if why := o.KeyFiles[e.KeyFile].Fault(e.Format); why != "" {
			return "the key file " + e.KeyFile + " " + why
		}
	case e.Format == "raw":
		return "a raw key can't be typed: name a keyFile, or another format"
	}
	return ""
}
