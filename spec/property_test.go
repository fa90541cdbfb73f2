package spec

import (
	"strings"
	"testing"
)

func TestCheckProperty(t *testing.T) {
	for _, c := range []struct {
		on         DatasetType
		name, text string
		want       string // canonical; "!" and a part of the message where it is refused
	}{
		{Filesystems, "compression", "zstd-3", "zstd-3"},
		{Filesystems, "compression", "gzip-6", "gzip"},
		{Filesystems, "compression", "gzip-9", "gzip-9"},
		{Filesystems, "compression", "gzip-10", "!no value"},
		{Filesystems, "compression", "true", "on"},
		{Filesystems, "atime", "on", "on"},
		{Filesystems, "atime", "false", "off"},
		{Filesystems, "atime", "yes", "!no value"},
		{Filesystems, "acltype", "posixacl", "posix"},
		{Filesystems, "acltype", "disabled", "off"},
		{Filesystems, "dnodesize", "512", "legacy"},
		{Filesystems, "dnodesize", "2k", "2k"},
		{Filesystems, "quota", "2T", "2199023255552"},
		{Filesystems, "quota", "none", "0"},
		{Filesystems, "quota", "-1", "!not a size"},
		{Filesystems, "quota", "", "!not a size"},
		{Filesystems, "recordsize", "128k", "131072"},
		{Filesystems, "recordsize", "131072", "131072"},
		{Filesystems, "recordsize", "100K", "!no value"},
		{Filesystems, "recordsize", "256", "!no value"},
		{Filesystems, "recordsize", "32M", "!no value"},
		{Volumes, "refreservation", "auto", "auto"},
		{datasets, "refreservation", "auto", "auto"},
		{Filesystems, "refreservation", "auto", "!only for volumes"},
		{Filesystems, "copies", "2", "2"},
		{Filesystems, "copies", "4", "!no value"},
		{Filesystems, "mountpoint", "/srv/home/", "/srv/home"},
		{Filesystems, "mountpoint", "legacy", "legacy"},
		{Filesystems, "mountpoint", "srv", "!no value"},
		{Filesystems, "mountpoint", "", "!no value"},
		{Filesystems, "filesystem_limit", "none", "none"},
		{Filesystems, "filesystem_limit", "12", "12"},
		{Filesystems, "filesystem_limit", "18446744073709551615", "none"},
		{Filesystems, "casesensitivity", "mixed", "mixed"},
		{Filesystems, "userquota@anna", "50G", "53687091200"},
		{Filesystems, "userquota@", "50G", "!names nobody"},
		{Filesystems, "userquota@a,b", "50G", "!names nobody"},
		{Filesystems, "userquota@a\nb", "50G", "!names nobody"},
		{Filesystems, "groupquota@domain users", "50G", "53687091200"},
		{Filesystems, "projectquota@7", "50G", "53687091200"},
		{Filesystems, "projectquota@seven", "50G", "!names nobody"},
		{PoolProps, "comment", strings.Repeat("x", 32), strings.Repeat("x", 32)},
		{PoolProps, "comment", strings.Repeat("x", 33), "!no value"},
		{PoolProps, "comment", "größe", "!no value"},
		{Filesystems, "userobjquota@anna", "100", "100"},
		{Volumes, "userquota@anna", "50G", "!filesystem"},
		{Volumes, "quota", "1G", "!filesystem"},
		{Volumes, "atime", "on", "!filesystem"},
		{Volumes, "volmode", "geom", "full"},
		{Volumes, "volsize", "1G", "!not set under"},
		{Volumes, "compression", "lz4", "lz4"},
		{Filesystems, "used", "1", "!read-only"},
		{Filesystems, "guid", "1", "!read-only"},
		{Filesystems, "encryption", "on", "!not set under"},
		{Filesystems, "keyformat", "raw", "!not set under"},
		{Filesystems, "ashift", "12", "!property of a pool"},
		{Filesystems, "Compression", "on", "!called"},
		{Filesystems, "com.example:owner", "it", "it"},
		{Filesystems, "com.example:owner", "", ""},
		{Filesystems, "com.example:owner", "two words, ünïcode", "two words, ünïcode"},
		{Filesystems, ":", "x", "x"},
		{Filesystems, "com.example:Owner", "it", "!not allowed"},
		{Filesystems, "com.example:a+b", "it", "!not allowed"},
		{Filesystems, "com.example:a b", "it", "!not allowed"},
		{Filesystems, "dplane:applied", "x", "!dplane's own"},
		{Filesystems, "a:" + strings.Repeat("b", 253), "x", "x"},
		{Filesystems, "a:" + strings.Repeat("b", 254), "x", "!at most 255"},
		{Filesystems, "a:b", strings.Repeat("x", 8191), strings.Repeat("x", 8191)},
		{Filesystems, "a:b", strings.Repeat("x", 8192), "!at most 8191"},
		{Filesystems, "a:b", "x\x00", "!NUL"},
		{PoolProps, "ashift", "12", "12"},
		{PoolProps, "ashift", "012", "12"},
		{PoolProps, "ashift", "8", "!no value"},
		{PoolProps, "ashift", "17", "!no value"},
		{PoolProps, "autotrim", "true", "on"},
		{PoolProps, "failmode", "panic", "panic"},
		{PoolProps, "compression", "on", "!of a dataset"},
		{PoolProps, "compatibility", "off", "!not set under"},
		{PoolProps, "feature@lz4_compress", "enabled", "!feature"},
		{PoolProps, "feature@com.delphix:async_destroy", "enabled", "!feature"},
		{PoolProps, "capacity", "1", "!read-only"},
		{PoolProps, "org.example:rack", "7", "7"},
	} {
		got, expected, err := CheckProperty(c.name, c.text, c.on)
		if part, refused := strings.CutPrefix(c.want, "!"); refused {
			if err == nil || !strings.Contains(err.Error(), part) || expected == "" {
				t.Errorf("%s=%.20q: %q, %v, expected %q", c.name, c.text, got, err, expected)
			}
		} else if err != nil || got != c.want {
			t.Errorf("%s=%.20q: %q %v, want %q", c.name, c.text, got, err, c.want)
		}
	}
}

