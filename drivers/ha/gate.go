package ha

import (
	"fmt"

	"github.com/dplaneos/dplane/state"
)

// Admit says why a stream for the group must not be received here; "" where it may (I7). It is asked before the transfer
// and again after it, with the term that the stream began under: what began under an older term must not be the base of a
// newer one. s is what is persisted, which is why a step "gate" closes it first.
func Admit(s *state.HA, sender string, term uint64) string {
	switch {
	case s.Role != state.RoleStandby:
		return fmt.Sprintf("this node is %s in the group, and only a standby receives", s.Role)
	case s.Dirty:
		return "it is not settled yet whether this node has what the active one lacks: dplane ha status"
	case s.Frozen != "":
		return "replication of the group is frozen: " + s.Frozen
	case term < s.Term:
		return fmt.Sprintf("the stream is of term %d, and term %d is known here", term, s.Term)
	case term > s.Term:
		return fmt.Sprintf("the stream is of term %d, of which no beat was heard here: the highest known is %d", term, s.Term)
	case sender == "" || sender != s.Holder:
		return fmt.Sprintf("%q sends it, and the holder of term %d is %q", sender, s.Term, s.Holder)
	}
	return ""
}
