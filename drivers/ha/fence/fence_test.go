package fence

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dplaneos/dplane/drivers/host/process"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// An off that returned 0, and a status after it that says off, is the proof; nothing else is.
func TestOff(t *testing.T) {
	for _, c := range []struct {
		how, asked, says string // says "": it is proved
	}{
		{"works", "off status", ""},
		{"slow", "off status status status status", ""},
		{"forks", "off status", ""},
		{"fails", "off", "off returned 1: Unable to connect"},
		{"unreachable", "off", "off returned 1: Unable to connect"},
		{"hangs", "off", "off is no success"},
		{"port", "off", "off returned 8: Failed: Unable to obtain correct plug status"},
		{"lies", "", "status says that it is on"},
	} {
		t.Run(c.how, func(t *testing.T) {
			m := newMachine(t)
			d := m.device(c.how)
			if d.Timeout = spec.Duration(20 * time.Second); c.how == "hangs" {
				d.Timeout = spec.Duration(300 * time.Millisecond)
			}
			f := fencer(t, spec.FenceLevel{d})
			before := f.Now()
			p, err := f.Off(t.Context(), "nas-b")
			if c.says == "" && (err != nil || p.Peer != "nas-b" || p.Level != 1 || !m.off()) {
				t.Errorf("%+v, %v", p, err)
			}
			if c.says != "" && (err == nil || p.Peer != "" || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), "nas-b is not proved to be off: level 1: ")) {
				t.Errorf("%+v, %v, want %s", p, err, c.says)
			}
			if c.asked != "" && m.asked() != c.asked {
				t.Errorf("asked: %s, want %s", m.asked(), c.asked)
			}
			if waited := f.Now().Sub(before); c.how == "lies" && (waited < d.Timeout.Std() || waited > d.Timeout.Std()+pause || strings.Count(m.asked(), "status") != 11) {
				t.Errorf("waited %s: %s", waited, m.asked())
			}
		})
	}
}

// The next level is asked where one fails, and one that succeeded is the last.
func TestLevels(t *testing.T) {
	bad, good, spare := newMachine(t), newMachine(t), newMachine(t)
	f := fencer(t, spec.FenceLevel{bad.device("lies")}, spec.FenceLevel{good.device("works")}, spec.FenceLevel{spare.device("works")})
	p, err := f.Off(t.Context(), "nas-b")
	if err != nil || p.Level != 2 || bad.off() || !good.off() || spare.asked() != "" {
		t.Errorf("%+v, %v; spare: %s", p, err, spare.asked())
	}
	if _, err := f.Off(t.Context(), "nas-c"); err == nil || !strings.Contains(err.Error(), "ha.fencing.nas-c") {
		t.Errorf("a peer without an agent: %v", err)
	}
	f.Levels["nas-b"] = []spec.FenceLevel{{}}
	if _, err := f.Off(t.Context(), "nas-b"); err == nil {
		t.Error("a level without an agent is a proof")
	}
}

// Of a machine with two power supplies both have to be off, and to be seen off together.
func TestBothOfALevel(t *testing.T) {
	for how, proved := range map[string]bool{"works": true, "slow": true, "fails": false, "lies": false} {
		one, two := newMachine(t), newMachine(t)
		f := fencer(t, spec.FenceLevel{one.device("works"), two.device(how)})
		p, err := f.Off(t.Context(), "nas-b")
		if (err == nil) != proved || proved && (len(p.Agents) != 2 || !one.off() || !two.off()) {
			t.Errorf("the second %s: %+v, %v", how, p, err)
		}
		if strings.Index(one.asked(), "status") > 0 && two.asked() == "" {
			t.Errorf("the first is asked how it is before the second was switched off: %s", one.asked())
		}
	}
}

// The parameters come by standard input alone, those of the file too, with the name of the peer.
func TestWhatAnAgentGets(t *testing.T) {
	m := newMachine(t)
	d := m.device("port")
	d.Parameters["plug"] = "7"
	d.SecretFile = secretFile(t, "# the PDU\n\npasswd=two words=3\r\n", 0o600)
	if _, err := fencer(t, spec.FenceLevel{d}).Off(t.Context(), "nas-b"); err != nil {
		t.Fatal(err)
	}
	text, _ := os.ReadFile(filepath.Join(m.room, "log"))
	if want := "off plug=7 nodename=nas-b passwd=two words=3 argv=[]\n"; !strings.HasPrefix(string(text), want) {
		t.Errorf("%s\nwant %s", text, want)
	}
}

