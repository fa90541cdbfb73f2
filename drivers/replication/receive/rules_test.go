package receive

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/drivers/host/process"
	"github.com/dplaneos/dplane/drivers/zfs"
	"github.com/dplaneos/dplane/drivers/zfs/stream"
	"github.com/dplaneos/dplane/drivers/zfs/zfsfake"
	"github.com/dplaneos/dplane/spec"
)

// both is a key that may all that a key may, so that what is refused is refused to every key.
var both = Rules{
	Targets: []Target{{Dataset: "backup/home", Prune: true, Repair: true, Set: map[string]string{"quota": "10G"}}}, Sources: []Source{{"tank/home", true}},
}

// plainKey is one that setup gives for a push.
var plainKey = Rules{Targets: []Target{{Dataset: "backup/home"}}}

const ending = "pkill -TERM -x -f -- '([^ ]*/)?zfs receive -s -u (-[ox] .* )?"

const receiving = "zfs receive -s -u -o 'canmount=noauto' -o 'readonly=on' "

// hostile are requests, with what each of them tries.
var hostile = []struct{ tries, line string }{
	// To get at a shell.
	{"a shell", "sh -c id"},
	{"a login", "bash"},
	{"an empty line of spaces", "  "},
	{"a second command", "zfs list -H -o name backup/home; id"},
	{"a second line", "zfs list -H -o name backup/home\nid"},
	{"a carriage return", "zfs list -H -o name backup/home\rid"},
	{"a pipe", "zfs list -H -o name backup/home | sh"},
	{"and", "zfs list -H -o name backup/home && id"},
	{"in the background", "zfs list -H -o name backup/home & id"},
	{"a substitution", "zfs list -H -o name $(id)"},
	{"an old substitution", "zfs list -H -o name `id`"},
	{"a variable", "zfs list -H -o name $HOME"},
	{"a file to write", "zfs list -H -o name backup/home > /etc/passwd"},
	{"a file to read", receiving + "backup/home < /etc/shadow"},
	{"double quotes", `zfs list -H -o name "backup/home"`},
	{"a quote without an end", "zfs list -H -o name 'backup/home"},
	{"a quote after the end of one", `zfs list -H -o name 'backup/home'\'`},
	{"a backslash", `zfs list -H -o name backup\/home`},
	{"a glob", "zfs list -H -o name backup/*"},
	{"a brace", "zfs list -H -o name backup/{home,other}"},
	{"a tilde", "zfs list -H -o name ~root"},
	{"a comment", "zfs list -H -o name backup/home #"},
	{"an escape of a terminal", "zfs list -H -o name 'backup/home\x1b[2J'"},
	{"a NUL", "zfs list -H -o name backup/home\x00"},
	{"no text", "zfs list -H -o name backup/home\xff"},
	{"a tab between words", "zfs\tlist -H -o name backup/home"},
	{"another environment", "env LD_PRELOAD=/tmp/evil.so zfs list -H -o name backup/home"},
	{"one more variable", "env LC_ALL=C TZ=UTC PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin 'LD_PRELOAD=x' zfs list -H -o name backup/home"},
	{"another PATH", "env LC_ALL=C TZ=UTC PATH=/tmp zfs list -H -o name backup/home"},
	// To run another program, or another word of zfs.
	{"zfs of another place", "/tmp/zfs list -H -o name backup/home"},
	{"zpool", "zpool destroy backup"},
	{"another pool", "zpool get -Hp -o name,property,value,source all other"},
	{"to set the clock", "date -s '2030-01-01'"},
	{"all properties", "zfs get -Hp -o name,property,value,source all backup/home"},
	{"who may what elsewhere", "zfs allow backup/other"},
	{"no word of zfs", "zfs"},
	{"one word of zfs", "zfs list"},
	{"zfs set", "zfs set 'mountpoint=/etc' backup/home"},
	{"zfs mount", "zfs mount backup/home"},
	{"zfs allow", "zfs allow -u repl destroy backup/home"},
	{"zfs create", "zfs create backup/home/x"},
	{"zfs program", "zfs program backup /tmp/evil.lua"},
	{"zfs diff", "zfs diff backup/home@a"},
	{"zfs inherit", "zfs inherit -S readonly backup/home"},
	{"zfs snapshot", "zfs snapshot backup/home@x"},
	{"zfs load-key", "zfs load-key -L file:///etc/shadow backup/home"},
	{"zfs clone", "zfs clone backup/home@a backup/home/x"},
	{"zfs promote", "zfs promote backup/home/x"},
	{"zfs share", "zfs share backup/home"},
	{"zfs recv, the other name", "zfs recv -s -u backup/home"},
	{"zfs upgrade", "zfs upgrade -a backup/home"},
	// To see what is not its own.
	{"a list of all", "zfs list -Hp -r"},
	{"the pool", "zfs list -Hp -r -t 'filesystem,volume,snapshot,bookmark' -o name backup"},
	{"what stands beside the target", "zfs list -Hp -d 1 -t filesystem,volume,snapshot,bookmark -o type,guid,createtxg,creation,written,used,referenced,userrefs,readonly,inconsistent,receive_resume_token,encryptionroot,keystatus,name backup"},
	{"a sibling", "zfs list -H -o name backup/other"},
	{"a sibling whose name begins alike", "zfs list -H -o name backup/home2"},
	{"a way up", "zfs list -H -o name backup/home/../other"},
	{"two names of which one is not its own", "zfs list -H -o name backup/other backup/home"},
	{"what the target is a clone of", "zfs list -Hp -r -t 'filesystem,volume' -o type,guid,createtxg,creation,written,used,referenced,userrefs,readonly,inconsistent,receive_resume_token,encryptionroot,keystatus,snapshots_changed,origin,name backup/home"},
	{"other columns", "zfs list -H -o all backup/home"},
	{"the trash", "zfs list -H -o name backup/home/.dplane-trash/1"},
	{"holds of others", "zfs holds -H backup/other@a"},
	{"holds of everything below", "zfs holds -H -r backup/home@a"},
	{"an option as a name", "zfs holds -H -- backup/home@a"},
	// To destroy.
	{"the target", "zfs destroy backup/home"},
	{"the target with all below", "zfs destroy -r backup/home"},
	{"a child", "zfs destroy backup/home/anna"},
	{"a snapshot everywhere below", "zfs destroy -r backup/home@a"},
	{"with its clones", "zfs destroy -R backup/home@a"},
	{"by force", "zfs destroy -f backup/home@a"},
	{"deferred", "zfs destroy -d backup/home@a"},
	{"a range of snapshots", "zfs destroy 'backup/home@a%c'"},
	{"all snapshots", "zfs destroy 'backup/home@%'"},
	{"a snapshot of another", "zfs destroy backup/other@a"},
	{"a list with another dataset in it", "zfs destroy backup/home@a,backup/other@b"},
	{"an empty name in a list", "zfs destroy backup/home@a,,b"},
	{"a snapshot of the source", "zfs destroy tank/home@a"},
	{"a bookmark that is not dplane's", "zfs destroy 'tank/home#mine'"},
	{"a bookmark of the target", "zfs destroy 'backup/home#dplane-off-1'"},
	{"what came of another receive", "zfs receive -A backup/other"},
	// To receive more than a stream.
	{"into another dataset", receiving + "backup/other"},
	{"into the pool", receiving + "backup"},
	{"into a name with a snapshot", receiving + "backup/home@a"},
	{"into the way up", receiving + "backup/home/.."},
	{"by force", "zfs receive -F -s -u -o 'canmount=noauto' -o 'readonly=on' backup/home"},
	{"by force, in one word", "zfs receive -s -u -F -o 'canmount=noauto' -o 'readonly=on' backup/home"},
	{"under the names of the source", "zfs receive -s -u -d -o 'canmount=noauto' -o 'readonly=on' backup/home"},
	{"under the last name of the source", "zfs receive -s -u -e -o 'canmount=noauto' -o 'readonly=on' backup/home"},
	{"mounted", "zfs receive -s -o 'canmount=noauto' -o 'readonly=on' backup/home"},
	{"as a correction", "zfs receive -c backup/home@a"},
	{"from another origin", "zfs receive -s -u -o 'origin=backup/other@a' -o 'readonly=on' backup/home"},
	{"writable", "zfs receive -s -u -o 'canmount=noauto' -o 'readonly=off' backup/home"},
	{"with nothing said of readonly", "zfs receive -s -u -o 'canmount=noauto' backup/home"},
	{"mounted at boot", "zfs receive -s -u -o 'canmount=on' -o 'readonly=on' backup/home"},
	{"over /etc", "zfs receive -s -u -o 'canmount=noauto' -o 'mountpoint=/etc' -o 'readonly=on' backup/home"},
	{"shared", "zfs receive -s -u -o 'canmount=noauto' -o 'readonly=on' -o 'sharenfs=rw,no_root_squash' backup/home"},
	{"shared over SMB", "zfs receive -s -u -o 'canmount=noauto' -o 'readonly=on' -o 'sharesmb=on' backup/home"},
	{"with setuid", "zfs receive -s -u -o 'canmount=noauto' -o 'readonly=on' -o 'setuid=on' backup/home"},
	{"with devices", "zfs receive -s -u -o 'canmount=noauto' -o 'devices=on' -o 'readonly=on' backup/home"},
	{"a key from elsewhere", "zfs receive -s -u -o 'canmount=noauto' -o 'keylocation=https://evil.example/' -o 'readonly=on' backup/home"},
	{"a mark of dplane", "zfs receive -s -u -o 'canmount=noauto' -o 'dplane:trash.guid=1' -o 'readonly=on' backup/home"},
	{"a unit of systemd", "zfs receive -s -u -o 'canmount=noauto' -o 'org.openzfs.systemd:wanted-by=multi-user.target' -o 'readonly=on' backup/home"},
	{"all the room", "zfs receive -s -u -o 'canmount=noauto' -o 'readonly=on' -o 'reservation=10T' backup/home"},
	{"another value than is declared", "zfs receive -s -u -o 'canmount=noauto' -o 'quota=none' -o 'readonly=on' backup/home"},
	{"a property twice", "zfs receive -s -u -o 'canmount=noauto' -o 'canmount=on' -o 'readonly=on' backup/home"},
	{"readonly left out", "zfs receive -s -u -o 'canmount=noauto' -x readonly backup/home"},
	{"readonly set and left out", receiving + "-x readonly backup/home"},
	{"canmount left out", "zfs receive -s -u -o 'readonly=on' -x canmount backup/home"},
	{"an option as a property", receiving + "-x -F backup/home"},
	{"no property", receiving + "-x backup/other backup/home"},
	{"a property without its value", receiving + "-o backup/home"},
	// To send what is not its own.
	{"another dataset", "zfs send -P -v tank/secret@a"},
	{"the target", "zfs send -P -v backup/home@a"},
	{"everything below", "zfs send -R tank/home@a"},
	{"with its properties", "zfs send -P -v -p tank/home@a"},
	{"what was received, as a whole", "zfs send -P -v -b tank/home@a"},
	{"from another dataset", "zfs send -P -v -i tank/secret@a tank/home@b"},
	{"from a bookmark of another dataset", "zfs send -P -v -i 'tank/secret#a' tank/home@b"},
	{"a row from a bookmark", "zfs send -P -v -I '#a' tank/home@b"},
	{"an empty begin", "zfs send -P -v -i '' tank/home@b"},
	{"a file system that is no snapshot", "zfs send -P -v tank/home"},
	{"a redacted stream", "zfs send -P -v --redact tank/home tank/home@a"},
	{"a partial receive", "zfs send -S backup/home"},
	{"a token that is none", "zfs send -P -v -t 'not a token'"},
	{"a token that is an option", "zfs send -P -v -t -R"},
	// To hold, mark and rename what is not its own.
	{"a tag of others", "zfs hold keep backup/home@a"},
	{"to release a tag of others", "zfs release keep backup/home@a"},
	{"a tag with a space", "zfs hold 'dplane:a b' backup/home@a"},
	{"a tag without a name", "zfs hold dplane: backup/home@a"},
	{"to hold another's", "zfs hold dplane:off backup/home@a backup/other@a"},
	{"to hold all below", "zfs hold -r dplane:off backup/home@a"},
	{"to hold nothing", "zfs hold dplane:off"},
	{"to release what keeps the source of another replication", "zfs release dplane:onward:source backup/home@a"},
	{"to release what keeps the target of another replication", "zfs release dplane:earlier tank/home@a"},
	{"to hold a target as a source, and a source with it", "zfs hold dplane:off:source tank/home@a backup/home@a"},
	{"a bookmark of another name", "zfs bookmark tank/home@a 'tank/home#mine'"},
	{"a bookmark of another's snapshot", "zfs bookmark tank/secret@a 'tank/home#dplane-off-1'"},
	{"a bookmark at another's", "zfs bookmark tank/home@a 'tank/secret#dplane-off-1'"},
	{"a bookmark of a bookmark", "zfs bookmark 'tank/home#dplane-off-1' 'tank/home#dplane-off-2'"},
	{"to rename another's", "zfs rename -u backup/other backup/other.diverged-1"},
	{"to rename it to somewhere else", "zfs rename -u backup/home backup/other"},
	{"to rename it to a name that looks right", "zfs rename -u backup/home backup/home.diverged-1/x"},
	{"to rename a snapshot", "zfs rename backup/home@a backup/home@b"},
	{"to rename by force", "zfs rename -f backup/home backup/home.diverged-1"},
	{"to rename with parents", "zfs rename -p backup/home backup/home.diverged-1"},
	{"to end what is received elsewhere", ending + "backup/other'"},
	{"to end what is received beside it, by a pattern", ending + "backup/.*'"},
	{"to end what is received below, by a pattern", ending + "backup/home/a.b'"},
	{"to end all", "pkill -TERM -x -f -- '.*'"},
	{"to end one or all", ending + "backup/home|.*'"},
	{"to end it by force", "pkill -KILL -x -f -- '([^ ]*/)?zfs receive -s -u (-[ox] .* )?backup/home'"},
	{"to end all of a user", "pkill -TERM -u root"},
	{"to end by number", "kill -TERM 1"},
	{"to end what is sent", "pkill -TERM -x -f -- '([^ ]*/)?zfs send tank/home@a'"},
	{"to end at a source", ending + "tank/home'"},
	{"to roll another back", "zfs rollback -r backup/other@a"},
	{"to roll back with clones", "zfs rollback -R backup/home@a"},
	{"to roll back by force", "zfs rollback -f backup/home@a"},
}

