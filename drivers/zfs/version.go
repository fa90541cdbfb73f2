package zfs

import (
	"bytes"
	"strings"

	"github.com/dplaneos/dplane/state"
)

// ParseVersion reads what Version prints: the userland's release, then the module's. Without a module the
// second line is missing and zfs exits 1.
func ParseVersion(out []byte) (state.ZFS, error) {
	var z state.ZFS
	for line := range bytes.Lines(out) {
		word := strings.TrimSpace(string(line))
		if kernel, ok := strings.CutPrefix(word, "zfs-kmod-"); ok {
			z.Kernel = kernel
		} else if user, ok := strings.CutPrefix(word, "zfs-"); ok {
			z.Userland = user
		}
	}
	if z.Userland == "" {
		return z, &ParseError{What: "zfs version", Text: string(out)}
	}
	return z, nil
}
