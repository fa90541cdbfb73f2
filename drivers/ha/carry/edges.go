package carry

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/spec"
)

// hookTimeout is how long a hook may take that has none of its own.
const hookTimeout = 30 * time.Second

// hook starts or stops one.
func (n *Node) hook(ctx context.Context, h spec.HAHook, verb string) error {
	c := host.Write("systemctl", verb, h.Unit)
	if h.Unit == "" {
		c = host.Write(append(slices.Clone(h.Run), verb)...)
	}
	if c.Timeout = h.Timeout.Std(); c.Timeout <= 0 {
		c.Timeout = hookTimeout
	}
	return n.run(ctx, c)
}

// startHooks starts them in their order. One that fails does not keep the others back.
func (n *Node) startHooks(ctx context.Context) error {
	var errs []error
	for _, h := range n.HA.Hooks {
		errs = append(errs, n.hook(ctx, h, "start"))
	}
	return errors.Join(errs...)
}

// stopHooks stops them in the other order: what came last leans on what came first.
func (n *Node) stopHooks(ctx context.Context) error {
	var errs []error
	for _, h := range slices.Backward(n.HA.Hooks) {
		errs = append(errs, n.hook(ctx, h, "stop"))
	}
	return errors.Join(errs...)
}

// hasAddress tells whether the group's address is on this node, on whatever interface.
func (n *Node) hasAddress(ctx context.Context) (bool, error) {
	v := n.HA.VirtualAddress
	if v == nil {
		return false, nil
	}
	want, err := netip.ParsePrefix(v.Address)
	if err != nil {
		return false, err
	}
	res, err := n.Runner.Run(ctx, host.Read("ip", "-o", "address", "show"))
	if err != nil {
		return false, fmt.Errorf("see whether the address %s is here: %w", v.Address, err)
	}
	for line := range strings.Lines(string(res.Stdout)) {
		f := strings.Fields(line) // 2: eth0    inet 10.0.0.10/24 ...
		for i := 0; i+1 < len(f); i++ {
			if f[i] != "inet" && f[i] != "inet6" {
				continue
			}
			if p, err := netip.ParsePrefix(f[i+1]); err == nil && p.Addr() == want.Addr() {
				return true, nil
			}
		}
	}
	return false, nil
}

// Lacks says what a promotion will need that is not installed here: nobody should learn it when the other node is gone.
func (n *Node) Lacks(ctx context.Context) error {
	v := n.HA.VirtualAddress
	if v == nil {
		return nil
	}
	if prefix, err := netip.ParsePrefix(v.Address); err != nil || !prefix.Addr().Is4() {
		return err
	}
	if _, err := n.Runner.Run(ctx, host.Read("arping", "-V")); errors.Is(err, host.ErrNotFound) {
		return fmt.Errorf("the address %s can't be taken by this node: arping is not installed: apt install iputils-arping", v.Address)
	}
	return nil // what it says to -V is of no interest
}

// takeAddress takes it, unless somebody else answers for it, and tells the network three times (keepalived #166: a switch
// that missed the first would send to the old place). IPv6 has its own check and announcement in the kernel.
func (n *Node) takeAddress(ctx context.Context) error {
	v := n.HA.VirtualAddress
	if v == nil {
		return nil
	}
	prefix, err := netip.ParsePrefix(v.Address)
	if err != nil {
		return err
	}
	ip := prefix.Addr()
	here, err := n.hasAddress(ctx)
	if err != nil {
		return err
	}
	if !here && ip.Is4() {
		err := n.run(ctx, host.Read("arping", "-q", "-D", "-c", "2", "-w", "3", "-I", v.Interface, ip.String()))
		var exit *host.ExitError
		if errors.As(err, &exit) && exit.Code == 1 {
			return fmt.Errorf("somebody else on %s answers for %s: the address is not taken", v.Interface, ip)
		}
		if err != nil {
			return fmt.Errorf("see whether somebody else has %s: %w", ip, err)
		}
	}
	if !here {
		if err := n.run(ctx, host.Write("ip", "address", "add", v.Address, "dev", v.Interface)); err != nil {
			return err
		}
	}
	if ip.Is4() {
		return n.run(ctx, host.Write("arping", "-q", "-U", "-c", "3", "-w", "5", "-I", v.Interface, ip.String()))
	}
	return nil
}

// dropAddress gives it up.
func (n *Node) dropAddress(ctx context.Context) error {
	here, err := n.hasAddress(ctx)
	if err != nil || !here {
		return err
	}
	return n.run(ctx, host.Write("ip", "address", "del", n.HA.VirtualAddress.Address, "dev", n.HA.VirtualAddress.Interface))
}
