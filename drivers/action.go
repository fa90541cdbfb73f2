package drivers

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"

	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/spec"
)

// Verb is what an action does.
type Verb string

const (
	Create  Verb = "create"
	Update  Verb = "update"
	Destroy Verb = "destroy"
	Run     Verb = "run"
	Blocked Verb = "blocked" // can't be done; Notes say what the operator can do
)

// The codes of reasons.
const (
	Missing  = "missing"  // declared and not there
	Drift    = "drift"    // there, and different
	Removed  = "removed"  // dplane set it, and the files no longer declare it
	Unseen   = "unseen"   // the machine could not be asked
	Conflict = "conflict" // something else is in the way
	Due      = "due"      // scheduled work whose time has come
	Expired  = "expired"  // its time is over
	Behind   = "behind"   // a target lacks what its source has
	Sent     = "sent"     // all was sent there
	Trashed  = "trashed"  // it is in the trash, and wanted
)

// Reason says why, for people.
type Reason struct {
	Code     string `json:"code"`
	At       string `json:"at"`       // file:line
	Observed string `json:"observed"` // what the machine said
}

// Field is one changed value.
type Field struct {
	Name string `json:"name"`
	From string `json:"from"`
	To   string `json:"to"`
}

// Action is one step of a plan. It holds everything that is needed to show it, approve it, carry it
// out and explain it.
type Action struct {
	ID     string         `json:"id"` // Identify gives it
	Object spec.Ref       `json:"object"`
	GUID   string         `json:"guid,omitempty"` // of the object; "" where it is yet to be made
	Verb   Verb           `json:"verb"`
	Risk   spec.Risk      `json:"risk"`
	Reason Reason         `json:"reason"`
	Fields []Field        `json:"fields"`
	Undo   string         `json:"undo"`
	After  []string       `json:"after"` // ids of what it waits for
	Notes  []string       `json:"notes"` // what it will not do, whom it reaches, what the operator can do
	Steps  []host.Command `json:"steps"` // exactly what will run
	// Back takes back each step of the same place where a later one fails: the action then changed nothing. It ends
	// before a step without one, from which the next plan goes on.
	Back    [][]host.Command `json:"back,omitempty"`
	Guard   []host.Expect    `json:"guard"`             // what must still be true when it runs
	Destroy []string         `json:"destroy,omitempty"` // guids of the snapshots that go
	Ends    []string         `json:"-"`                 // guids of the datasets that go on purpose: what was known of them ends
	Waits   []spec.Ref       `json:"-"`                 // objects whose actions come first, where they have any
	// Named tells that a person named on the command line what this destroys (Input.Wipe): it needs no --allow, and
	// goes only for an action that waits for it.
	Named bool `json:"-"`
	// Hold says why this waits for a person who names its id, whatever its risk; "": it does not.
	Hold string `json:"-"`
	// Settles is until when it is not done unasked, since the files may not mean it; zero: at once.
	Settles time.Time `json:"-"`
	// Taking are the snapshots that this takes.
	Taking *Taking `json:"taking,omitempty"`
	// Sending is what this sends.
	Sending *Sending `json:"sending,omitempty"`
	// Pruning is the replication, with the one dataset, whose target this prunes.
	Pruning *Sending `json:"pruning,omitempty"`
	// Counts is the name of the snapshot of the object that must have been taken when this runs, since it was decided
	// with it; "": none.
	Counts string `json:"counts,omitempty"`
	// Scheduled is work that recurs (a scrub): it is no change, so no exit status and no limit counts it.
	Scheduled bool `json:"scheduled,omitempty"`
	// Long work is carried out in a lane of its own, beside the loop, which goes on.
	Long bool `json:"long,omitempty"`
	// Apart is work of which other drivers see nothing but the space that is used: after it they need not look again.
	Apart bool `json:"apart,omitempty"`
}

// Takes tells whether the action sends something on, or takes something away: what an HA group in which two nodes may have
// written must not do before a person chose.
func (a *Action) Takes() bool {
	return a.Object.Kind == spec.KindReplication || a.Verb == Destroy || len(a.Destroy)+len(a.Ends) > 0 || a.Risk == spec.Destructive
}

