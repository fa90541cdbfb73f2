package render

import (
	"bytes"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// TextOptions are how a text is to look.
type TextOptions struct {
	Color    bool // the reader is a terminal
	Commands bool // a plan shows its exact command lines
}

// The colours of a terminal (SGR codes).
const (
	bold    = "1"
	dim     = "2"
	red     = "31"
	green   = "32"
	yellow  = "33"
	magenta = "35"
	cyan    = "36"
)

// text is a page that is built up and then written at once.
type text struct {
	bytes.Buffer
	opt TextOptions
}

func (t *text) printf(format string, args ...any) { fmt.Fprintf(&t.Buffer, format, args...) }

func (t *text) writeTo(w io.Writer) error {
	if _, err := w.Write(t.Bytes()); err != nil {
		return fmt.Errorf("write text: %w", err)
	}
	return nil
}

// in colours s where the reader is a terminal; s must be clean.
func (t *text) in(code, s string) string {
	if !t.opt.Color || s == "" || code == "" {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

// lines writes a label and a text of one or several lines, the further ones below the first.
func (t *text) lines(indent, label, s string) { t.colored(indent, dim, label, s) }

func (t *text) colored(indent, color, label, s string) {
	for i, line := range splitLines(s) {
		if i == 0 {
			t.printf("%s%s %s\n", indent, t.in(color, label), line)
		} else {
			t.printf("%s%s %s\n", indent, pad("", utf8.RuneCountInString(label)), line)
		}
	}
}

// table writes rows in columns that line up; paint, where given, colours a cell that was padded. Empty
// cells at the end of a row leave no blanks.
func (t *text) table(indent string, rows [][]string, paint func(row, col int, cell string) string) {
	var width []int
	for _, row := range rows {
		for i, cell := range row {
			if i == len(width) {
				width = append(width, 0)
			}
			width[i] = max(width[i], utf8.RuneCountInString(cell))
		}
	}
	for r, row := range rows {
		for len(row) > 0 && row[len(row)-1] == "" {
			row = row[:len(row)-1]
		}
		t.WriteString(indent)
		for i, cell := range row {
			if i < len(row)-1 {
				cell = pad(cell, width[i]) + "  "
			}
			if paint != nil {
				cell = paint(r, i, cell)
			}
			t.WriteString(cell)
		}
		t.WriteByte('\n')
	}
}

func pad(s string, width int) string {
	return s + strings.Repeat(" ", max(0, width-utf8.RuneCountInString(s)))
}

// clean shows what does not print (control characters, escape sequences, text that changes direction,
// broken UTF-8) instead of sending it to the terminal.
func clean(s string) string {
	if strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) || r == utf8.RuneError }) < 0 {
		return s
	}
	var b strings.Builder
	for i, r := range s {
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(s[i:], string(utf8.RuneError)):
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case unicode.IsPrint(r):
			b.WriteRune(r)
		default:
			b.WriteString(strings.Trim(strconv.QuoteRuneToASCII(r), "'"))
		}
	}
	return b.String()
}

// ErrorText is an error for people. It may hold what a far side said, which is shown and does not reach the terminal.
func ErrorText(message, hint string) string {
	lines := splitLines("dplane: " + message)
	if hint != "" {
		for _, line := range splitLines(hint) {
			lines = append(lines, "  "+line)
		}
	}
	return strings.Join(lines, "\n") + "\n"
}

// bytesText is a number of bytes with three digits and a unit, as zpool list shows it: 1.82T.
func bytesText(n uint64) string {
	const units = "KMGTPE"
	if n < 1024 {
		return strconv.FormatUint(n, 10)
	}
	f, u := float64(n)/1024, 0
	for f >= 999.5 && u < len(units)-1 {
		f, u = f/1024, u+1
	}
	return strconv.FormatFloat(f, 'f', digits(f), 64) + units[u:u+1]
}

func digits(f float64) int {
	switch {
	case f < 9.995:
		return 2
	case f < 99.95:
		return 1
	}
	return 0
}

// ageText is a length of time in its largest unit: 45s, 12m, 3h, 9d.
func ageText(d time.Duration) string {
	switch {
	case d < 0:
		return "0s"
	case d < 2*time.Minute:
		return strconv.Itoa(int(d/time.Second)) + "s"
	case d < 2*time.Hour:
		return strconv.Itoa(int(d/time.Minute)) + "m"
	case d < 48*time.Hour:
		return strconv.Itoa(int(d/time.Hour)) + "h"
	}
	return strconv.Itoa(int(d/(24*time.Hour))) + "d"
}

func timeText(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

// short is the beginning of a hash, enough to tell it from others.
func short(hash string) string { return clean(hash[:min(12, len(hash))]) }

// count is "1 action", "2 actions".
func count(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return strconv.Itoa(n) + " " + word + "s"
}

// splitLines are the lines of a text, clean. Tabs that only indent are blanks; others are shown.
func splitLines(s string) []string {
	lines := strings.Split(strings.TrimRight(s, "\n"), "\n")
	for i, line := range lines {
		bare := strings.TrimLeft(line, "\t")
		lines[i] = strings.Repeat("  ", len(line)-len(bare)) + clean(bare)
	}
	return lines
}