// TestPropertyTables: every property that can be declared shows an example that is valid, and a
// canonical value is its own canonical value.
func TestPropertyTables(t *testing.T) {
	for _, on := range []DatasetType{Filesystems, Volumes, PoolProps} {
		names := PropertyNames(on)
		if len(names) < 10 {
			t.Errorf("%s: only %d properties", on, len(names))
		}
		for _, name := range names {
			info, ok := LookupProperty(name, on)
			if !ok || info.Example == "" {
				t.Errorf("%s %s has no example", on, name)
			}
			for _, text := range append([]string{info.Example}, info.Values...) {
				if name == "refreservation" && text == "auto" && on == Filesystems {
					continue
				}
				c, _, err := CheckProperty(name, text, on)
				if err != nil {
					t.Errorf("%s: %v", name, err)
				}
				if again, _, err := CheckProperty(name, c, on); err != nil || again != c {
					t.Errorf("%s: %s -> %s -> %s %v", name, text, c, again, err)
				}
			}
			for alias, word := range info.Alias {
				if c, _, err := CheckProperty(name, alias, on); err != nil || c != word {
					t.Errorf("%s: %s is %s, want %s: %v", name, alias, c, word, err)
				}
			}
		}
	}
}

func TestSameValue(t *testing.T) {
	for _, c := range []struct {
		name, declared, observed string
		want                     bool
	}{
		{"compression", "gzip", "gzip-6", true},
		{"compression", "gzip", "gzip-7", false},
		{"quota", "0", "none", true},
		{"quota", "1024", "1K", true},
		{"filesystem_limit", "none", "18446744073709551615", true},
		{"acltype", "posix", "posixacl", true},
		{"xattr", "on", "sa", true},
		{"xattr", "on", "off", false},
		{"com.example:a", "x", "x", true},
		{"com.example:a", "x", "X", false},
	} {
		if got := SameValue(c.name, c.declared, c.observed, Filesystems); got != c.want {
			t.Errorf("%s: %s and %s: %v", c.name, c.declared, c.observed, got)
		}
	}
}

func TestPropertyKinds(t *testing.T) {
	for name, want := range map[string]bool{"com.example:owner": true, ":": true, "userquota@a:b": false, "quota": false, "a": false} {
		if IsUserProperty(name) != want {
			t.Errorf("IsUserProperty(%s) = %v", name, !want)
		}
	}
	for name, want := range map[string]bool{"compression": true, "quota": false, "userquota@a": false, "com.example:a": true, "canmount": false, "nothing": false} {
		if Inheritable(name) != want {
			t.Errorf("Inheritable(%s) = %v", name, !want)
		}
	}
}