// asked is a Runner that must not be asked.
type asked struct{ n int }

func (a *asked) Run(context.Context, host.Command) (host.Result, error) {
	a.n++
	return host.Result{}, errors.New("asked")
}

// Whatever a hostile far side asks for, nothing is run and nothing is asked, and it is told what was refused.
func TestHostile(t *testing.T) {
	if len(hostile) < 40 {
		t.Fatal("the list has at least forty")
	}
	for _, c := range hostile {
		run := &asked{}
		ran := [][]string(nil)
		door := Door{Rules: both, Runner: run,
			Head:   func(int) ([]byte, error) { run.n++; return headOf(1, ofFiles, 0), nil },
			Become: func(argv []string) error { ran = append(ran, argv); return nil }}
		err := door.Open(t.Context(), c.line)
		var refused *Refused
		if !errors.As(err, &refused) || run.n != 0 || len(ran) != 0 {
			t.Errorf("%s: %q: ran %q, asked %d times: %v", c.tries, c.line, ran, run.n, err)
			continue
		}
		if text := err.Error(); strings.ContainsAny(text, "\n\r\x1b\x00") || !strings.HasSuffix(text, "nothing was run") || refused.Why == "" {
			t.Errorf("%s: it says %q", c.tries, text)
		}
	}
}

