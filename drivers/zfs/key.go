package zfs

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// KeyLocation is the property keylocation for a key file, or for none: the key is then asked for.
func KeyLocation(file string) string {
	if file == "" {
		return "prompt"
	}
	return "file://" + file
}

// EncryptionOptions are what a create command takes for a dataset with a key of its own.
func EncryptionOptions(e *spec.Encryption) map[string]string {
	return map[string]string{"encryption": "on", "keyformat": e.Format, "keylocation": KeyLocation(e.KeyFile)}
}

// NewKey gives a dataset another key, and makes it an encryption root where it was none. iterations are those of a
// passphrase, "" for ZFS's default.
func NewKey(name string, e *spec.Encryption, iterations string) host.Command {
	props := map[string]string{"keyformat": e.Format, "keylocation": KeyLocation(e.KeyFile)}
	if iterations != "" {
		props["pbkdf2iters"] = iterations
	}
	argv := append([]string{"zfs", "change-key"}, options("-o", props)...)
	return host.Write(append(argv, name)...)
}

// LoadKey loads the key of an encryption root from its keylocation. There is no -a and no -r.
func LoadKey(name string) host.Command { return host.Write("zfs", "load-key", name) }

// UnloadKey forgets the key of an encryption root again.
func UnloadKey(name string) host.Command { return host.Write("zfs", "unload-key", name) }

// TryKey asks whether a file holds the key of an encryption root, loaded or not: status 0 says so. Nothing is
// loaded.
func TryKey(name, file string) host.Command {
	return host.Read("zfs", "load-key", "-n", "-L", KeyLocation(file), name)
}

// KeyVerified is what a TryKey prints that fits.
const KeyVerified = "1 / 1 key(s) successfully verified\n"

// statFormat gives one line per file: its kind, owner, mode, size in bytes and name.
const statFormat = "%F|%u|%a|%s|%n"

// StatKeys looks at key files from the outside, through links. A file that is not there makes stat exit 1, and the others are
// printed all the same.
func StatKeys(files ...string) host.Command {
	return host.Read(append([]string{"stat", "-L", "-c", statFormat, "--"}, files...)...)
}

// ParseStatKeys reads what StatKeys prints; files that are not in it are not there.
func ParseStatKeys(files []string, out []byte) (map[string]*state.KeyFile, error) {
	keys := map[string]*state.KeyFile{}
	for _, f := range files {
		keys[f] = &state.KeyFile{}
	}
	for line := range bytes.Lines(out) {
		text := strings.TrimSuffix(string(line), "\n")
		f := strings.SplitN(text, "|", 5)
		if len(f) != 5 || keys[f[4]] == nil {
			return nil, &ParseError{What: "stat of key files", Text: text}
		}
		size, err := strconv.ParseUint(f[3], 10, 64)
		if err != nil {
			return nil, &ParseError{What: "stat of key files", Text: text}
		}
		*keys[f[4]] = state.KeyFile{Kind: f[0], Owner: f[1], Mode: f[2], Size: size}
	}
	return keys, nil
}

// keyLines are the lines that ZFS takes for a key of a format, as grep knows them; "" where only the size counts.
var keyLines = map[string]string{"hex": "[0-9A-Fa-f]{64}", "passphrase": ".{8,512}"}

// CountKeyLines counts the lines of each file that can't be a key: grep prints numbers and never a line. It
// exits 1 where there are none.
func CountKeyLines(format string, files ...string) (c host.Command, needed bool) {
	pattern, ok := keyLines[format]
	return host.Read(append([]string{"grep", "-E", "-x", "-a", "-v", "-c", "-H", "-e", pattern, "--"}, files...)...), ok
}

// ParseKeyLines gives the files in which there is no such line.
func ParseKeyLines(out []byte) map[string]bool {
	good := map[string]bool{}
	for line := range bytes.Lines(out) {
		text := strings.TrimSuffix(string(line), "\n")
		if at := strings.LastIndexByte(text, ':'); at > 0 && text[at+1:] == "0" {
			good[text[:at]] = true
		}
	}
	return good
}

// ExpectKeyFile holds while the key file is as it was seen from the outside; there is nothing to expect of a key that is
// typed.
func ExpectKeyFile(e *spec.Encryption, obs *state.Observed) []host.Expect {
	k := obs.KeyFiles[e.KeyFile]
	if k == nil {
		return nil
	}
	return []host.Expect{{
		Command: StatKeys(e.KeyFile),
		Output:  fmt.Sprintf("%s|%s|%s|%d|%s\n", k.Kind, k.Owner, k.Mode, k.Size, e.KeyFile),
		Means:   "the key file " + e.KeyFile + " is root's alone, of the same size",
	}}
}

// NewSecret is what a person is asked for where a key is typed, "" where it is in a file. What begins with "new " is to
// be asked for twice.
func NewSecret(e *spec.Encryption, name string) string {
	if secret := Secret(e, name); secret != "" {
		return "new " + secret
	}
	return ""
}

// Secret is what a person is asked for to load a key, "" where it is in a file.
func Secret(e *spec.Encryption, name string) string {
	switch {
	case e.KeyFile != "":
		return ""
	case e.Format == "hex":
		return "key of " + name + ", 64 hexadecimal digits"
	}
	return "passphrase of " + name
}
