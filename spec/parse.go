package spec

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

const (
	maxMarks  = 4_000_000 // punctuation of one file that may begin a value; bounds the parser's memory
	maxDepth  = 100       // levels of nesting
	maxNodes  = 4_000_000 // values of one document once aliases are unfolded
	maxMerged = 1_000_000 // keys that the merges of one document copy
)

// parseFile gives the documents of a file as nodes, and what is wrong with it; whole tells whether no document
// is missing.
func parseFile(name string, data []byte) (docs []*node, out Problems, whole bool) {
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	if p := badCharacter(name, data); p != nil {
		return nil, Problems{p}, false
	}
	if marks(data) > maxMarks {
		return nil, Problems{{Pos: Pos{name, 1, 1}, Message: fmt.Sprintf("holds more than %d values", maxMarks), Expected: "a smaller file", Example: "several files: what stands in them is joined"}}, false
	}
	whole = true
	dec := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var doc yaml.Node
		err := decode(dec, &doc)
		if errors.Is(err, io.EOF) {
			return docs, out, whole
		}
		if err != nil {
			return docs, append(out, syntaxProblem(name, data, err)), false
		}
		c := converter{file: name, anchors: map[*yaml.Node]*node{}}
		n := c.document(&doc)
		if out = append(out, c.problems...); n != nil {
			docs = append(docs, n)
		}
		whole = whole && !c.stop
	}
}

// decode keeps a panic of the parser inside: a file must never end the daemon.
func decode(dec *yaml.Decoder, doc *yaml.Node) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("yaml: %v", r)
		}
	}()
	return dec.Decode(doc)
}

// badCharacter finds the first byte that is no UTF-8 or that YAML does not allow.
func badCharacter(name string, data []byte) *Problem {
	line, start := 1, 0
	for i := 0; i < len(data); {
		b := data[i]
		if b == '\n' {
			line, start, i = line+1, i+1, i+1
			continue
		}
		if b >= 0x20 && b < 0x7f || b == '\t' || b == '\r' {
			i++
			continue
		}
		r, n := utf8.DecodeRune(data[i:])
		pos := Pos{name, line, utf8.RuneCount(data[start:i]) + 1}
		switch {
		case r == utf8.RuneError && n == 1:
			return &Problem{Pos: pos, Message: fmt.Sprintf("the byte 0x%02x is no UTF-8", b), Expected: "a text file in UTF-8", Example: "iconv -f latin1 -t utf8 OLD > NEW"}
		case r < 0x20 || r >= 0x7f && r < 0xa0 && r != 0x85 || r == 0xfeff || r == 0xfffe || r == 0xffff:
			return &Problem{Pos: pos, Message: fmt.Sprintf("the character %U is not allowed in YAML", r), Expected: "a text file in UTF-8", Example: "iconv -f latin1 -t utf8 OLD > NEW"}
		}
		i += n
	}
	return nil
}

// marks is no less than the number of values in the file.
func marks(data []byte) int {
	n := 0
	for _, b := range data {
		switch b {
		case '\n', '\r', ',', ':', '[', '{', '?', '-':
			n++
		}
	}
	return n
}

var (
	yamlLine   = regexp.MustCompile(`^yaml: line (\d+): `)
	yamlAnchor = regexp.MustCompile(`^yaml: unknown anchor '(.*)' referenced$`)
)

// syntaxProblem makes the parser's error readable. Its line is that of the construct that went wrong,
// often one off, and it knows no column: a tab used as indentation is looked for first.
func syntaxProblem(name string, data []byte, err error) *Problem {
	text, line := err.Error(), 1
	if m := yamlLine.FindStringSubmatch(text); m != nil {
		line, _ = strconv.Atoi(m[1])
		text = strings.TrimPrefix(text, m[0])
	}
	lines := strings.Split(string(data), "\n")
	if m := yamlAnchor.FindStringSubmatch(text); m != nil {
		return &Problem{Pos: find(name, lines, "*"+m[1]), Message: fmt.Sprintf("the anchor &%s is not known", m[1]),
			Expected: "an anchor that stands before in the same file", Example: "x-common: &" + m[1] + " {atime: off}"}
	}
	if pos, ok := tabIndent(name, lines, line); ok {
		return &Problem{Pos: pos, Message: "a tab can't indent in YAML", Expected: "spaces", Example: "  tank: {}"}
	}
	line = min(max(line, 1), len(lines))
	p := &Problem{Pos: Pos{name, line, 1}, Message: "no valid YAML here, or a line or two below: " + strings.TrimPrefix(text, "yaml: "),
		Expected: "YAML; often a bracket, a quote or a space is missing", Example: "pools: {tank: {}}"}
	if near := strings.TrimSpace(lines[line-1]); near != "" {
		p.Message += fmt.Sprintf(" (the line is %s)", quote(cut(near, 60)))
	}
	return p
}

// tabIndent finds a tab in the indentation of the lines up to the one named (which may be one early).
func tabIndent(name string, lines []string, last int) (Pos, bool) {
	for i := min(last+1, len(lines)) - 1; i >= 0; i-- {
		indent := lines[i][:len(lines[i])-len(strings.TrimLeft(lines[i], " \t"))]
		if tab := strings.IndexByte(indent, '\t'); tab >= 0 && strings.TrimSpace(lines[i]) != "" && i >= last-3 {
			return Pos{name, i + 1, tab + 1}, true
		}
	}
	return Pos{}, false
}

func find(name string, lines []string, text string) Pos {
	for i, l := range lines {
		if at := strings.Index(l, text); at >= 0 {
			return Pos{name, i + 1, utf8.RuneCountInString(l[:at]) + 1}
		}
	}
	return Pos{name, 1, 1}
}

// quote is for text of a file in a message: one line, no control characters.
func quote(s string) string { return strconv.Quote(cut(s, 100)) }

func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "..."
}
