package pool

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
)

// node is one device of lsblk's tree.
type node struct {
	Name, Type string
	RO         any // true or false; "0" or "1" before util-linux 2.34
	Fstype     *string
	Mountpoint *string
	Children   []node
}

// holders notes what stands on a block device and where it is mounted, and gives its partitions.
func (p *prober) holders(ctx context.Context, device string) (partitions []string, err error) {
	res, err := p.read(ctx, tree(device))
	if err != nil {
		return nil, err
	}
	var out struct{ Blockdevices []node }
	if err := json.Unmarshal(res.Stdout, &out); err != nil {
		return nil, fmt.Errorf("read what lsblk says of %s: %w", device, err)
	}
	if len(out.Blockdevices) != 1 {
		return nil, fmt.Errorf("lsblk shows %d devices for %s", len(out.Blockdevices), device)
	}
	top := out.Blockdevices[0]
	p.seen.Partition = top.Type == "part"
	if top.RO == true || top.RO == "1" {
		p.held("read-only", "make "+device+" writable")
	}
	p.mounted(top)
	for _, c := range top.Children {
		if c.Type != "part" {
			p.stands(c)
			continue
		}
		partitions = append(partitions, c.Name)
		p.found("partition " + c.Name + of(c.Fstype))
		p.mounted(c)
		for _, h := range c.Children {
			p.stands(h)
		}
	}
	return partitions, nil
}

// stands notes what is made of the device, and all that stands on that in turn.
func (p *prober) stands(n node) {
	p.held("in use by "+n.Name+" ("+n.Type+")"+of(n.Fstype), ends(n))
	p.mounted(n)
	for _, c := range n.Children {
		p.stands(c)
	}
}

func (p *prober) mounted(n node) {
	switch {
	case n.Mountpoint == nil || *n.Mountpoint == "":
	case *n.Mountpoint == "[SWAP]":
		p.held(n.Name+" is in use at [SWAP]", "swapoff "+n.Name)
	default:
		p.held(n.Name+" is in use at "+*n.Mountpoint, "umount "+*n.Mountpoint)
	}
}

// ends is what a person runs to take a device away that stands on others.
func ends(n node) string {
	switch {
	case strings.HasPrefix(n.Type, "raid") || n.Type == "linear" || n.Type == "md":
		return "mdadm --stop " + n.Name
	case n.Type == "lvm":
		return "lvchange -an " + n.Name
	case n.Type == "crypt":
		return "cryptsetup close " + n.Name
	case n.Type == "mpath":
		return "multipath -f " + n.Name
	case n.Type == "loop":
		return "losetup -d " + n.Name
	}
	return "dmsetup remove " + n.Name
}

func of(fstype *string) string {
	if fstype == nil || *fstype == "" {
		return ""
	}
	return " with " + *fstype
}

// signed is one signature that wipefs lists.
type signed struct {
	Type  string
	Label *string
}

// written notes what can be cleared on each of the paths: wipefs without -a lists every signature, also several
// in one place, and changes nothing.
func (p *prober) written(ctx context.Context, paths []string) error {
	for _, path := range paths {
		res, err := p.read(ctx, listSignatures(path))
		if err != nil {
			return err
		}
		var out struct{ Signatures []signed }
		if len(strings.TrimSpace(string(res.Stdout))) > 0 {
			if err := json.Unmarshal(res.Stdout, &out); err != nil {
				return fmt.Errorf("read what wipefs says of %s: %w", path, err)
			}
		}
		for _, s := range out.Signatures {
			p.sign(path, s)
		}
		if t := p.traces[path]; t != nil {
			p.seen.Traces = append(p.seen.Traces, *t)
		}
	}
	return nil
}

// sign notes a signature once: those of ZFS are told by its labels, and the protective MBR by its GPT.
func (p *prober) sign(path string, s signed) {
	t := p.trace(path)
	what := s.Type
	if s.Label != nil && *s.Label != "" {
		what += ", named " + *s.Label
	}
	if s.Type == "PMBR" || s.Type == "zfs_member" && len(t.Labels) > 0 {
		return
	}
	for _, known := range t.Signatures {
		if known == what {
			return
		}
	}
	t.Signatures = append(t.Signatures, what)
}
