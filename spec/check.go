package spec

import (
	"fmt"
	"strconv"
	"strings"
)

// spot is where in the files a value stands.
type spot struct {
	at    Pos // of the key that holds it
	path  string
	field *field // nil: an item, or the value of a free key
}

// check reports every place of n that its shape does not admit.
func (l *loader) check(s *shape, n *node, at spot) {
	switch {
	case n.kind == mapNode && s.fields != nil:
		l.checkFields(s, n, at)
	case n.kind == mapNode && s.each != nil:
		for _, e := range n.keys {
			l.checkEach(s.each, e, at)
		}
	case n.kind == listNode && s.items != nil:
		for i, item := range n.items {
			l.check(s.items, item, spot{at: item.pos, path: fmt.Sprintf("%s[%d]", at.path, i)})
		}
	case n.kind == scalarNode && s.admits(n):
	default:
		l.refuse(s, n, at)
	}
}

// checkEach takes an entry with nothing in it (`tank/home:`) for an entry with no settings.
func (l *loader) checkEach(s *shape, e entry, at spot) {
	inside := spot{at: e.pos, path: join(at.path, e.key)}
	if e.val.is(tagNull) && s.fields != nil {
		l.checkFields(s, &node{kind: mapNode, pos: e.pos}, inside)
		return
	}
	l.check(s, e.val, inside)
}

func (l *loader) checkFields(s *shape, n *node, at spot) {
	for _, e := range n.keys {
		f := s.fields[e.key]
		if f == nil {
			l.unknown(s, e, at)
			continue
		}
		l.check(f.shape, e.val, spot{at: e.pos, path: join(at.path, e.key), field: f})
	}
	for _, name := range s.names {
		if f := s.fields[name]; f.required && n.entry(name) == nil {
			pos := at.at
			if pos.Line == 0 {
				pos = n.pos
			}
			p := l.problem(pos, at.path, "the key %s is missing", name)
			p.Expected, p.Example = f.describe(), name+": "+f.example
		}
	}
}

func (l *loader) unknown(s *shape, e entry, at spot) {
	what := "key"
	if at.path == "" {
		what = "section"
	}
	near := l.near(e.key, s.names)
	p := l.problem(e.pos, join(at.path, e.key), "there is no %s %s%s", what, quote(e.key), meant(near))
	p.Expected = "one of " + strings.Join(s.names, ", ")
	if len(s.names) > 0 {
		p.Example = s.names[0] + ": " + s.fields[s.names[0]].example
	}
	switch {
	case near != "":
		p.Expected = s.fields[near].describe()
		p.Example = near + ": " + s.fields[near].example
	case s.fields["properties"] != nil && (knownElsewhere(e.key) || IsUserProperty(e.key)):
		p.Expected = "a property under properties"
		p.Example = "properties: {" + plainOr(e.key, plainKey) + ": ...}"
	}
}

// refuse says why the value is none.
func (l *loader) refuse(s *shape, n *node, at spot) {
	if l.taken[n.pos] {
		return // the value was refused as YAML
	}
	p := l.problem(n.pos, at.path, "%s", n.what())
	p.Expected, p.Example = s.describe(), s.example
	if n.kind != scalarNode {
		if n.kind == mapNode {
			p.Pos = at.at
		}
		l.taken[n.pos] = true
		return
	}
	choices := s.choices()
	switch {
	case n.tag == tagNull:
		p.Message = "the value is empty"
		if s.fields != nil || s.each != nil {
			p.Message += ": leave the key out, or write {}"
		} else if s.items != nil {
			p.Message += ": leave the key out, or write []"
		}
	case n.tag == tagText && (s.admits(&node{text: n.text, tag: tagBool}) && truth(n.text) || s.admits(&node{text: n.text, tag: tagInt}) && plainInt(n.text)):
		p.Message += ": leave out the quotes"
		p.Example = n.text
	case len(choices) > 0:
		p.Message = quote(n.text) + " is not one of the choices" + l.suggest(n.text, choices)
	case n.tag == tagFloat && s.wantsNumber():
		p.Message = n.text + " is no whole number, or too large a one"
	case n.tag != tagText && s.admits(&node{text: n.text}):
		p.Message += ", where text belongs: quote it"
		p.Example = quote(n.text)
	case s.wantsNumber() && n.tag == tagInt:
		p.Message = n.text + " is out of range"
		if !plainInt(n.text) {
			p.Message = n.text + " is not a plain decimal number"
		}
	case s.wantsText() && n.tag == tagText:
		p.Message = quote(n.text) + " is no valid value"
	}
}

// admits tells whether a scalar fits one of the rules.
func (s *shape) admits(n *node) bool {
	for i := range s.rules {
		if s.rules[i].admits(n) {
			return true
		}
	}
	return false
}

func (r *rule) admits(n *node) bool {
	switch n.tag {
	case tagText:
		return r.kind&textKind != 0 && (!r.fixed || r.literal == n.text) && (r.re == nil || r.re.MatchString(n.text))
	case tagInt:
		return r.kind&intKind != 0 && r.inRange(n.text)
	case tagFloat:
		return r.kind&floatKind != 0
	case tagBool:
		return r.kind&boolKind != 0 && (!r.fixed || r.literal == strings.ToLower(n.text))
	}
	return r.kind&nullKind != 0
}

// inRange takes plain decimal numbers alone where there are bounds: 010 is eight to YAML and ten to people.
func (r *rule) inRange(text string) bool {
	if r.min == nil && r.max == nil {
		return true
	}
	n, err := strconv.ParseInt(text, 10, 64)
	return err == nil && plainInt(text) && (r.min == nil || n >= *r.min) && (r.max == nil || n <= *r.max)
}

func truth(text string) bool { return text == "true" || text == "false" }

func plainInt(text string) bool {
	digits := strings.TrimPrefix(text, "-")
	return digits != "" && strings.Trim(digits, "0123456789") == "" && (digits == "0" || digits[0] != '0')
}

// choices are the words of an enumeration.
func (s *shape) choices() (all []string) {
	for _, r := range s.rules {
		if !r.fixed {
			return nil
		}
		all = append(all, r.literal)
	}
	return all
}

func (s *shape) wants(k kinds) bool {
	for _, r := range s.rules {
		if r.kind&k != 0 {
			return true
		}
	}
	return false
}

func (s *shape) wantsText() bool   { return s.wants(textKind) }
func (s *shape) wantsNumber() bool { return s.wants(intKind) }

// describe says what is expected, in words.
func (s *shape) describe() string {
	if s.expect != "" {
		return s.expect
	}
	if c := s.choices(); len(c) > 1 {
		return "one of " + strings.Join(c, ", ")
	} else if len(c) == 1 {
		return c[0]
	}
	switch {
	case s.items != nil:
		return "a list"
	case s.fields != nil:
		return "a map with " + strings.Join(s.names, ", ")
	case s.each != nil:
		return "a map"
	case s.wantsNumber():
		return s.rules[0].span()
	case s.wants(boolKind):
		return "true or false"
	}
	return "text"
}

func (r *rule) span() string {
	switch {
	case r.min != nil && r.max != nil:
		return fmt.Sprintf("a whole number from %d to %d", *r.min, *r.max)
	case r.min != nil:
		return fmt.Sprintf("a whole number, %d or more", *r.min)
	}
	return "a whole number"
}
