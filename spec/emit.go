package spec

import (
	"bytes"
	"fmt"
	"regexp"
	"strconv"
)

// block is a YAML map in the order in which it is written.
type block []pair

type pair struct {
	key string
	val any // string, anyText, int, bool, percent, Size, Duration, Risk, []string, block, []any
}

type (
	percent int
	anyText string // read back as text whatever YAML takes it for: property values
)

func (b *block) add(key string, val any) { *b = append(*b, pair{key, val}) }

// opt adds a value unless it is the default.
func (b block) opt(key string, val, def any) block {
	if val == def {
		return b
	}
	return append(b, pair{key, val})
}

// block, list and words add what is not empty.
func (b *block) block(key string, in block) {
	if len(in) > 0 {
		b.add(key, in)
	}
}

func (b *block) list(key string, in []block) {
	if len(in) == 0 {
		return
	}
	all := make([]any, len(in))
	for i := range in {
		all[i] = in[i]
	}
	b.add(key, all)
}

func (b *block) words(key string, in []string) {
	if len(in) > 0 {
		b.add(key, in)
	}
}

func (b block) yaml() []byte {
	var out bytes.Buffer
	b.write(&out, 0, false)
	return out.Bytes()
}

// write emits the map at an indentation; inline where its first key stands behind a dash.
func (b block) write(out *bytes.Buffer, indent int, inline bool) {
	for i, p := range b {
		if i > 0 || !inline {
			spaces(out, indent)
		}
		out.WriteString(plainOr(p.key, plainKey))
		out.WriteByte(':')
		emit(out, p.val, indent)
	}
}

func emit(out *bytes.Buffer, val any, indent int) {
	switch v := val.(type) {
	case block:
		if len(v) == 0 {
			out.WriteString(" {}\n")
			return
		}
		out.WriteByte('\n')
		v.write(out, indent+2, false)
	case []any:
		if len(v) == 0 {
			out.WriteString(" []\n")
			return
		}
		out.WriteByte('\n')
		emitList(out, v, indent+2)
	default:
		out.WriteByte(' ')
		out.WriteString(scalarText(val))
		out.WriteByte('\n')
	}
}

func emitList(out *bytes.Buffer, list []any, indent int) {
	for _, item := range list {
		spaces(out, indent)
		switch v := item.(type) {
		case block:
			out.WriteString("- ")
			v.write(out, indent+2, true)
		case []any:
			out.WriteByte('-')
			emit(out, v, indent)
		}
	}
}

func scalarText(val any) string {
	switch v := val.(type) {
	case string:
		return plainOr(v, plainText)
	case anyText:
		return plainOr(string(v), plainValue)
	case percent:
		return strconv.Itoa(int(v)) + "%"
	case []string:
		s := "["
		for i, w := range v {
			if i > 0 {
				s += ", "
			}
			s += plainOr(w, plainText)
		}
		return s + "]"
	}
	return fmt.Sprint(val)
}

var (
	plainText  = regexp.MustCompile(`^[A-Za-z/][A-Za-z0-9_/.@+-]*(:[A-Za-z0-9_/.@+-]+)*$`)
	plainKey   = regexp.MustCompile(`^[A-Za-z/][A-Za-z0-9_/.@+-]*$`)
	plainValue = regexp.MustCompile(`^[A-Za-z0-9/][A-Za-z0-9_/.@+-]*$`)
	yamlWord   = regexp.MustCompile(`^(?i:true|false|null|yes|no|y|n)$`)
)

// plainOr leaves a text unquoted where every YAML parser reads it back as it is.
func plainOr(s string, plain *regexp.Regexp) string {
	if !plain.MatchString(s) || yamlWord.MatchString(s) || plain != plainValue && (s == "on" || s == "off") {
		return strconv.Quote(s)
	}
	return s
}

func spaces(out *bytes.Buffer, n int) {
	for ; n > 0; n-- {
		out.WriteByte(' ')
	}
}
