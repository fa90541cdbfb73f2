package host

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// Reversal is how to take back one thing that a command changes.
type Reversal struct {
	Read Command                       // shows it
	Back func(answer string) []Command // what makes Read answer so again; nil: nothing can
}

// Undo is a Reversal for one moment, as data: a file can keep it. It takes back only what is still as it was tried.
type Undo struct {
	Read  Command   `json:"read"`
	Was   string    `json:"was"`             // what Read answered before
	Tried string    `json:"tried,omitempty"` // what it answered once the change was made; "": nobody asked
	Back  []Command `json:"back"`
}

// Bind asks what there is now, before it is changed. An Undo without Back can't take it back.
func (v Reversal) Bind(ctx context.Context, r Runner) (Undo, error) {
	u := Undo{Read: v.Read}
	var err error
	if u.Was, err = ask(ctx, r, v.Read); err == nil && u.Was != "" {
		u.Back = v.Back(u.Was)
	}
	return u, err
}

// Note asks what there is now that it was changed.
func (u *Undo) Note(ctx context.Context, r Runner) (err error) {
	u.Tried, err = ask(ctx, r, u.Read)
	return err
}

// ErrChangedSince is something that was changed after it was tried: it is nobody's to take back.
var ErrChangedSince = errors.New("changed by somebody else since")

// Revert takes it back, unless it is as it was. That a command failed counts for nothing where the answer is right
// in the end: `zfs set readonly=off` exits 255 with a file open, and sets it.
func (u Undo) Revert(ctx context.Context, r Runner) error {
	now, err := ask(ctx, r, u.Read)
	switch {
	case err != nil:
		return err
	case now == "": // its pool is away: another time
		return fmt.Errorf("%s shows nothing: it can't be told what is there", u.Read)
	case u.same(now, u.Was):
		return nil
	case u.Tried != "" && !u.same(now, u.Tried):
		return fmt.Errorf("%s now says %q: %w", u.Read, now, ErrChangedSince)
	}
	for _, c := range u.Back {
		if _, err = r.Run(ctx, c); err != nil {
			break
		}
	}
	again, askErr := ask(ctx, r, u.Read)
	switch {
	case askErr == nil && u.same(again, u.Was):
		return nil
	case err != nil:
		return err
	case askErr != nil:
		return askErr
	}
	return fmt.Errorf("%s says %q, not %q as before", u.Read, again, u.Was)
}

// same compares two answers by what was decided on the thing itself: of a line that ends with a source (`zfs get -o
// property,value,source`) and is not set there, the value counts for nothing, since it moves with what is above it.
// A pool inherits nothing, and what it prints as "-" is set back to the empty word: there the value alone counts.
func (u Undo) same(a, b string) bool {
	if len(u.Read.Argv) > 0 && u.Read.Argv[0] == "zpool" {
		return poolValues(a) == poolValues(b)
	}
	return decided(a) == decided(b)
}

func poolValues(answer string) string {
	lines := strings.SplitAfter(answer, "\n")
	for i, line := range lines {
		end := strings.LastIndexByte(line, '\t')
		if end < 0 {
			continue
		}
		value, source := line[:end], strings.TrimSuffix(line[end+1:], "\n")
		if name, unset := strings.CutSuffix(value, "\t-"); unset && source != "local" {
			value = name + "\t"
		}
		lines[i] = value + "\n"
	}
	return strings.Join(lines, "")
}

func decided(answer string) string {
	lines := strings.SplitAfter(answer, "\n")
	for i, line := range lines {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(f) < 3 {
			continue
		}
		value, source := f[1], f[len(f)-1]
		if source == "default" || strings.HasPrefix(source, "inherited from ") || value == "-" && source == "-" {
			lines[i] = f[0] + "\tnot set here\n"
		}
	}
	return strings.Join(lines, "")
}

// ask gives what a read prints, also where it exits with an error: one of two names may not be there.
func ask(ctx context.Context, r Runner, c Command) (string, error) {
	res, err := r.Run(ctx, c)
	var exit *ExitError
	if errors.As(err, &exit) {
		err = nil
	}
	return string(res.Stdout), err
}
