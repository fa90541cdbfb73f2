package zfs

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// mostToken is how long a resume token may be, in bytes. Real ones have some hundred; it holds one name, compressed.
const mostToken = 8 << 10

// CheckToken tells whether a text from the far side can be a resume token at all: VERSION-CHECKSUM-SIZE-PAYLOAD, in
// lower-case hexadecimal digits. Only then it becomes a word of a command.
func CheckToken(token string) error {
	if len(token) > mostToken {
		return fmt.Errorf("a resume token of %d bytes: at most %d are believed", len(token), mostToken)
	}
	parts := strings.Split(token, "-")
	for _, p := range parts {
		if p == "" || strings.Trim(p, "0123456789abcdef") != "" || len(parts) != 4 {
			return fmt.Errorf("resume token %.60q is none: it has four parts of hexadecimal digits", token)
		}
	}
	return nil
}

// Resume goes on with the stream of a token. The token carries the flags that the stream began with, but it comes from the
// far side, which may leave out that it was raw and spell that in a snapshot's name ("x@y<newline><tab>rawok = 1"): so the
// flags of s are given as well, and zfs adds them (zfs_send_resume_impl_cb_impl in lib/libzfs/libzfs_sendrecv.c).
func (s Stream) Resume(token string) (host.Command, error) {
	argv := append([]string{"zfs", "send", "-P", "-v"}, s.flags()...)
	return host.Read(append(argv, "-t", token)...), CheckToken(token)
}

// DescribeToken asks what a token is of, and how many bytes are left (ParseEstimate). Where the stream can't be resumed
// zfs exits 255, says why, and prints what the token holds all the same.
func DescribeToken(token string) (host.Command, error) {
	c := host.Read("zfs", "send", "-n", "-P", "-v", "-t", token)
	c.Timeout = datasetsTimeout
	return c, CheckToken(token)
}

// tokenHead are the lines before the contents.
const tokenHead = "resume token contents:\nnvlist version: 0\n"

// ParseToken reads what DescribeToken prints. A token is anything that the far side liked to say, so nothing is guessed:
// each value at most once, toname a snapshot's name, toguid there. With a newline in toname it can spell what follows
// from nothing else, fromguid and the flags; not toguid, which would come twice.
func ParseToken(out []byte) (state.Token, error) {
	var t state.Token
	bad := func(text string) (state.Token, error) {
		return state.Token{}, &ParseError{What: "zfs send -nvP -t", Text: text}
	}
	rest, ok := strings.CutPrefix(string(out), tokenHead)
	if !ok {
		return bad(string(out))
	}
	seen := map[string]bool{}
	for line := range strings.Lines(rest) {
		text, ok := strings.CutPrefix(line, "\t")
		if !ok { // the estimate follows
			break
		}
		name, value, ok := strings.Cut(strings.TrimSuffix(text, "\n"), " = ")
		if !ok || seen[name] || !setToken(&t, name, value) {
			return bad(line)
		}
		seen[name] = true
	}
	if t.ToGUID == "" || t.ToName == "" || !seen["bytes"] || !seen["object"] || !seen["offset"] {
		return bad(rest)
	}
	return t, nil
}

// setToken takes one value of a token. Of redacted streams, and of those that came from a received one (savedok), nothing
// is made here: what is not known is refused.
func setToken(t *state.Token, name, value string) bool {
	if name == "toname" {
		_, err := spec.ParseSnapshotName(value)
		t.ToName = value
		return err == nil
	}
	if flag := map[string]*bool{"rawok": &t.Raw, "compressok": &t.Compressed, "largeblockok": &t.LargeBlocks, "embedok": &t.Embedded}[name]; flag != nil {
		*flag = true
		return value == "" || value == "1" // a boolean has no value, in some releases 1
	}
	n, err := strconv.ParseUint(strings.TrimPrefix(value, "0x"), 16, 64)
	if err != nil || !strings.HasPrefix(value, "0x") {
		return false
	}
	switch name {
	case "toguid":
		t.ToGUID = strconv.FormatUint(n, 10)
		return n != 0
	case "fromguid":
		t.FromGUID = strconv.FormatUint(n, 10)
		return n != 0
	case "object":
		t.Object = n
	case "offset":
		t.Offset = n
	case "bytes":
		t.Bytes = n
	default:
		return false
	}
	return true
}
