package zfsfake

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strconv"
	"strings"
)

// segment is the part of a stream that makes one snapshot. On the wire it is a line of JSON and a body of a byte for each
// begun KiB that is left to send.
type segment struct {
	Magic            string // of the model's streams
	To, ToGUID       string // dataset@name
	From, FromGUID   string // "": a full stream
	Creation         int64
	Volume           bool
	Size             string            // of a volume
	Fixed            map[string]string // what the dataset was made with
	Written          uint64            // Snapshot.Total less that of the base
	Bytes            uint64            // of the whole segment
	Done             uint64            // of these, that came before; it is resumed then
	Raw              bool
	Compressed       bool
	LargeBlocks      bool // the flag
	Large            bool // there are some
	Embedded         bool
	Key              string // of a raw one: what unlocks it
	IVSet, FromIVSet string // of a raw one
}

const (
	magic    = "zfsfake"
	overhead = 624 // bytes of a stream that holds nothing
)

var (
	errNothing = errors.New("failed to read from stream")
	errGarbage = errors.New("invalid stream (bad magic number)")
)

// units are the bytes on the wire for so many of a stream.
func units(bytes uint64) uint64 { return (bytes + 1023) / 1024 }

// writeTo puts the segment on the wire, but no more of its body than most bytes of the stream.
func (s *segment) writeTo(out *bytes.Buffer, most uint64) error {
	head, err := json.Marshal(s)
	if err != nil {
		return err
	}
	out.Write(append(head, '\n'))
	left := s.Bytes - s.Done
	n := units(left)
	if most < left {
		n = most / 1024
	}
	out.Write(bytes.Repeat([]byte("."), int(n)))
	return nil
}

// readSegment reads the next segment, and how many bytes of it came. io.EOF: there is none.
func readSegment(in *bufio.Reader) (*segment, uint64, error) {
	line, err := in.ReadString('\n')
	switch {
	case line == "":
		return nil, 0, io.EOF
	case !strings.HasPrefix(line, `{"Magic":"`+magic):
		return nil, 0, errGarbage
	case err != nil:
		return nil, 0, errNothing
	}
	s := &segment{}
	if err := json.Unmarshal([]byte(line), s); err != nil {
		return nil, 0, errGarbage
	}
	left := s.Bytes - s.Done
	n, err := io.CopyN(io.Discard, in, int64(units(left)))
	if err != nil {
		return s, min(uint64(n)*1024, left), nil
	}
	return s, left, nil
}

// whole tells whether so many bytes are all that was left.
func (s *segment) whole(came uint64) bool { return s.Done+came >= s.Bytes }

// partial is what an interrupted receive keeps.
type partial struct {
	To, ToGUID, FromGUID                   string
	Bytes                                  uint64
	Raw, Compressed, LargeBlocks, Embedded bool
	Fresh                                  bool `json:",omitempty"` // the dataset was made by it
	Busy                                   bool `json:"-"`          // a process still waits for the rest
}

// token is the text that resumes a partial state: VERSION-CHECKSUM-SIZE-PAYLOAD.
func (p *partial) token() string {
	text, err := json.Marshal(p)
	if err != nil {
		panic(err) // plain data
	}
	return fmt.Sprintf("1-%x-%x-%x", crc32.ChecksumIEEE(text), len(text), text)
}

// parseToken reads a token as zfs_send_resume_token_to_nvlist does, and says what is wrong with it.
func parseToken(token string) (*partial, string) {
	parts := strings.Split(token, "-")
	if len(parts) < 3 || parts[0] != "1" {
		return nil, "invalid format"
	}
	text, err := hex.DecodeString(parts[len(parts)-1])
	sum, bad := strconv.ParseUint(parts[1], 16, 32)
	p := &partial{}
	if len(parts) != 4 || err != nil || bad != nil || uint32(sum) != crc32.ChecksumIEEE(text) || json.Unmarshal(text, p) != nil {
		return nil, "incorrect checksum"
	}
	return p, ""
}

// contents are what `zfs send -v -t` prints of a token.
func (p *partial) contents() string {
	var out strings.Builder
	out.WriteString("resume token contents:\nnvlist version: 0\n")
	if p.FromGUID != "" {
		fmt.Fprintf(&out, "\tfromguid = %s\n", hexadecimal(p.FromGUID))
	}
	fmt.Fprintf(&out, "\tobject = 0x2\n\toffset = %#x\n\tbytes = %#x\n\ttoguid = %s\n\ttoname = %s\n", p.Bytes, p.Bytes, hexadecimal(p.ToGUID), p.To)
	for _, f := range []struct {
		on   bool
		name string
	}{{p.LargeBlocks, "largeblockok"}, {p.Embedded, "embedok"}, {p.Compressed, "compressok"}, {p.Raw, "rawok"}} {
		if f.on {
			fmt.Fprintf(&out, "\t%s = 1\n", f.name)
		}
	}
	return out.String()
}

func hexadecimal(guid string) string {
	n, _ := strconv.ParseUint(guid, 10, 64) // one of ours
	return fmt.Sprintf("%#x", n)
}

// Token is a resume token that says it is of a snapshot of this name and guid, whatever is true.
func Token(name, guid string) string { return (&partial{To: name, ToGUID: guid}).token() }
