package replication

import (
	"strings"
	"testing"

	"github.com/dplaneos/dplane/state"
)

// heldEnd is endOf, where a * behind a snapshot is the hold of the replication.
func heldEnd(name, text string) *state.End {
	e := endOf(strings.ReplaceAll(text, "*", ""))
	e.Name = name
	i := 0
	for _, word := range strings.Fields(text) {
		if word[0] == '@' {
			e.Snapshots[i].Ours = strings.HasSuffix(word, "*")
			i++
		}
	}
	return e
}

func (a anchors) String() string {
	var words []string
	add := func(what string, names ...string) {
		for _, n := range names {
			if n != "" {
				words = append(words, what+n[strings.IndexAny(n, "@#"):])
			}
		}
	}
	add("mark ", a.Bookmark[0])
	add("drop ", a.Drop...)
	add("release ", a.Release...)
	add("hold ", a.Hold)
	add("let ", a.Let...)
	return strings.Join(words, ", ")
}

func TestAnchor(t *testing.T) {
	for _, c := range []struct{ name, source, target, under, want string }{
		{"after the first stream", "@a,1*", "@a,1", "", "mark @a, release @a, hold @a"},
		{"killed after the bookmark", "@a,1* #dplane-off-1,1", "@a,1", "", "release @a, hold @a"},
		{"at rest", "@a,1 #dplane-off-1,1", "@a,1*", "", ""},
		{"at rest, and the source pruned", "#dplane-off-1,1 @b,2", "@a,1*", "", ""},
		{"one more", "@a,1 #dplane-off-1,1 @b,2*", "@a,1* @b,2", "", "mark @b, drop #dplane-off-1, release @b, hold @b, let @a"},
		{"broken off half way", "@a,1 #dplane-off-1,1 @b,2* @c,3*", "@a,1*", "2", "release @c"},
		{"somebody else's bookmark may go", "@a,1* #mine,1", "@a,1*", "", "mark @a, release @a"},
		{"a bookmark of that form with another guid is no one of ours", "@x,1 #dplane-off-9,1 @a,2", "@a,2*", "", "mark @a"},
		{"the bookmark of another replication stays", "@x,1 #dplane-other-1,1 @a,2", "@a,2*", "", "mark @a"},
		{"what is newer than the basis stays: the target was rolled back", "@a,1 @b,2 #dplane-off-2,2", "@a,1*", "", "mark @a"},
		{"the basis is somebody else's bookmark: the older one stays", "#dplane-off-1,1 #mine,2", "@a,1* @b,2*", "", ""},
		{"nothing in common", "@a,1* #dplane-off-1,1", "@x,8*", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := state.Pair{Source: *heldEnd("tank/a", c.source), Target: heldEnd("usb/a", c.target)}
			under := map[string]bool{c.under: true}
			if got := anchor("off", p, common(&p.Source, p.Target), under, nil).String(); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
	p := state.Pair{Source: *heldEnd("tank/"+strings.Repeat("x", 240), "@a,1*"), Target: heldEnd("usb/a", "@a,1")}
	if got := anchor("off", p, common(&p.Source, p.Target), nil, nil).String(); got != "hold @a" {
		t.Errorf("where no bookmark has room the hold stays: %s", got)
	}
	p = state.Pair{Source: *heldEnd("tank/"+strings.Repeat("x", 240), "#dplane-off-1,1 @a,1 @b,2*"), Target: heldEnd("usb/a", "@a,1 @b,2*")}
	if got := anchor("off", p, common(&p.Source, p.Target), nil, nil).String(); got != "" {
		t.Errorf("a bookmark whose name is too long can't be destroyed: %s", got)
	}
	p = state.Pair{Source: *heldEnd("tank/a", "@a,1 #dplane-off-1,1 @x,2* @b,3*"), Target: heldEnd("usb/a", "@b,3*")}
	if got := anchor("off", p, common(&p.Source, p.Target), nil, map[string]bool{"1": true, "2": true}).String(); got != "mark @b, release @b" {
		t.Errorf("what the way back to another target needs stays, marked or held: %s", got)
	}
	if a := anchor("off", state.Pair{Source: p.Source}, nil, nil, nil); !a.none() {
		t.Errorf("the target is away: %s", a)
	}
}