// What needs a person's word is refused to a key that was not given it.
func TestUndeclared(t *testing.T) {
	for _, line := range []string{
		"zfs destroy backup/home@a", "zfs rollback backup/home@a", "zfs rollback -r backup/home@a",
		"zfs rename -u backup/home backup/home.diverged-1", "zfs send -P -v backup/home@a", "zfs send -P -v -t 1-a-b-c",
		"zfs send -n -P -v -t 1-a-b-c", "zfs bookmark backup/home@a 'backup/home#dplane-off-1'",
		"zfs receive -s -u -o 'canmount=noauto' -o 'quota=10G' -o 'readonly=on' backup/home",
	} {
		if q, err := plainKey.Judge(line); err == nil {
			t.Errorf("%s: let through as %q", line, q.Argv)
		}
		declared := both
		declared.Sources = append(declared.Sources, Source{"backup/home", false})
		if _, err := declared.Judge(line); err != nil {
			t.Errorf("where it is declared: %v", err)
		}
	}
	if _, err := (&Rules{Sources: both.Sources}).Judge(receiving + "tank/home"); err == nil {
		t.Error("a key to be fetched from may receive")
	}
	if err := (&Door{Rules: both}).Open(t.Context(), ""); err == nil {
		t.Error("a login without a command")
	}
}

