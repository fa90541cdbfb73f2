package replication

import (
	"context"
	"errors"
	"strings"

	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/state"
)

// probe is the name of a snapshot that is nowhere.
const probe = "dplane-is-the-term-asked-for"

// refusedThere is the exit status of `dplane receive` where it lets nothing through (EX_NOPERM).
const refusedThere = 77

// term asks for a change there without a term, of a snapshot that is nowhere. The forced command of a node of the HA group has
// to refuse it before zfs sees it; where zfs answers, an old active node could write there still (HA.md, I7).
func (c *checking) term(ctx context.Context) state.Check {
	_, err := c.Runner.Run(ctx, host.Command{ // it can't change anything, whoever answers
		Argv: []string{"zfs", "release", Tag(c.r.Name), c.w.Target + "@" + probe}, Effect: host.Reads, Host: c.remote,
	})
	return judgeTerm(c.r.Name, err)
}

func judgeTerm(replication string, err error) state.Check {
	var exit *host.ExitError
	switch {
	case err != nil && !errors.As(err, &exit):
		return unknown("", err)
	case err != nil && exit.Code == refusedThere && !strings.Contains(exit.Stderr, "was received"):
		return fine("", "what tells no valid term is refused there")
	case err != nil && exit.Code != 1 && exit.Code != 2:
		return unknown("", err)
	}
	return failed("", "the key may change the replica in any term: a node that was active before could write over what the active one has",
		"its forced command there lacks --peer: dplane replication setup "+replication+" prints the line for authorized_keys")
}
