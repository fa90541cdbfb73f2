package state

import "time"

// End is one file system or volume as one end of a replication: the source here, or the target, which may be on a host
// whose word nobody vouches for.
type End struct {
	Name string `json:"name"`
	GUID string `json:"guid"`
	Type string `json:"type"` // filesystem or volume
	TXG  uint64 `json:"createtxg"`

	ReadOnly       bool   `json:"readonly,omitempty"`
	Encrypted      bool   `json:"encrypted,omitempty"`
	KeyLoaded      bool   `json:"keyLoaded,omitempty"` // of one that is encrypted
	EncryptionRoot string `json:"encryptionRoot,omitempty"`

	// Token is what an interrupted receive left, "" where there is nothing to resume.
	Token string `json:"token,omitempty"`
	// Resume is what the token says; nil where it can't be read.
	Resume *Token `json:"resume,omitempty"`
	// Partial is a target whose first stream has not wholly come, or is coming.
	Partial bool `json:"partial,omitempty"`

	Written    uint64 `json:"written"` // bytes since the newest snapshot; of one without any, all
	Used       uint64 `json:"used"`
	Referenced uint64 `json:"referenced"`

	Snapshots []Point `json:"snapshots,omitempty"` // by TXG
	Bookmarks []Point `json:"bookmarks,omitempty"` // by TXG
}

// Point is a snapshot or a bookmark: a moment of a dataset. Its identity is the guid, on either end; its TXG is the order
// on this end alone.
type Point struct {
	Name     string    `json:"name"` // what stands after the @ or the #
	GUID     string    `json:"guid"`
	TXG      uint64    `json:"createtxg"`
	Creation time.Time `json:"creation"`
	Written  uint64    `json:"written,omitempty"` // bytes since the snapshot before
	Holds    int       `json:"holds,omitempty"`   // of all tags
	Ours     bool      `json:"ours,omitempty"`    // one of them is that of the replication
	// Received: the replication brought it. Used and Clones are known of those that keep lets go.
	Received bool     `json:"received,omitempty"`
	Used     uint64   `json:"used,omitempty"`
	Clones   []string `json:"clones,omitempty"`
}

// Token is what a resume token says that it is a token of. It comes from the far side: a claim, which has to be compared
// with what was sent.
type Token struct {
	ToName   string `json:"toName"` // dataset@name, as it was called on the sending end when the receive began
	ToGUID   string `json:"toGUID"`
	FromGUID string `json:"fromGUID,omitempty"` // "": it is of a full stream

	Bytes  uint64 `json:"bytes"` // of the stream, that were received
	Object uint64 `json:"object"`
	Offset uint64 `json:"offset"`

	Raw         bool `json:"raw,omitempty"`
	Compressed  bool `json:"compressed,omitempty"`
	LargeBlocks bool `json:"largeBlocks,omitempty"`
	Embedded    bool `json:"embedded,omitempty"`
}
