package beat

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"unicode/utf8"

	"github.com/dplaneos/dplane/state"
)

// answer is what comes back for a beat: always a beat, so that the other side can learn a term, and which run it talks to.
type answer struct {
	Refused string     `json:"refused,omitempty"` // why the beat was not taken in
	Beat    state.Beat `json:"beat"`
}

// Bounds of what a peer may say. Its key is known; its word is not to be trusted with this node's memory.
const (
	maxBody  = 1 << 20
	maxList  = 1024
	maxGroup = 16384
	maxWord  = 512
)

// read decodes one document, and nothing but it.
func read(r io.Reader, doc any) error {
	text, err := io.ReadAll(io.LimitReader(r, maxBody+1))
	if err != nil {
		return fmt.Errorf("read a beat: %w", err)
	}
	if len(text) > maxBody {
		return fmt.Errorf("the beat has more than %d bytes", maxBody)
	}
	if err := json.Unmarshal(text, doc); err != nil {
		return fmt.Errorf("the beat can't be read: %w", err)
	}
	return nil
}

// check says what is wrong with a beat that a peer sent under its own key; "" where nothing is.
func check(b *state.Beat, peer string) string {
	words := append(append([]string{b.Node, b.Boot, b.Heard.Boot, string(b.Role), b.Active, b.Frozen, b.Shared}, b.Sick...), b.Late...)
	for name, p := range b.Group {
		words = append(words, name, p.GUID)
	}
	if b.Promise != nil {
		words = append(words, b.Promise.To)
	}
	switch {
	case b.Node != peer:
		return fmt.Sprintf("it says that it is of %.64q, and it came with the key of %s", b.Node, peer)
	case b.Boot == "" || b.Counter == 0:
		return "it has no number"
	case b.Term > math.MaxInt64 || b.Counter > math.MaxInt64 || b.Want > math.MaxInt64:
		return "a number in it is out of range"
	case len(b.Sick) > maxList || len(b.Late) > maxList || len(b.Group) > maxGroup:
		return "a list in it is too long"
	}
	for _, w := range words {
		if len(w) > maxWord || !utf8.ValidString(w) {
			return "a word in it is too long, or no text"
		}
	}
	return ""
}
