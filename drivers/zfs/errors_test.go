package zfs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dplaneos/dplane/drivers/host"
)

// TestRefusalsAreProven: each line of the table has a capture that holds its text and is classified by it.
func TestRefusalsAreProven(t *testing.T) {
	for _, r := range refusals {
		stderr, err := os.ReadFile(filepath.Join("testdata", r.proof+".err"))
		if err != nil {
			t.Errorf("%q: %v", r.text, err)
			continue
		}
		if !strings.Contains(string(stderr), r.text) {
			t.Errorf("%s does not hold %q", r.proof, r.text)
		}
		exit := &host.ExitError{Command: host.Write("zfs"), Code: 1, Stderr: string(stderr)}
		if err := Classify(fmt.Errorf("do it: %w", exit)); !errors.Is(err, r.err) || !errors.As(err, &exit) {
			t.Errorf("%s is classified as %v, not as %v", r.proof, err, r.err)
		}
	}
}

func TestClassifyLeavesTheRest(t *testing.T) {
	unknown := &host.ExitError{Command: host.Write("zfs"), Code: 1, Stderr: "something new"}
	if err := Classify(unknown); err != error(unknown) || Hint(err) != "" {
		t.Errorf("%v became %v", unknown, err)
	}
	if Classify(nil) != nil || Hint(nil) != "" {
		t.Error("no error is no refusal")
	}
	if err := Classify(fmt.Errorf("zfs: %w", host.ErrNotFound)); !errors.Is(err, ErrNoTools) {
		t.Errorf("a missing program became %v", err)
	}
}

func TestEveryKindHasAHint(t *testing.T) {
	for _, r := range refusals {
		if hints[r.err] == "" {
			t.Errorf("no hint for %v", r.err)
		}
		if Hint(&host.ExitError{Stderr: r.text}) == "" {
			t.Errorf("no hint for %q", r.text)
		}
	}
	if Hint(host.ErrTimeout) == "" || Hint(host.ErrNotFound) == "" {
		t.Error("no hint for a deadline or a missing program")
	}
}
