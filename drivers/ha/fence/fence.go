// Package fence asks the fence agents of a peer to switch it off, by the agents' public contract, and believes it once they
// say that it is: off returned 0, and status, asked after that, 2. That is the proof P3. An agent that fails, hangs, or says
// anything else proved nothing, and the next level is asked.
//
// off is asked for, and never reboot: nobody can tell of a machine that runs whether it ran through (ClusterLabs, Fence Agent
// API). An agent is root's program: it gets its parameters on standard input alone, as nothing of them is to be seen in a list
// of processes, and nothing of what it prints is passed on before the secrets are taken out.
//
// The package must never switch anything on, take a timeout for success, or decide who is fenced: who asks has the right to.
package fence

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// Fencer asks the agents that the files declare.
type Fencer struct {
	Runner host.Runner
	Levels map[string][]spec.FenceLevel // ha.fencing
	Now    func() time.Time
	Sleep  func(context.Context, time.Duration) error // between two looks at a machine that is slow to go off
}

// Proof is that a peer is off: state.ProofFenced.
type Proof struct {
	Peer   string
	Level  int      // the one that succeeded, from 1
	Agents []string // all of it
	At     time.Time
}

// String says how it was proved.
func (p Proof) String() string {
	return fmt.Sprintf("%s is off: level %d of its fencing (%s) switched it off, and says so", p.Peer, p.Level, strings.Join(p.Agents, ", "))
}

// pause is between two looks at a machine that was switched off.
const pause = 2 * time.Second

// settle is how long it may take to be seen so: as long as the slowest of its agents may take.
func settle(level spec.FenceLevel) (long time.Duration) {
	for _, d := range level {
		long = max(long, timeout(d))
	}
	return long
}

// DefaultTimeout is how long an agent may take where the files say nothing.
const DefaultTimeout = time.Minute

// Off switches a peer off, or says why it is not proved to be. ctx ends it between two commands: an off that runs goes on to
// its end.
func (f *Fencer) Off(ctx context.Context, peer string) (Proof, error) {
	levels := f.Levels[peer]
	if len(levels) == 0 {
		return Proof{}, fmt.Errorf("no fence agent is declared for %s: ha.fencing.%[1]s", peer)
	}
	var errs []error
	for i, level := range levels {
		err := f.level(ctx, peer, level)
		if err == nil {
			return Proof{Peer: peer, Level: i + 1, Agents: names(level), At: f.Now()}, nil
		}
		errs = append(errs, fmt.Errorf("level %d: %w", i+1, err))
	}
	return Proof{}, fmt.Errorf("%s is not proved to be off: %w", peer, errors.Join(errs...))
}

// level has every device of a level switch off, and then waits until in one round all say that they have: a machine with two
// power supplies is off where both are.
func (f *Fencer) level(ctx context.Context, peer string, level spec.FenceLevel) error {
	if len(level) == 0 {
		return errors.New("it has no fence agent")
	}
	for _, d := range level {
		if err := f.do(ctx, peer, d, "off"); err != nil {
			return err
		}
	}
	for end := f.Now().Add(settle(level)); ; {
		err := f.allOff(ctx, peer, level)
		if err == nil {
			return nil
		}
		if !f.Now().Before(end) {
			return fmt.Errorf("off was done, and is not seen %s later: %w", settle(level), err)
		}
		if err := f.Sleep(ctx, pause); err != nil {
			return err
		}
	}
}

func (f *Fencer) allOff(ctx context.Context, peer string, level spec.FenceLevel) error {
	for _, d := range level {
		power, err := f.power(ctx, peer, d)
		if err == nil && power != state.PowerOff {
			err = fmt.Errorf("%s: status says that it is %s", d.Agent, power)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// The answers of status.
const (
	saysOn  = 0
	saysOff = 2
)

// power asks whether a machine runs.
func (f *Fencer) power(ctx context.Context, peer string, d spec.FenceDevice) (string, error) {
	a, err := f.ask(ctx, peer, d, "status")
	switch {
	case err != nil:
		return state.PowerUnknown, err
	case a.code == saysOn:
		return state.PowerOn, nil
	case a.code == saysOff:
		return state.PowerOff, nil
	}
	return state.PowerUnknown, a.bad()
}

// do has an agent do something, which it has to say it did.
func (f *Fencer) do(ctx context.Context, peer string, d spec.FenceDevice, action string) error {
	a, err := f.ask(ctx, peer, d, action)
	if err == nil && a.code != 0 {
		err = a.bad()
	}
	return err
}

// answer is how an agent ended.
type answer struct {
	agent, action string
	code          int
	stdout        []byte // as it is: never to be shown
	said          string // without the secrets
}

func (a answer) bad() error {
	return fmt.Errorf("%s: %s returned %d: %s", a.agent, a.action, a.code, a.said)
}

// ask runs an agent. Its error is an agent that could not be run, or did not come to an end in time.
func (f *Fencer) ask(ctx context.Context, peer string, d spec.FenceDevice, action string) (answer, error) {
	a := answer{agent: d.Agent, action: action}
	file, err := program(d.Agent)
	if err != nil {
		return a, fmt.Errorf("%s: %w", d.Agent, err)
	}
	in, secrets, err := input(peer, d, action)
	if err != nil {
		return a, fmt.Errorf("%s: %w", d.Agent, err)
	}
	c := host.Command{Argv: []string{file}, Effect: host.Reads, Timeout: timeout(d), Input: in}
	if action == "off" {
		c.Effect = host.Writes // it is not ended half way
	}
	res, err := f.Runner.Run(ctx, c)
	var exit *host.ExitError
	if err != nil && !errors.As(err, &exit) {
		return a, fmt.Errorf("%s: %s is no success: %w", d.Agent, action, err)
	}
	a.code, a.stdout, a.said = res.Code, res.Stdout, secrets.shown(res)
	if exit != nil {
		a.code = exit.Code
	}
	return a, nil
}

func timeout(d spec.FenceDevice) time.Duration {
	if t := d.Timeout.Std(); t > 0 {
		return t
	}
	return DefaultTimeout
}

func names(level spec.FenceLevel) (all []string) {
	for _, d := range level {
		all = append(all, d.Agent)
	}
	return all
}
