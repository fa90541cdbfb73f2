package spec

import (
	"fmt"
	"math/bits"
	"path"
	"strconv"
	"strings"
)

// noLimit is how releases before 2.2 print "none" of a Count.
const noLimit = "18446744073709551615"

// Canonical gives the value as `zfs get -p` prints it, or says why it is none.
func (p PropertyInfo) Canonical(text string) (string, error) {
	switch p.Shape {
	case OnOff:
		switch text {
		case "true", "on":
			return "on", nil
		case "false", "off":
			return "off", nil
		}
		return "", p.bad(text)
	case Word:
		return p.word(text)
	case Bytes:
		return p.bytes(text)
	case Count:
		if c, ok := p.Alias[text]; ok {
			return c, nil
		}
		if text == "none" || text == noLimit {
			return "none", nil
		}
		return p.number(text)
	case Number:
		return p.number(text)
	case Path:
		return p.path(text)
	}
	if p.Max != 0 && (uint64(len(text)) > p.Max || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' })) {
		return "", p.bad(text)
	}
	if strings.ContainsRune(text, 0) {
		return "", fmt.Errorf("the value of %s holds a NUL", p.Name)
	}
	if c, ok := p.Alias[text]; ok {
		return c, nil
	}
	return text, nil
}

func (p PropertyInfo) word(text string) (string, error) {
	if text == "true" || text == "false" { // YAML's words, where the property has on and off
		text = map[string]string{"true": "on", "false": "off"}[text]
	}
	if c, ok := p.Alias[text]; ok {
		return c, nil
	}
	for _, v := range p.Values {
		if v == text {
			return v, nil
		}
	}
	return "", p.bad(text)
}

func (p PropertyInfo) bytes(text string) (string, error) {
	for _, v := range p.Values {
		if v == text {
			return v, nil
		}
	}
	if text == "none" {
		text = "0"
	}
	n, err := ParseSize(text)
	if err != nil {
		return "", fmt.Errorf("%s: %w", p.Name, err)
	}
	v := uint64(n)
	if p.Power2 && v != 0 && bits.OnesCount64(v) != 1 {
		return "", p.bad(text)
	}
	if v < p.Min || p.Max != 0 && v > p.Max {
		return "", p.bad(text)
	}
	return strconv.FormatUint(v, 10), nil
}

func (p PropertyInfo) number(text string) (string, error) {
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil || n < p.Min || p.Max != 0 && n > p.Max {
		return "", p.bad(text)
	}
	return strconv.FormatUint(n, 10), nil
}

func (p PropertyInfo) path(text string) (string, error) {
	for _, v := range p.Values {
		if v == text {
			return v, nil
		}
	}
	if !path.IsAbs(text) || strings.ContainsAny(text, "\x00\n") {
		return "", p.bad(text)
	}
	return path.Clean(text), nil
}

func (p PropertyInfo) bad(text string) error {
	return fmt.Errorf("%s is no value of %s", quote(text), p.Name)
}

// Expected says in a few words what values there are.
func (p PropertyInfo) Expected() string {
	switch p.Shape {
	case OnOff:
		return "on or off"
	case Word:
		return "one of " + strings.Join(p.shown(), ", ")
	case Bytes:
		return p.expectedBytes()
	case Count:
		return "a whole number, or none"
	case Number:
		if p.Max != 0 {
			return fmt.Sprintf("a whole number from %d to %d", p.Min, p.Max)
		}
		return fmt.Sprintf("a whole number, %d or more", p.Min)
	case Path:
		return strings.Join(append([]string{"an absolute path"}, p.Values...), ", ")
	}
	if p.Max != 0 {
		return fmt.Sprintf("at most %d printable ASCII characters", p.Max)
	}
	return "text"
}

// shown leaves out the long tails of the compression levels.
func (p PropertyInfo) shown() []string {
	if p.Name == "compression" {
		return []string{"on", "off", "lz4", "lzjb", "zle", "gzip", "gzip-1 to gzip-9", "zstd", "zstd-1 to zstd-19", "zstd-fast", "zstd-fast-1 to zstd-fast-1000"}
	}
	return p.Values
}

func (p PropertyInfo) expectedBytes() string {
	s := "a size such as 100G"
	if p.Power2 {
		s = "a power of two such as 128K"
	}
	if p.Max != 0 {
		s += fmt.Sprintf(", from %s to %s", Size(p.Min), Size(p.Max))
	}
	if len(p.Values) > 0 {
		return s + ", or " + strings.Join(p.Values, ", ")
	}
	if p.Min == 0 {
		s += ", or none"
	}
	return s
}
