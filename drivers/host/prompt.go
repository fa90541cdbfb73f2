package host

import (
	"context"
	"fmt"
)

// Prompting asks for the secret of each command that reads one, right before it runs, and keeps none.
type Prompting struct {
	Runner Runner
	Ask    func(prompt string) ([]byte, error) // nil: nobody can be asked
}

// Run fills in the secret and passes the command on.
func (p Prompting) Run(ctx context.Context, c Command) (Result, error) {
	if c.Prompt == "" {
		return p.Runner.Run(ctx, c)
	}
	if p.Ask == nil {
		return Result{}, fmt.Errorf("run %s: nobody can be asked for the %s: run dplane apply at a terminal", c, c.Prompt)
	}
	secret, err := p.Ask(c.Prompt)
	if err != nil {
		return Result{}, fmt.Errorf("ask for the %s: %w", c.Prompt, err)
	}
	c.Input = secret
	return p.Runner.Run(ctx, c)
}
