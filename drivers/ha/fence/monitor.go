package fence

import (
	"context"
	"encoding/xml"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// How often the devices of a peer are asked how they are; those that are not well sooner.
const (
	every = time.Hour
	again = 10 * time.Minute
)

// Due tells whether it is time to ask the devices of a peer how they are. All that is known of them was found before.
func Due(known []state.FenceDevice, now time.Time) bool {
	if len(known) == 0 {
		return true
	}
	for _, d := range known {
		long := every
		if d.Error != "" {
			long = again
		}
		if age := now.Sub(d.At); age < 0 || age >= long {
			return true
		}
	}
	return false
}

// look is how long it takes at most until it is seen that it is time.
const look = time.Minute

// Watch asks the devices of all peers how they are, at once and then whenever it is time, until ctx ends, and tells what they
// said.
func (f *Fencer) Watch(ctx context.Context, tell func(peer string, found []state.FenceDevice)) {
	known := map[string][]state.FenceDevice{}
	for ctx.Err() == nil {
		for _, peer := range sortedKeys(f.Levels) {
			if !Due(known[peer], f.Now()) {
				continue
			}
			found := f.Monitor(ctx, peer)
			if ctx.Err() != nil {
				return // what was ended for that says nothing
			}
			known[peer] = found
			tell(peer, found)
		}
		if f.Sleep(ctx, look) != nil {
			return
		}
	}
}

// Monitor asks every device of a peer how it is, and how the peer is. It switches nothing.
func (f *Fencer) Monitor(ctx context.Context, peer string) (all []state.FenceDevice) {
	for i, level := range f.Levels[peer] {
		for _, d := range level {
			found := state.FenceDevice{Level: i + 1, Agent: d.Agent, Power: state.PowerUnknown}
			if err := f.monitor(ctx, peer, d, &found); err != nil {
				found.Error = err.Error()
			}
			found.At = f.Now()
			all = append(all, found)
		}
	}
	return all
}

func (f *Fencer) monitor(ctx context.Context, peer string, d spec.FenceDevice, found *state.FenceDevice) (err error) {
	if err = f.do(ctx, peer, d, "monitor"); err != nil {
		return err
	}
	if found.Power, err = f.power(ctx, peer, d); err != nil {
		return err
	}
	return f.understands(ctx, peer, d)
}

// understands looks for what a device was given and does not know, which it says nothing of: a delay, or a method, that was
// spelt wrong. An agent that does not describe itself is believed.
func (f *Fencer) understands(ctx context.Context, peer string, d spec.FenceDevice) error {
	bare := spec.FenceDevice{Agent: d.Agent, Timeout: d.Timeout}
	a, err := f.ask(ctx, peer, bare, "metadata")
	if err != nil || a.code != 0 {
		return nil
	}
	can, err := parseMetadata(a.stdout)
	if err != nil {
		return nil
	}
	if !can.does("off") || !can.does("status") {
		return fmt.Errorf("%s: it can't do off and status, and so proves nothing", d.Agent)
	}
	for _, name := range sortedKeys(d.Parameters) {
		if name != "nodename" && !can.takes(name) {
			return fmt.Errorf("%s: it knows no parameter %s, and ignores it: %s -o metadata lists those that it knows", d.Agent, name, d.Agent)
		}
	}
	return nil
}

// metadata is what an agent says of itself.
type metadata struct {
	parameters, actions []string
}

func parseMetadata(text []byte) (*metadata, error) {
	var doc struct {
		XMLName    xml.Name `xml:"resource-agent"`
		Parameters []struct {
			Name string `xml:"name,attr"`
		} `xml:"parameters>parameter"`
		Actions []struct {
			Name string `xml:"name,attr"`
		} `xml:"actions>action"`
	}
	if err := xml.Unmarshal(text, &doc); err != nil {
		return nil, err
	}
	m := &metadata{}
	for _, p := range doc.Parameters {
		m.parameters = append(m.parameters, plain(p.Name))
	}
	for _, a := range doc.Actions {
		m.actions = append(m.actions, a.Name)
	}
	return m, nil
}

// plain: agents take - and _ for the same in a name.
func plain(name string) string { return strings.ReplaceAll(name, "-", "_") }

// does and takes are true of an agent that lists none.
func (m *metadata) does(action string) bool {
	return len(m.actions) == 0 || slices.Contains(m.actions, action)
}

func (m *metadata) takes(name string) bool {
	return len(m.parameters) == 0 || slices.Contains(m.parameters, plain(name))
}
