package receive

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// farEnv is how dplane begins each line that it sends (drivers/host/process). None of it is used: what runs here has the
// environment of here.
const farEnv = "env LC_ALL=C TZ=UTC PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "

// farTerm is how it tells the term of the HA group in which it sends.
const farTerm = "DPLANE_TERM="

// termOf takes off how a line begins, and gives the term that it tells; 0: none.
func termOf(line string) (term uint64, rest string, err error) {
	rest, ours := strings.CutPrefix(line, farEnv)
	text, told := strings.CutPrefix(rest, farTerm)
	if !ours || !told {
		return 0, rest, nil
	}
	text, rest, _ = strings.Cut(text, " ")
	term, err = strconv.ParseUint(text, 10, 64)
	if err != nil || !digits(text) {
		return 0, "", errors.New("its term is none")
	}
	return term, rest, nil
}

// words takes a line apart. It knows what drivers/host/process writes and nothing else: words of plain characters, or in
// single quotes, with one space between. What a shell would look at in any other way is an error.
func words(line string) (all []string, err error) {
	odd := func(r rune) bool { return unicode.IsControl(r) || r == utf8.RuneError }
	if strings.ContainsFunc(line, odd) {
		return nil, errors.New("it has characters that are not to be printed")
	}
	_, rest, err := termOf(line)
	if err != nil {
		return nil, err
	}
	for {
		var w string
		if w, rest, err = word(rest); err != nil {
			return nil, err
		}
		all = append(all, w)
		if rest == "" {
			return all, nil
		}
		if rest[0] != ' ' {
			return nil, unquoted(rest)
		}
		rest = rest[1:]
	}
}

// word takes the first word of a line.
func word(s string) (w, rest string, err error) {
	if !strings.HasPrefix(s, "'") {
		n := strings.IndexFunc(s+" ", func(r rune) bool { return !plain(r) })
		if n == 0 {
			return "", "", unquoted(s)
		}
		return s[:n], s[n:], nil
	}
	for {
		end := strings.IndexByte(s[1:], '\'')
		if end < 0 {
			return "", "", errors.New("a quote in it has no end")
		}
		w, s = w+s[1:1+end], s[end+2:]
		after, quote := strings.CutPrefix(s, `\'`)
		switch {
		case !quote:
			return w, s, nil
		case !strings.HasPrefix(after, "'"):
			return "", "", unquoted(s)
		}
		w, s = w+"'", after
	}
}

func plain(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_-./:,@+", r)
}

func unquoted(s string) error {
	if s == "" {
		return errors.New("it is empty, or ends with a space")
	}
	r, _ := utf8.DecodeRuneInString(s)
	return fmt.Errorf("%q stands in it outside of quotes: no shell reads this line, and dplane sends none like it", r)
}
