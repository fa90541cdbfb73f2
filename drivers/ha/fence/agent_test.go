package fence

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dplaneos/dplane/drivers/host/process"
	"github.com/dplaneos/dplane/spec"
)

// The agents of these tests are this test binary, run by the real runner.
const asAgent = "DPLANE_TEST_FENCE_AGENT"

func TestMain(m *testing.M) {
	if os.Getenv(asAgent) != "" && len(os.Args) == 1 {
		os.Exit(agent())
	}
	os.Exit(m.Run())
}

const metadataXML = `<?xml version="1.0" ?>
<resource-agent name="fence_test"><parameters>
<parameter name="how" required="1"/><parameter name="room"/><parameter name="log-file"/>
<parameter name="passwd" deprecated="1"/><parameter name="plug" obsoletes="port"/>
</parameters><actions><action name="on" automatic="0"/><action name="off"/><action name="status"/><action name="monitor"/></actions></resource-agent>
`

// agent is an agent: what it is asked, and how it behaves (how), it reads from standard input. The state of its machine, and
// what was asked, it keeps in a directory (room).
func agent() int {
	in := map[string]string{}
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		k, v, _ := strings.Cut(lines.Text(), "=")
		in[k] = v
	}
	if in["action"] == "metadata" {
		if os.Getenv(asAgent) == "dumb" {
			return 1
		}
		fmt.Print(metadataXML)
		return 0
	}
	file := filepath.Join(in["room"], "power")
	log, _ := os.OpenFile(filepath.Join(in["room"], "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	fmt.Fprintf(log, "%s plug=%s nodename=%s passwd=%s argv=%q\n", in["action"], in["plug"], in["nodename"], in["passwd"], os.Args[1:])
	log.Close()
	off := func() { _ = os.WriteFile(file, []byte("off"), 0o600) }
	power, _ := os.ReadFile(file)
	switch in["how"] + " " + in["action"] {
	case "fails off", "unreachable off", "unreachable status", "unreachable monitor":
		fmt.Fprintln(os.Stderr, "Unable to connect/login to fencing device")
		return 1
	case "talks off", "talks monitor":
		fmt.Fprintf(os.Stderr, "login %s\nwith %q (and %%: %s)\n", in["passwd"], in["passwd"], strings.ReplaceAll(in["passwd"], " ", "+"))
		return 3
	case "hangs off", "hangs monitor":
		time.Sleep(time.Hour)
	case "lies off":
		return 0 // and does nothing
	case "slow off":
		_ = os.WriteFile(file, []byte("3 looks"), 0o600)
		return 0
	case "forks off":
		child := exec.Command("/bin/sleep", "30")
		child.Stdout, child.Stderr = os.Stdout, os.Stderr
		if err := child.Start(); err != nil {
			return 1
		}
		off()
		return 0
	}
	if in["how"] == "port" && in["plug"] != "7" {
		fmt.Fprintf(os.Stderr, "Failed: Unable to obtain correct plug status or plug is not available\n")
		return 8
	}
	switch in["action"] {
	case "off":
		off()
	case "status":
		if n, looks := strings.CutSuffix(string(power), " looks"); looks {
			left := int(n[0]-'0') - 1
			_ = os.WriteFile(file, fmt.Appendf(nil, "%d looks", left), 0o600)
			if left == 0 {
				off()
			}
		}
		if string(power) == "off" {
			return 2
		}
	case "monitor":
	default:
		return 2
	}
	return 0
}

// machine is one that agents can switch off.
type machine struct {
	t    *testing.T
	room string
}

func newMachine(t *testing.T) *machine { return &machine{t, t.TempDir()} }

// device is an agent for the machine.
func (m *machine) device(how string) spec.FenceDevice {
	self, err := os.Executable()
	if err != nil {
		m.t.Fatal(err)
	}
	return spec.FenceDevice{Agent: self, Parameters: map[string]string{"how": how, "room": m.room}}
}

// asked are the actions that its agents were asked for.
func (m *machine) asked() string {
	text, _ := os.ReadFile(filepath.Join(m.room, "log"))
	all := ""
	for line := range strings.Lines(string(text)) {
		action, _, _ := strings.Cut(line, " ")
		all += " " + action
	}
	return strings.TrimSpace(all)
}

func (m *machine) off() bool {
	power, _ := os.ReadFile(filepath.Join(m.room, "power"))
	return string(power) == "off"
}

// fencer has these levels for nas-b, and a clock that stands still but for what it waits.
func fencer(t *testing.T, levels ...spec.FenceLevel) *Fencer {
	t.Setenv(asAgent, "1")
	now := time.Date(2026, 11, 28, 23, 0, 0, 0, time.UTC)
	return &Fencer{
		Runner: process.New(), Levels: map[string][]spec.FenceLevel{"nas-b": levels}, Now: func() time.Time { return now },
		Sleep: func(ctx context.Context, d time.Duration) error { now = now.Add(d); return ctx.Err() },
	}
}
