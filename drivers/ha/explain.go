package ha

import (
	"encoding/json"
	"fmt"

	"github.com/dplaneos/dplane/state"
)

// Inputs are all that a decision is made from.
type Inputs struct {
	State  state.HA `json:"state"`
	Event  Event    `json:"event"`
	Config Config   `json:"config"`
}

// Explain is the record of a decision: what was decided, why, and the inputs that give the same again; nil where nothing
// was decided. acts are those of Decide.
func Explain(in Inputs, after state.HA, acts []Action) (*state.Decision, error) {
	n := len(acts)
	if n == 0 || acts[n-1].Do != Record {
		return nil, nil
	}
	text, err := json.Marshal(in)
	if err != nil {
		return nil, fmt.Errorf("record a decision: %w", err)
	}
	return &state.Decision{
		At: in.Event.At, Event: in.Event.Kind, From: in.State.Role, To: after.Role, Term: after.Term,
		Why: acts[n-1].Text, Refused: acts[n-1].Step == Refused, Inputs: text,
	}, nil
}

// Replay makes a decision once more, from its record.
func Replay(d *state.Decision) (Inputs, state.HA, []Action, error) {
	var in Inputs
	if err := json.Unmarshal(d.Inputs, &in); err != nil {
		return in, state.HA{}, nil, fmt.Errorf("read the inputs of decision %d: %w", d.ID, err)
	}
	after, acts := Decide(in.State, in.Event, in.Config)
	return in, after, acts, nil
}
