package state

import (
	"slices"
	"time"
)

// Taken is what is remembered of one dataset that a schedule covers: the snapshots that dplane took of it, and under
// which policy. It is kept by the dataset's guid.
type Taken struct {
	// Snapshots are those that dplane took, in no order that matters.
	Snapshots []TakenSnapshot `json:"snapshots,omitempty"`
	// Policy is what the schedule keeps as it was last seen, Before what it kept when last nothing more was left to
	// prune than that: less than Before is a retention that became smaller, at the time Since.
	Policy string    `json:"policy,omitempty"`
	Before string    `json:"before,omitempty"`
	Since  time.Time `json:"since,omitzero"`
	// Skipped is when one was due last and not taken, because nothing had been written.
	Skipped time.Time `json:"skipped,omitzero"`
	// Failed is when taking failed, zero where the last one was well; Why is what zfs said.
	Failed time.Time `json:"failed,omitzero"`
	Why    string    `json:"why,omitempty"`
	// Quiesced is the program that must still run after one that quiesced what writes here.
	Quiesced *Quiesced `json:"quiesced,omitempty"`
}

// Quiesced is a program that ends what another one began.
type Quiesced struct {
	Run     []string      `json:"run"`
	Timeout time.Duration `json:"timeout"`
	At      time.Time     `json:"at"` // when the other one was begun
}

// Is tells whether it is this command.
func (q *Quiesced) Is(argv []string) bool { return q != nil && slices.Equal(q.Run, argv) }

// TakenSnapshot is one that dplane took. Its guid and createtxg together tell it from a copy, which has the guid too.
type TakenSnapshot struct {
	Name     string    `json:"name"` // after the @
	GUID     string    `json:"guid,omitempty"`
	TXG      uint64    `json:"createtxg,omitempty"` // 0: no list has shown it since it was taken
	Creation time.Time `json:"creation"`
	// Pending: it was written down before it was taken, and nothing tells yet whether it was.
	Pending bool      `json:"pending,omitempty"`
	Stays   bool      `json:"stays,omitempty"`  // the last list showed that it can't go: held, cloned or the newest
	Expires time.Time `json:"expires,omitzero"` // of one taken by hand: until then it stays, then it goes
	Gone    time.Time `json:"gone,omitzero"`    // the first list that did not show it
}

// ScheduleHealth is how one schedule stands.
type ScheduleHealth struct {
	Name     string    `json:"name"`
	Datasets int       `json:"datasets"`         // that it covers here
	Late     []string  `json:"late,omitempty"`   // whose newest snapshot is older than the schedule allows
	Future   []string  `json:"future,omitempty"` // snapshots dated in the future
	Newest   time.Time `json:"newest,omitzero"`
	Oldest   time.Time `json:"oldest,omitzero"`  // of the newest ones of all datasets
	Due      time.Time `json:"due,omitzero"`     // the next
	Failed   []string  `json:"failed,omitempty"` // why some can't be taken
}
