package fence

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dplaneos/dplane/drivers/host/process"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// Debian's own agent for tests (package fence-agents), where it is installed or DPLANE_FENCE_DUMMY names it.
func TestDebianAgent(t *testing.T) {
	agent := os.Getenv("DPLANE_FENCE_DUMMY")
	if agent == "" {
		agent = "fence_dummy"
	}
	if _, err := program(agent); err != nil {
		t.Skipf("fence_dummy: %v", err)
	}
	power := filepath.Join(t.TempDir(), "power")
	if err := os.WriteFile(power, []byte("on"), 0o600); err != nil {
		t.Fatal(err)
	}
	device := func(parameters map[string]string) spec.FenceDevice {
		parameters["status_file"] = power
		return spec.FenceDevice{Agent: agent, Parameters: parameters}
	}
	f := fencer(t,
		spec.FenceLevel{device(map[string]string{"type": "fail", "plug": "1", "power_timeout": "1", "passwd": "hunter22"})},
		spec.FenceLevel{device(map[string]string{})})
	f.Runner = process.New()
	for i, d := range f.Monitor(t.Context(), "nas-b") {
		if i == 0 && !strings.Contains(d.Error, "it knows no parameter passwd") || i == 1 && (d.Error != "" || d.Power != state.PowerOn) {
			t.Errorf("%+v", d)
		}
	}
	p, err := f.Off(t.Context(), "nas-b")
	text, _ := os.ReadFile(power)
	if err != nil || p.Level != 2 || string(text) != "off" {
		t.Fatalf("%+v, %v; its machine is %s", p, err, text)
	}
	f.Levels["nas-b"] = f.Levels["nas-b"][:1]
	if _, err := f.Off(t.Context(), "nas-b"); err == nil || strings.Contains(err.Error(), "hunter22") {
		t.Error(err)
	} else {
		t.Log(err)
	}
	if found := f.Monitor(t.Context(), "nas-b"); found[0].Power == state.PowerOff {
		t.Errorf("%+v", found)
	}
}