func secretFile(t *testing.T, text string, mode os.FileMode) string {
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(file, mode); err != nil {
		t.Fatal(err)
	}
	return file
}

// A device is not asked where what it is told can't be trusted, and no error tells a secret.
func TestSecretFiles(t *testing.T) {
	for name, file := range map[string]string{
		"others can read it":   secretFile(t, "passwd=hunter22\n", 0o640),
		"not there":            filepath.Join(t.TempDir(), "none"),
		"a directory":          t.TempDir(),
		"no key":               secretFile(t, "hunter22\n", 0o600),
		"a key twice":          secretFile(t, "passwd=hunter22\npasswd=hunter23\n", 0o600),
		"a key of the files":   secretFile(t, "how=hunter22\n", 0o600),
		"an action":            secretFile(t, "action=on\n", 0o600),
		"an action as of old":  secretFile(t, "option=on\n", 0o600),
		"a line in a line":     secretFile(t, "passwd=x\raction=on\n", 0o600),
		"a blank before a key": secretFile(t, " action=on\n", 0o600),
	} {
		m := newMachine(t)
		d := m.device("works")
		d.SecretFile = file
		_, err := fencer(t, spec.FenceLevel{d}).Off(t.Context(), "nas-b")
		if err == nil || strings.Contains(err.Error(), "hunter2") || m.asked() != "" {
			t.Errorf("%s: %v, asked: %s", name, err, m.asked())
		}
	}
}

// What an agent prints is told without the password, in the forms that agents print it in.
func TestNoSecretIsTold(t *testing.T) {
	for _, secret := range []string{"hunter22", "x", "two words", `a"b\c`, "ü+/é"} {
		m := newMachine(t)
		d := m.device("talks")
		d.SecretFile = secretFile(t, "passwd="+secret+"\n", 0o600)
		in := fencer(t, spec.FenceLevel{d})
		_, err := in.Off(t.Context(), "nas-b")
		found := in.Monitor(t.Context(), "nas-b")
		if err == nil || len(found) != 1 || found[0].Error == "" {
			t.Fatalf("%v, %+v", err, found)
		}
		for _, text := range []string{err.Error(), found[0].Error} {
			said := text[strings.Index(text, "returned 3: "):]
			if strings.Contains(said, secret) || strings.Contains(said, "two+words") || strings.Contains(said, `a\"b`) || !strings.Contains(said, "***") || strings.Contains(said, "\n") {
				t.Errorf("%q: %s", secret, said)
			}
		}
		if f := m.device("talks"); true {
			f.Parameters["passwd"] = secret // the files are no place for it, and it is hidden all the same
			if _, err := fencer(t, spec.FenceLevel{f}).Off(t.Context(), "nas-b"); err == nil || !strings.Contains(err.Error(), "***") {
				t.Errorf("%v", err)
			}
		}
	}
}

// A program that others could have changed, or put in the place of the agent, is not run.
func TestUntrustedAgents(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	place := func(mode, dirMode os.FileMode) string {
		dir := filepath.Join(t.TempDir(), "in")
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(self)
		file := filepath.Join(dir, "fence_x")
		if err != nil || os.WriteFile(file, text, 0o755) != nil || os.Chmod(file, mode) != nil || os.Chmod(dir, dirMode) != nil {
			t.Fatal("no agent")
		}
		return file
	}
	link := filepath.Join(t.TempDir(), "fence_link")
	if err := os.Symlink(place(0o755, 0o777), link); err != nil {
		t.Fatal(err)
	}
	good := filepath.Join(t.TempDir(), "fence_good")
	if err := os.Symlink(place(0o755, 0o755), good); err != nil {
		t.Fatal(err)
	}
	loop := filepath.Join(t.TempDir(), "fence_loop")
	if err := os.Symlink(loop, loop); err != nil {
		t.Fatal(err)
	}
	for agent, ok := range map[string]bool{
		place(0o755, 0o755): true, good: true, place(0o755, os.ModeSticky|0o777): true,
		place(0o775, 0o755): false, place(0o757, 0o755): false, place(0o755, 0o777): false, place(0o644, 0o755): false,
		link: false, loop: false, filepath.Dir(self): false, "/none": false, "fence_that_is_not_there": false,
	} {
		m := newMachine(t)
		d := m.device("works")
		d.Agent = agent
		_, err := fencer(t, spec.FenceLevel{d}).Off(t.Context(), "nas-b")
		if (err == nil) != ok || !ok && m.asked() != "" {
			t.Errorf("%s: %v, asked: %s", agent, err, m.asked())
		}
	}
}

