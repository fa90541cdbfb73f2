package receive

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/drivers/zfs"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// send writes a stream of a source, or estimates one.
func (r *Rules) send(w []string) (*Request, error) {
	var s zfs.Stream
	token := ""
	for i := 2; i < len(w); i++ {
		value := ""
		if i+1 < len(w) {
			value = w[i+1]
		}
		switch w[i] {
		case "-w":
			s.Raw = true
		case "-L":
			s.LargeBlocks = true
		case "-c":
			s.Compressed = true
		case "-e":
			s.Embedded = true
		case "-i":
			s.From = value
		case "-I":
			s.From, s.Between = value, true
		case "-t":
			token = value
		}
	}
	if token != "" {
		return r.resume(w, s, token)
	}
	s.Snapshot = w[len(w)-1]
	of, _, _ := strings.Cut(s.Snapshot, "@")
	if t := r.target(of); t != nil && r.source(of) == nil {
		return nil, fmt.Errorf("%s is received into by this key, and not read; --source %[1]s lets it be, for dplane replication restore and verify --deep", t.Dataset)
	}
	if err := snapshots([]string{s.Snapshot}, r.sources()...); err != nil {
		return nil, err
	}
	if err := begin(of, s); err != nil {
		return nil, err
	}
	q, err := exactly(w, s.Send().Argv, s.Estimate().Argv, s.Quiet().Argv)
	if err == nil && !slices.Contains(w, "-n") {
		q.Send, q.Plain = of, !s.Raw
	}
	return q, err
}

// begin refuses a stream that begins with anything but a snapshot or bookmark of the same dataset.
func begin(of string, s zfs.Stream) error {
	if s.From == "" {
		return nil
	}
	if _, err := spec.ParseSnapshotName(of + "@" + s.From[1:]); err != nil || s.From[0] != '@' && (s.From[0] != '#' || s.Between) {
		return fmt.Errorf("%q is no snapshot or bookmark of the same dataset to begin with", s.From)
	}
	return nil
}

func (r *Rules) resume(w []string, s zfs.Stream, token string) (*Request, error) {
	if len(r.Sources) == 0 {
		return nil, errors.New("this key may not send anything (--source)")
	}
	resumed, err := s.Resume(token)
	if err != nil {
		return nil, err
	}
	described, err := zfs.DescribeToken(token)
	if err != nil {
		return nil, err
	}
	q, err := exactly(w, resumed.Argv, described.Argv)
	if err == nil {
		// That it is raw stands in the command as well: of the token nobody knows who wrote it.
		q.Token, q.Plain = token, !s.Raw && !slices.Contains(w, "-n")
	}
	return q, err
}

// plainly refuses to send in plain what is encrypted, unless whoever wrote the key's line said so.
func (r *Rules) plainly(ctx context.Context, run host.Runner, of string) error {
	if r.source(of).Plain {
		return nil
	}
	res, err := run.Run(ctx, zfs.GetEncryption(of))
	switch {
	case err != nil:
		return fmt.Errorf("whether %s is encrypted is not known: %w", of, err)
	case strings.TrimSpace(string(res.Stdout)) != "off":
		return inPlain(of)
	}
	return nil
}

func inPlain(of string) error {
	return fmt.Errorf("%s is encrypted, and this key sends it raw (zfs send -w) and not in plain (--plain)", of)
}

// tokenOf refuses a resume token that is of what is encrypted and would be sent in plain, or that is not of a snapshot of the sources. zfs takes the name in it for a hint, and looks
// for the guid wherever this user may send: so it is the guid that has to be among theirs.
func (r *Rules) tokenOf(ctx context.Context, run host.Runner, token string, plain bool) error {
	ask, err := zfs.DescribeToken(token)
	if err != nil {
		return err
	}
	res, err := run.Run(ctx, ask)
	var exit *host.ExitError
	if err != nil && !errors.As(err, &exit) {
		return err
	}
	t, err := zfs.ParseToken(res.Stdout)
	if err != nil {
		return errors.New("the resume token can't be read")
	}
	of, _, _ := strings.Cut(t.ToName, "@")
	if err := dataset(of, r.sources()...); err != nil {
		return err
	}
	found := false // as any of them, for zfs may take another one than the first
	for _, source := range r.sources() {
		res, err := run.Run(ctx, zfs.ListEnds(true, string(source))[0])
		if err != nil {
			continue // one that is not there has no snapshots
		}
		ends, err := zfs.ParseEnds(res.Stdout, true, string(source))
		if err != nil {
			continue
		}
		for _, e := range ends {
			switch {
			case !has(e, t.ToGUID):
			case plain && e.Encrypted && !r.source(e.Name).Plain:
				return inPlain(e.Name)
			default:
				found = true
			}
		}
	}
	if found {
		return nil
	}
	return errors.New("the resume token is of no snapshot that this key may have")
}

func has(e state.End, guid string) bool {
	return slices.ContainsFunc(e.Snapshots, func(p state.Point) bool { return p.GUID == guid })
}
