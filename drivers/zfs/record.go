package zfs

import (
	"bytes"
	"fmt"
)

// record is one entry of `get -Hp -o name,property,value,source`.
type record struct{ name, property, value, source []byte }

// records splits the output of a get on one pool, recursive or not, and gives each record to yield.
//
// The value of a user property is free text, tabs and newlines included. So a line begins a record only
// where the one before could end there (its last field is a source) and starts(previous, next) admits it;
// any other line belongs to the value. starts is what keeps a value from forging a record, for in one
// output no dataset comes twice, and none has a property twice.
func records(pool string, out []byte, starts func(prev, next record) bool, yield func(record)) error {
	if len(out) == 0 {
		return nil
	}
	line, at := lineAt(out, 0)
	current, ok := head(pool, line)
	if !ok {
		return &ParseError{What: "zfs get " + pool, Text: string(line)}
	}
	from, end := 0, len(line) // of the current record, its newline not counted
	for at < len(out) {
		begin := at
		line, at = lineAt(out, begin)
		next, isHead := head(pool, line)
		if isHead && current.finish(out[from:end]) && starts(current, next) {
			yield(current)
			current, from = next, begin
		}
		end = begin + len(line)
	}
	if !current.finish(out[from:end]) {
		return &ParseError{What: "zfs get " + pool, Text: string(out[from:end])}
	}
	yield(current)
	return nil
}

// lineAt gives the line that begins at i, and where the next one does.
func lineAt(b []byte, i int) ([]byte, int) {
	if n := bytes.IndexByte(b[i:], '\n'); n >= 0 {
		return b[i : i+n], i + n + 1
	}
	return b[i:], len(b)
}

// head reads the fields a record begins with, if the line can begin one for a dataset of this pool.
func head(pool string, line []byte) (record, bool) {
	if len(line) <= len(pool) || string(line[:len(pool)]) != pool {
		return record{}, false
	}
	tab := bytes.IndexByte(line, '\t')
	if tab < 0 || tab > len(pool) && line[len(pool)] != '/' {
		return record{}, false
	}
	rest := line[tab+1:]
	end := bytes.IndexByte(rest, '\t')
	if end <= 0 {
		return record{}, false
	}
	return record{name: line[:tab], property: rest[:end]}, true
}

// finish fills in value and source from the record's whole text, and tells whether it can end there.
func (r *record) finish(text []byte) bool {
	body := text[len(r.name)+len(r.property)+2:]
	tab := bytes.LastIndexByte(body, '\t')
	if tab < 0 || !isSource(body[tab+1:]) {
		return false
	}
	r.value, r.source = body[:tab], body[tab+1:]
	return true
}

var inheritedFrom = []byte("inherited from ")

func isSource(b []byte) bool {
	switch string(b) {
	case "-", "local", "default", "received", "temporary":
		return true
	}
	return bytes.HasPrefix(b, inheritedFrom)
}

// ParseError is output that no known release of the command prints.
type ParseError struct{ What, Text string }

func (e *ParseError) Error() string {
	text := e.Text
	if len(text) > 200 {
		text = text[:200] + "..."
	}
	return fmt.Sprintf("parse %s: unexpected %q", e.What, text)
}

// strings keeps one copy of each text, for the same few hundred stand in a million places.
type interned map[string]string

func (t interned) get(b []byte) string {
	if s, ok := t[string(b)]; ok { // no allocation: the compiler sees the lookup
		return s
	}
	s := string(b)
	t[s] = s
	return s
}