// What is declared of one target is not declared of another one, nor of one within it.
func TestRightsAreOfATarget(t *testing.T) {
	key := Rules{Targets: []Target{{Dataset: "backup/a", Prune: true, Repair: true, Set: map[string]string{"quota": "10G"}}, {Dataset: "backup/b"}, {Dataset: "backup/a/own"}}}
	for _, form := range []string{"zfs destroy %s@x", "zfs rollback -r %s@x", "zfs rename -u %s %[1]s.diverged-1", "zfs receive -s -u -o 'canmount=noauto' -o 'quota=10G' -o 'readonly=on' %s"} {
		for dataset, well := range map[string]bool{"backup/a/x": true, "backup/b": false, "backup/b/x": false, "backup/a/own": false, "backup/a/own/x": false} {
			if _, err := key.Judge(fmt.Sprintf(form, dataset)); (err == nil) != well {
				t.Errorf("%s: %v", fmt.Sprintf(form, dataset), err)
			}
		}
	}
	for dataset := range map[string]bool{"backup/a": true, "backup/b": true, "backup/a/own/x": true} { // what every key may
		if _, err := key.Judge(receiving + dataset); err != nil {
			t.Error(err)
		}
	}
	if _, err := key.Judge("zfs rename -u backup/a backup/a.diverged-1"); err == nil || !strings.Contains(err.Error(), "may not repair backup/a/own") {
		t.Errorf("what may not be kept aside went with what stands above it: %v", err)
	}
}