// Lane is where long work is done, one at a time: all that a replication sends goes the same way, whichever of its
// datasets that concerns.
func (a *Action) Lane() spec.Ref {
	if a.Sending != nil {
		return spec.Ref{Kind: a.Object.Kind, Name: a.Sending.Replication}
	}
	return a.Object
}

// Sending is what a replication sends, and how.
type Sending struct {
	Replication string            `json:"replication"`
	From        string            `json:"from,omitempty"` // the remote that sends; "": here
	To          string            `json:"to,omitempty"`   // the remote that receives; "": here
	Source      string            `json:"source"`         // the topmost dataset
	Target      string            `json:"target"`
	Recursive   bool              `json:"recursive,omitempty"`
	Exclude     []string          `json:"exclude,omitempty"`
	Snapshots   []string          `json:"snapshots,omitempty"` // patterns of the names that go; none: all
	Rate        int64             `json:"rate,omitempty"`      // bytes per second; 0: no limit
	Compressed  bool              `json:"compressed,omitempty"`
	LargeBlocks bool              `json:"largeBlocks,omitempty"` // as the files say; each pair has its own
	Set         map[string]string `json:"set,omitempty"`         // on what is received
	Without     []string          `json:"without,omitempty"`     // properties that are not received
	Pairs       []SendingPair     `json:"pairs,omitempty"`
	// Load is the load_guid of the pool that it sends to, where that is removable: of this import, and no later one.
	Load string `json:"load,omitempty"`
	// Back is what the replication is called by which the other node of an HA group sends to this one; "": it is none of a group.
	Back string `json:"back,omitempty"`
	// Beside are the replications by which this node sends the same to the others of the group.
	Beside []string `json:"beside,omitempty"`
	// Again: it is what could not be sent the last time, and nothing else: all that is sent is due as if it had not been tried.
	Again bool `json:"again,omitempty"`
	// Restore is the way back: From and Source are the replica, Target is what is made here of it.
	Restore bool `json:"restore,omitempty"`
	// Aside keeps what stands empty at the target of a restore under another name, before anything is received.
	Aside []host.Command `json:"aside,omitempty"`
}

// SendingPair is one dataset of it.
type SendingPair struct {
	Source      string   `json:"source"`
	GUID        string   `json:"guid"` // of the source
	Target      string   `json:"target"`
	Snapshots   []string `json:"snapshots,omitempty"` // guids of those that go, oldest first
	Full        bool     `json:"full,omitempty"`      // the first of them goes whole; else there must be something in common
	Raw         bool     `json:"raw,omitempty"`
	LargeBlocks bool     `json:"largeBlocks,omitempty"`
	Encrypted   bool     `json:"encrypted,omitempty"` // as it was when it was decided that it may go in plain
}

// Taking are snapshots that are taken at one instant, as far as zfs lets them.
type Taking struct {
	Mark  string  `json:"mark"` // the value of state.ScheduleProperty
	Of    []Taken `json:"of"`
	Hooks []Hook  `json:"hooks,omitempty"`
}

// Taken is one snapshot that is to be taken.
type Taken struct {
	Dataset string    `json:"dataset"`
	GUID    string    `json:"guid"` // of the dataset
	Name    string    `json:"name"` // after the @
	Hook    int       `json:"hook"` // the number of its hook, from 1; 0: none
	Expires time.Time `json:"expires,omitzero"`
}

// Hook is what quiesces what writes to some datasets, and what ends that.
type Hook struct {
	Before, After *host.Command
	Skip          bool // where Before fails the datasets are left out
}

// Identify sets the id: the hash of object, guid, verb, fields and what goes: the snapshots that are destroyed, or the
// datasets that are sent. The same change keeps its id, and an approval never fits another object.
func (a *Action) Identify() {
	goes := a.Destroy
	if a.Sending != nil {
		for _, p := range a.Sending.Pairs {
			goes = append(goes[:len(goes):len(goes)], p.GUID)
		}
	}
	b, err := json.Marshal([]any{a.Object, a.GUID, a.Verb, a.Fields, goes})
	if err != nil {
		panic(err) // plain data always marshals
	}
	sum := sha256.Sum256(b)
	a.ID = hex.EncodeToString(sum[:6])
}