// Monitoring switches nothing, and tells of each device what is wrong with it.
func TestMonitor(t *testing.T) {
	m := newMachine(t)
	misspelt := m.device("works")
	misspelt.Parameters["passwort"] = "x"
	dashed := m.device("works")
	dashed.Parameters["log_file"] = "x"
	slow := m.device("hangs")
	slow.Timeout = spec.Duration(300 * time.Millisecond)
	f := fencer(t, spec.FenceLevel{m.device("works"), m.device("unreachable")}, spec.FenceLevel{misspelt}, spec.FenceLevel{dashed}, spec.FenceLevel{slow})
	got := f.Monitor(t.Context(), "nas-b")
	for i, want := range []struct {
		level       int
		power, says string
	}{
		{1, state.PowerOn, ""}, {1, state.PowerUnknown, "monitor returned 1"}, {2, state.PowerOn, "it knows no parameter passwort"},
		{3, state.PowerOn, ""}, {4, state.PowerUnknown, "monitor is no success"},
	} {
		d := got[i]
		if d.Level != want.level || d.Power != want.power || !strings.Contains(d.Error, want.says) || (want.says == "") != (d.Error == "") || !d.At.Equal(f.Now()) {
			t.Errorf("%d: %+v, want %+v", i, d, want)
		}
	}
	if strings.Contains(m.asked(), "off") || m.off() {
		t.Errorf("asked: %s", m.asked())
	}
	t.Setenv(asAgent, "dumb") // it does not describe itself
	f.Runner = process.New()
	if got := f.Monitor(t.Context(), "nas-b"); got[2].Error != "" {
		t.Errorf("%+v", got[2])
	}
}

func TestDue(t *testing.T) {
	now := time.Date(2026, 11, 28, 23, 0, 0, 0, time.UTC)
	device := func(age time.Duration, err string) state.FenceDevice {
		return state.FenceDevice{At: now.Add(-age), Error: err}
	}
	for _, c := range []struct {
		known []state.FenceDevice
		want  bool
	}{
		{nil, true},
		{[]state.FenceDevice{device(0, "")}, false},
		{[]state.FenceDevice{device(59*time.Minute, "")}, false},
		{[]state.FenceDevice{device(time.Hour, "")}, true},
		{[]state.FenceDevice{device(0, ""), device(9*time.Minute, "sick")}, false},
		{[]state.FenceDevice{device(0, ""), device(10*time.Minute, "sick")}, true},
		{[]state.FenceDevice{device(-time.Second, "")}, true}, // the clock was set back
	} {
		if got := Due(c.known, now); got != c.want {
			t.Errorf("%+v: %v", c.known, got)
		}
	}
}

// Devices are asked at once, hourly, and sooner where one is not well.
func TestWatchFences(t *testing.T) {
	m := newMachine(t)
	f := fencer(t, spec.FenceLevel{m.device("unreachable")})
	ctx, cancel := context.WithCancel(t.Context())
	var at []time.Duration
	began := f.Now()
	f.Watch(ctx, func(peer string, found []state.FenceDevice) {
		at = append(at, f.Now().Sub(began))
		if peer != "nas-b" || len(found) != 1 || (found[0].Error == "") != (len(at) > 2) {
			t.Errorf("%d: %s %+v", len(at), peer, found)
		}
		switch len(at) {
		case 2: // it is mended
			f.Levels["nas-b"][0][0].Parameters["how"] = "works"
		case 4:
			cancel()
		}
	})
	if want := []time.Duration{0, again, 2 * again, 2*again + every}; !slices.Equal(at, want) {
		t.Errorf("asked at %v, want %v", at, want)
	}
}