// What is let through is what was asked for, with what keeps a stream from doing harm.
func TestReceiveIsTamed(t *testing.T) {
	if _, err := both.Judge(receiving + "-o 'quota=10G' -x mountpoint backup/home/anna"); err == nil {
		t.Fatal("the order is not dplane's") // canmount, quota, readonly
	}
	q, err := both.Judge("zfs receive -s -u -o 'canmount=noauto' -o 'quota=10G' -o 'readonly=on' -x mountpoint backup/home/anna")
	if err != nil {
		t.Fatal(err)
	}
	if q.Volume || q.Receive != "backup/home/anna" || slices.Contains(q.Argv, "-F") {
		t.Errorf("%+v", q)
	}
	line := strings.Join(q.Argv, " ")
	for _, name := range never {
		if strings.Count(line, "-x "+name+" ") != 1 {
			t.Errorf("%s is taken from the stream, or left out twice: %s", name, line)
		}
	}
	q, err = both.Judge("zfs receive -s -u -o 'readonly=on' backup/home/vol")
	if err != nil || !q.Volume || !strings.Contains(strings.Join(q.Argv, " "), "-x canmount ") {
		t.Errorf("%+v, %v", q, err)
	}
}

// What stands at the beginning of a stream (sys/zfs_ioctl.h).
const (
	magic             = 0x2F5bacbac
	ofFiles, ofVolume = 2, 3
)

