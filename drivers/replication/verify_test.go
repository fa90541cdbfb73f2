package replication

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

func TestCompare(t *testing.T) {
	all := func(state.Point) bool { return true }
	for _, c := range []struct{ name, source, target, want string }{
		{"equal", "@a,1 @b,2", "@a,1 @b,2", "2 ok"},
		{"not all is there yet", "@a,1 @b,2", "@a,1", "1 ok lacks @b"},
		{"the source pruned", "@b,2", "@a,1 @b,2", "1 ok"},
		{"only a bookmark is left", "#a,1 @b,2", "@a,1", "0 ok lacks @b"},
		{"renamed there", "@a,1 @b,2", "@a,1 @x,2", "2 ok @b=@x"},
		{"another one of that name", "@a,1 @b,2", "@a,1 @b,9", "1 fault lacks @b"},
		{"another order", "@a,1 @b,2", "@b,2 @a,1", "2 fault"},
		{"two names exchanged", "@a,1 @b,2", "@b,1 @a,2", "2 fault @a=@b @b=@a"},
		{"nothing in common", "@a,1", "@x,9", "0 fault lacks @a"},
		{"not there", "@a,1", "none", "0 fault"},
	} {
		v := compare(state.Pair{Source: *endOf(c.source), To: "usb/a", Target: endOf(c.target)}, all)
		got := fmt.Sprint(v.Common, map[bool]string{true: " ok", false: " fault"}[v.OK()])
		for _, m := range v.Missing {
			got += " lacks " + m
		}
		for _, r := range v.Renamed {
			got += " " + r.Source + "=" + r.Target
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s: %v", c.name, got, c.want, v.Faults)
		}
	}
	v := compare(state.Pair{Source: *endOf("@a,1 @b,2"), To: "usb/a", Target: endOf("@a,1")}, func(state.Point) bool { return false })
	if len(v.Missing) > 0 {
		t.Errorf("what is not sent is missing: %v", v.Missing)
	}
}

// reading answers zfs send with a stream that holds one block.
type reading struct {
	blocks map[string]string // by the snapshot's name
	guid   uint64
	ran    []host.Command
}

func (r *reading) Run(_ context.Context, c host.Command) (host.Result, error) {
	r.ran = append(r.ran, c)
	text, ok := r.blocks[c.Argv[len(c.Argv)-1]]
	if !ok {
		return host.Result{}, &host.ExitError{Command: c, Code: 1, Stderr: "cannot open 'usb/a@a': dataset does not exist"}
	}
	le, stream := binary.LittleEndian, make([]byte, 3*312+512)
	le.PutUint64(stream[8:], 0x2f5bacbac)
	le.PutUint64(stream[16:], 1)
	if strings.Contains(c.String(), " -w ") {
		le.PutUint64(stream[16:], 1|1<<26)
	}
	le.PutUint64(stream[40:], r.guid)
	le.PutUint32(stream[312:], 3)
	le.PutUint64(stream[312+32:], 512)
	copy(stream[624:], text)
	le.PutUint32(stream[624+512:], 5)
	_, err := c.Into.Write(stream)
	return host.Result{}, err
}

func TestDeep(t *testing.T) {
	for _, c := range []struct {
		name, there string
		guid        uint64
		encrypted   bool
		raw         bool
		snapshot    string
		want        string
	}{
		{name: "equal", there: "x", guid: 2, want: "@b equal"},
		{name: "other content", there: "y", guid: 2, want: "@b differs"},
		{name: "gone meanwhile", guid: 2, want: "@b: read usb/a@b: it was destroyed meanwhile: verify again"},
		{name: "another one of that name", there: "x", guid: 9, want: "@b: read tank/a@b: the stream is of another snapshot"},
		{name: "locked", there: "x", guid: 2, encrypted: true, want: "@b: read tank/a@b: its key is not loaded"},
		{name: "raw", there: "x", guid: 2, encrypted: true, raw: true, want: "@b equal"},
		{name: "not on both ends", there: "x", guid: 2, snapshot: "c", want: "@c is not on both ends"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := state.Pair{Source: *endOf("@a,1 @b,2 @c,3"), To: "usb/a", Target: endOf("@a,1 @b,2")}
			p.Target.Name, p.Source.Encrypted, p.Target.Encrypted = "usb/a", c.encrypted, c.encrypted
			r := &reading{blocks: map[string]string{"tank/a@b": "x", "usb/a@b": c.there}, guid: c.guid}
			if c.there == "" {
				delete(r.blocks, "usb/a@b")
			}
			d := &Driver{Runner: r}
			var v state.Verified
			d.deep(t.Context(), &drivers.Sending{To: "b", Rate: 77}, p, c.raw, c.snapshot, &v)
			got := strings.Join(v.Faults, "")
			if x := v.Deep; x != nil {
				got = x.Snapshot + map[bool]string{true: " equal", false: " differs"}[x.Equal]
				if x.Error != "" {
					got = x.Snapshot + ": " + x.Error
				}
			}
			if !strings.HasPrefix(got, c.want) || v.OK() != strings.HasSuffix(c.want, " equal") {
				t.Errorf("%s, want %s", got, c.want)
			}
			for _, c := range r.ran {
				if c.Pipe.Rate != 77 || c.Pipe.Stall == 0 || c.Effect != host.Reads {
					t.Errorf("%+v", c)
				}
			}
		})
	}
	if !errors.Is(because("x", "%w", context.Canceled), context.Canceled) {
		t.Error("a cause hides what it is of")
	}
}

// What a target has came raw or in plain, and is read so on both ends, whatever the files say by now.
func TestVerifyTravelled(t *testing.T) {
	for _, c := range []struct {
		name, files string
		sent        *state.Sent // as it is remembered
		target      state.End
		want        bool
	}{
		{"as the files say", "", nil, state.End{Encrypted: true, EncryptionRoot: "usb/keys", Name: "usb/a"}, true},
		{"the files say raw, and it came in plain", "auto", &state.Sent{Place: ":usb/a"}, state.End{Encrypted: true, EncryptionRoot: "usb/keys", Name: "usb/a"}, false},
		{"the files say plain, and it came raw", "false", &state.Sent{Place: ":usb/a", Raw: true}, state.End{Encrypted: true, EncryptionRoot: "usb/a", Name: "usb/a", KeyLoaded: true}, true},
		{"sent to another target", "auto", &state.Sent{Place: ":usb/b"}, state.End{Encrypted: true, EncryptionRoot: "usb/keys", Name: "usb/a"}, true},
		{"not remembered, and it is in plain there", "auto", nil, state.End{Name: "usb/a"}, false},
		{"not remembered, and its key was never here", "false", nil, state.End{Encrypted: true, EncryptionRoot: "usb/a", Name: "usb/a"}, true},
	} {
		p := state.Pair{Source: *endOf("@a,1"), To: "usb/a", Target: endOf("@a,1")}
		c.target.Snapshots, p.Source.Encrypted = p.Target.Snapshots, true
		*p.Target = c.target
		seen := &state.Replication{}
		if c.sent != nil {
			seen.Remembered = &state.Replicated{Sent: map[string]state.Sent{p.Source.GUID: *c.sent}}
		}
		r := &spec.Replication{Target: spec.End{Dataset: "usb/a"}}
		r.Send.Raw = c.files
		if got := (&batch{want: r, seen: seen}).travelled(p); got != c.want {
			t.Errorf("%s: raw %t", c.name, got)
		}
	}
}
