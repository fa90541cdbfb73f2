package host

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

type recorder struct{ ran []Command }

func (r *recorder) Run(_ context.Context, c Command) (Result, error) {
	r.ran = append(r.ran, c)
	return Result{}, nil
}

// A secret reaches the process that reads it, and nothing that is kept of the command.
func TestPrompting(t *testing.T) {
	r := &recorder{}
	asked := []string{}
	p := Prompting{Runner: r, Ask: func(prompt string) ([]byte, error) {
		asked = append(asked, prompt)
		return []byte("hunter22"), nil
	}}
	c := Write("zfs", "load-key", "tank/typed")
	c.Prompt = "passphrase of tank/typed"
	for _, c := range []Command{c, Read("zfs", "list")} {
		if _, err := p.Run(context.Background(), c); err != nil {
			t.Fatal(err)
		}
	}
	if len(asked) != 1 || string(r.ran[0].Input) != "hunter22" || r.ran[1].Input != nil {
		t.Errorf("asked %q, ran with %q and %q", asked, r.ran[0].Input, r.ran[1].Input)
	}
	kept, _ := json.Marshal(r.ran[0])
	if strings.Contains(string(kept)+r.ran[0].String(), "hunter22") {
		t.Errorf("the secret is kept: %s", kept)
	}
}

func TestPromptingAlone(t *testing.T) {
	c := Write("zfs", "load-key", "tank/typed")
	c.Prompt = "passphrase of tank/typed"
	r := &recorder{}
	if _, err := (Prompting{Runner: r}).Run(context.Background(), c); err == nil || len(r.ran) != 0 {
		t.Errorf("ran %d commands without a secret: %v", len(r.ran), err)
	}
	failing := Prompting{Runner: r, Ask: func(string) ([]byte, error) { return nil, errors.New("no terminal") }}
	if _, err := failing.Run(context.Background(), c); err == nil || len(r.ran) != 0 {
		t.Errorf("ran %d commands without a secret: %v", len(r.ran), err)
	}
}