// headOf is the beginning of a stream as zfs writes it.
func headOf(kind uint64, of, flags uint32) []byte {
	b := make([]byte, stream.HeadSize)
	binary.LittleEndian.PutUint64(b[8:], magic)
	binary.LittleEndian.PutUint64(b[16:], kind|1<<20)
	binary.LittleEndian.PutUint32(b[32:], of)
	binary.LittleEndian.PutUint32(b[36:], flags|4)
	return b
}

func swapped(b []byte) []byte {
	out := bytes.Clone(b)
	for _, f := range [][2]int{{0, 4}, {4, 8}, {8, 16}, {16, 24}, {24, 32}, {32, 36}, {36, 40}} {
		slices.Reverse(out[f[0]:f[1]])
	}
	return out
}

// A stream that is not what the request says is refused, before zfs reads any of it.
func TestStream(t *testing.T) {
	fake := zfsfake.New()
	fake.AddDisk("/pool/a", 1<<30)
	for _, line := range []string{"zpool create backup /pool/a", "zfs create backup/home", "zfs create -V 8M backup/home/vol"} {
		if _, err := fake.Do(line); err != nil {
			t.Fatal(err)
		}
	}
	const files, volume = "zfs receive -s -u -o 'canmount=noauto' -o 'readonly=on' ", "zfs receive -s -u -o 'readonly=on' "
	for _, c := range []struct {
		what, line string
		head       []byte
		well       bool
	}{
		{"files", files + "backup/home/new", headOf(1, ofFiles, 0), true},
		{"files, of another byte order", files + "backup/home/new", swapped(headOf(1, ofFiles, 0)), true},
		{"a volume", volume + "backup/home/new", headOf(1, ofVolume, 0), true},
		{"a row of files on what is there", files + "backup/home", headOf(2, 0, 0), true},
		{"a row of a volume on what is there", volume + "backup/home/vol", headOf(2, 0, 0), true},
		{"files as a volume, which would be mounted", volume + "backup/home/new", headOf(1, ofFiles, 0), false},
		{"a volume as files", files + "backup/home/new", headOf(1, ofVolume, 0), false},
		{"a package of datasets as a new one", files + "backup/home/new", headOf(2, 0, 0), false},
		{"a package as a volume, where files are", volume + "backup/home", headOf(2, 0, 0), false},
		{"a package as files, where a volume is", files + "backup/home/vol", headOf(2, 0, 0), false},
		{"a clone of somebody's", files + "backup/home/new", headOf(1, ofFiles, 1), false},
		{"another kind", files + "backup/home/new", headOf(1, 1, 0), false},
		{"no kind", files + "backup/home/new", headOf(3, ofFiles, 0), false},
		{"no stream", files + "backup/home/new", []byte(strings.Repeat("x", stream.HeadSize)), false},
		{"a piece", files + "backup/home/new", headOf(1, ofFiles, 0)[:30], false},
		{"nothing", files + "backup/home/new", nil, false},
	} {
		ran := false
		door := Door{Rules: plainKey, Runner: fake, Head: func(int) ([]byte, error) { return c.head, nil }, Become: func([]string) error { ran = true; return nil },
			Feed: func([]string, func(io.Reader, io.Writer) error) error { ran = true; return nil }}
		if err := door.Open(t.Context(), c.line); (err == nil) != c.well || ran != c.well {
			t.Errorf("%s: ran %t, %v", c.what, ran, err)
		}
	}
}

