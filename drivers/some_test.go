package drivers_test

import (
	"strings"
	"testing"

	"github.com/dplaneos/dplane/drivers"
)

func TestSome(t *testing.T) {
	for names, want := range map[string]string{
		"": "", "a": "a", "a b c d e": "a, b, c, d, e", "a b c d e f": "a, b, c, d, e and 1 more", "a b c d e f g": "a, b, c, d, e and 2 more",
	} {
		if got := drivers.Some(strings.Fields(names)); got != want {
			t.Errorf("of %q: %q, want %q", names, got, want)
		}
	}
}