// What is encrypted goes out raw, as a stream or as what goes on with one, unless the line of the key says otherwise: where
// its key is loaded zfs would send it in plain to whoever asks.
func TestEncryptedGoesOutRaw(t *testing.T) {
	fake := zfsfake.New()
	fake.AddDisk("/pool/a", 1<<30)
	fake.AddKey("/keys/k", strings.Repeat("0a", 32))
	guid := map[string]string{}
	for _, line := range []string{"zpool create tank /pool/a", "zfs create tank/home", "zfs create -o encryption=on -o keyformat=hex -o keylocation=file:///keys/k tank/home/secret",
		"zfs snapshot tank/home@a", "zfs snapshot tank/home/secret@a", "zfs snapshot tank/home/secret@b"} {
		if _, err := fake.Do(line); err != nil {
			t.Fatal(err)
		}
	}
	for _, snap := range []string{"tank/home@a", "tank/home/secret@b"} {
		out, err := fake.Do("zfs get -Hp -o value guid " + snap)
		if err != nil {
			t.Fatal(err)
		}
		guid[snap] = strings.TrimSpace(out)
	}
	open, secret := zfsfake.Token("tank/home@a", guid["tank/home@a"]), zfsfake.Token("tank/home/secret@b", guid["tank/home/secret@b"])
	hinted := zfsfake.Token("tank/home@a", guid["tank/home/secret@b"]) // the name in it is a hint
	for _, c := range []struct {
		line        string
		well, plain bool // without and with --plain
	}{
		{"zfs send -P -v tank/home@a", true, true},
		{"zfs send -P -v -w tank/home/secret@a", true, true},
		{"zfs send -P -v tank/home/secret@a", false, true},
		{"zfs send -P -v -L -c tank/home/secret@a", false, true},
		{"zfs send -P -v -i @a tank/home/secret@b", false, true},
		{"zfs send -P -v -w -i @a tank/home/secret@b", true, true},
		{"zfs send -P -v -I @a tank/home/secret@b", false, true},
		{"zfs send -n -P -v tank/home/secret@a", true, true}, // a size is no content
		{"zfs send -P -v tank/home/gone@a", false, true},     // zfs itself says what is wrong
		{"zfs send -P -v -t " + open, true, true},
		{"zfs send -P -v -t " + secret, false, true},
		{"zfs send -P -v -t " + hinted, false, true},
		{"zfs send -P -v -w -t " + secret, true, true},
		{"zfs send -n -P -v -t " + secret, true, true},
	} {
		for _, plain := range []bool{false, true} {
			ran := false
			door := Door{Rules: Rules{Sources: []Source{{"tank/home", plain}}}, Runner: fake, Become: func([]string) error { ran = true; return nil }}
			want := c.well || plain && c.plain
			if err := door.Open(t.Context(), c.line); (err == nil) != want || ran != want {
				t.Errorf("%s, with --plain %t: ran %t, %v", c.line, plain, ran, err)
			}
		}
	}
}

// A resume token is let through only where the guid in it is that of a snapshot of the source: the name is a hint, and
// zfs sends what has the guid, wherever it is.
func TestToken(t *testing.T) {
	fake := zfsfake.New()
	fake.AddDisk("/pool/a", 1<<30)
	do := func(line string) string {
		t.Helper()
		out, err := fake.Do(line)
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(out)
	}
	do("zpool create tank /pool/a")
	for _, d := range []string{"tank/home", "tank/secret"} {
		do("zfs create " + d)
		do("zfs snapshot " + d + "@a")
	}
	own, other := do("zfs get -Hp -o value guid tank/home@a"), do("zfs get -Hp -o value guid tank/secret@a")
	for _, c := range []struct {
		name, guid string
		well       bool
	}{
		{"tank/home@a", own, true},
		{"tank/secret@a", other, false},
		{"tank/home@a", other, false}, // the hint is ours, what would be sent is not
		{"tank/secret@a", own, false},
		{"tank/home@a\n\ttoguid = 0x1", other, false},
	} {
		token := zfsfake.Token(c.name, c.guid)
		for _, line := range []string{"zfs send -P -v -t " + token, "zfs send -n -P -v -t " + token, "zfs send -P -v -w -t " + token} {
			ran := false
			door := Door{Rules: both, Runner: fake, Become: func([]string) error { ran = true; return nil }}
			if err := door.Open(t.Context(), line); (err == nil) != c.well || ran != c.well {
				t.Errorf("%q with the guid of tank/home: %t: ran %t, %v", c.name, c.guid == own, ran, err)
			}
		}
	}
}

// Whatever is let through is of a closed form, names nothing but what is the key's own, and reads the same when it is
// quoted again.
func FuzzJudge(f *testing.F) {
	for _, c := range hostile {
		f.Add(c.line)
	}
	for _, line := range []string{
		"zfs list -H -o name backup", "zfs holds -H backup/home@a backup/home/anna@b", "zfs hold dplane:off 'backup/home@a b'",
		"zfs destroy backup/home@a,b", "zfs receive -A backup/home", "zfs send -P -v -w -L -c -I @a tank/home@b", "zfs send -n -P -v -i '#a' tank/home@b",
		"zfs receive -s -u -o 'canmount=noauto' -o 'readonly=on' -x mountpoint backup/home", "zfs rollback -r backup/home@a",
		"zfs rename -u backup/home backup/home.diverged-1", "zfs bookmark tank/home@a 'tank/home#dplane-off-1'", "zfs send -P -v -t 1-a-b-c",
		ending + `backup/home/a\.b'`, farEnv + `zfs list -H -o name 'backup/home/it'\''s'`,
	} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		q, err := both.Judge(line)
		if err != nil {
			return
		}
		again, err := process.FarLine(q.Argv, 0)
		if err != nil {
			t.Fatalf("%q was let through as %q: %v", line, q.Argv, err)
		}
		if w, err := words(again); err != nil || !slices.Equal(w, q.Argv) {
			t.Fatalf("%q is quoted as %q, which reads %q: %v", q.Argv, again, w, err)
		}
		owned(t, q)
	})
}

// owned fails where an admitted command has an option that is never used, or a name that is not the key's own.
func owned(t *testing.T, q *Request) {
	options := "-Hp -H -p -d -r -t -o -s -u -x -A -n -P -v -w -L -c -e -i -I"
	if both.harmless(q.Argv) {
		return
	}
	if target, ok := zfs.EndsReceive(q.Argv); ok && spec.DatasetName(target).Under("backup/home") {
		return
	}
	if q.Argv[0] != "zfs" {
		t.Fatalf("it runs %q", q.Argv)
	}
	for i, w := range q.Argv[1:] {
		before := q.Argv[i]
		switch name, _, _ := strings.Cut(strings.ReplaceAll(w, "#", "@"), "@"); {
		case strings.HasPrefix(w, "-"):
			if !slices.Contains(strings.Fields(options), w) || w == "-r" && q.Argv[1] != "list" && q.Argv[1] != "rollback" {
				t.Fatalf("%q has %s", q.Argv, w)
			}
		case before == "-o" || before == "-x" || before == "-t" || before == "-d" || before == "-i" || before == "-I":
			if strings.Contains(w, "/") && !strings.Contains(w, "=") {
				t.Fatalf("%q names %s", q.Argv, w)
			}
		case i == 0, strings.HasPrefix(w, "dplane:"):
		case w == "backup" && slices.Contains([]string{"list", "get", "allow"}, q.Argv[1]): // whether it is there, its room, what is delegated
		case q.Argv[1] == "get" && i < len(q.Argv)-2: // names of properties
		case q.Argv[1] == "rename" && strings.HasPrefix(w, "backup/home"):
		case !spec.DatasetName(name).Under("backup/home") && !spec.DatasetName(name).Under("tank/home"):
			t.Fatalf("%q names %s", q.Argv, w)
		}
	}
}
