package spec

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // zones must not depend on what is installed
)

var recurKeys = words("every daily weekly monthly cron")

// recur reads what recurs; nil where nothing is said.
func (c cursor) recur() *Recur {
	if !c.there() || c.n.kind != mapNode {
		return nil
	}
	r := c.recurrence()
	c.exactlyOne(recurKeys)
	return r
}

func (c cursor) recurrence() *Recur {
	r := &Recur{
		Every:    c.get("every").duration(0, second),
		Daily:    c.get("daily").text(),
		Weekly:   weekly(c.get("weekly").text()),
		Monthly:  c.get("monthly").text(),
		Cron:     strings.Join(strings.Fields(strings.ToLower(c.get("cron").text())), " "),
		Timezone: c.get("timezone").text(),
		Window:   c.get("window").text(),
		Pos:      c.key,
	}
	c.get("timezone").checkZone()
	if w := c.get("window"); w.there() {
		if from, to, _ := strings.Cut(r.Window, "-"); from == to {
			w.bad("the window %s has no length", quote(r.Window)).Expected = "two different times"
		}
	}
	if cron := c.get("cron"); cron.there() {
		if err := checkCron(r.Cron); err != nil {
			p := cron.bad("%v", err)
			p.Expected, p.Example = "minute, hour, day of month, month, day of week", `"0 3 * * sun"`
		}
	}
	return r
}

// weekly has the day in its short form: sun 02:00.
func weekly(s string) string {
	day, at, ok := strings.Cut(strings.ToLower(s), " ")
	if !ok || len(day) < 3 {
		return s
	}
	return day[:3] + " " + at
}

// exactlyOne reports a map with none or several of the keys.
func (c cursor) exactlyOne(keys []string) {
	if c.n.kind != mapNode {
		return // said by the schema
	}
	var have []string
	for _, k := range keys {
		if c.get(k).there() {
			have = append(have, k)
		}
	}
	if len(have) == 1 || len(have) == 0 && c.faulty() {
		return
	}
	message := "none of them is there"
	if len(have) > 1 {
		message = strings.Join(have, " and ") + " exclude each other"
	}
	c.badKey("%s", message).Expected = "exactly one of " + strings.Join(keys, ", ")
}

func (c cursor) checkZone() {
	name := c.text()
	if name == "" {
		return
	}
	if _, err := time.LoadLocation(name); err != nil || name == "Local" {
		p := c.bad("there is no time zone %s", quote(name))
		p.Expected, p.Example = "an IANA time zone", "Europe/Berlin"
	}
}

var (
	weekdays = words("sun mon tue wed thu fri sat")
	months   = words("jan feb mar apr may jun jul aug sep oct nov dec")
)

// cronField is one of the five, with the words that may stand for its numbers.
type cronField struct {
	name  string
	min   int
	max   int
	words []string
	first int // number of the first word
}

var cronFields = []cronField{
	{"minute", 0, 59, nil, 0}, {"hour", 0, 23, nil, 0}, {"day of month", 1, 31, nil, 0},
	{"month", 1, 12, months, 1}, {"day of week", 0, 7, weekdays, 0},
}

// checkCron takes five fields (crontab(5)) of lists, ranges and steps, lower case.
func checkCron(s string) error {
	parts := strings.Fields(s)
	if len(parts) != len(cronFields) {
		return fmt.Errorf("%s has %s", quote(s), plural(len(parts), "field"))
	}
	for i, p := range parts {
		for _, item := range strings.Split(p, ",") {
			if err := cronFields[i].check(item); err != nil {
				return err
			}
		}
	}
	if first, longest := earliest(parts[2]), longest(parts[3]); parts[4] == "*" && first > longest {
		return fmt.Errorf("%s never comes: no month of it has a day %d", quote(s), first)
	}
	return nil
}

// earliest is the first day of a valid field.
func earliest(days string) int {
	first := 31
	for _, item := range strings.Split(days, ",") {
		from, _, _ := strings.Cut(item, "/")
		from, _, _ = strings.Cut(from, "-")
		n, ok := cronFields[2].number(from)
		if !ok {
			n = 1 // *
		}
		first = min(first, n)
	}
	return first
}

// longest is the most days that a month of a valid field has; a range is taken to hold a long one.
func longest(months string) int {
	most := 0
	for _, item := range strings.Split(months, ",") {
		span, _, stepped := strings.Cut(item, "/")
		from, _, ranged := strings.Cut(span, "-")
		n, ok := cronFields[3].number(from)
		switch {
		case !ok, stepped, ranged:
			return 31
		case n == 2:
			most = max(most, 29)
		case n == 4, n == 6, n == 9, n == 11:
			most = max(most, 30)
		default:
			return 31
		}
	}
	return most
}

func (f cronField) check(item string) error {
	span, step, stepped := strings.Cut(item, "/")
	if n, err := strconv.Atoi(step); stepped && (err != nil || n < 1 || n > f.max) {
		return fmt.Errorf("%s is no step of the %s", quote(step), f.name)
	}
	if span == "*" {
		return nil
	}
	from, to, ranged := strings.Cut(span, "-")
	a, ok := f.number(from)
	if !ok {
		return fmt.Errorf("%s is no %s", quote(from), f.name)
	}
	if !ranged {
		return nil
	}
	b, ok := f.number(to)
	if !ok || b < a {
		return fmt.Errorf("%s is no range of the %s", quote(span), f.name)
	}
	return nil
}

func (f cronField) number(s string) (int, bool) {
	for i, w := range f.words {
		if w == s {
			return i + f.first, true
		}
	}
	n, err := strconv.Atoi(s)
	return n, err == nil && n >= f.min && n <= f.max && s[0] != '+'
}

// checkFormat is for the names of snapshots: they must sort, tell minutes apart and be valid in ZFS.
func (c cursor) checkFormat() {
	if !c.there() || c.n.kind != scalarNode {
		return
	}
	text := c.text()
	plain, codes := "", ""
	for i := 0; i < len(text); i++ {
		if text[i] != '%' {
			plain += text[i : i+1]
			continue
		}
		if i++; i == len(text) || !strings.ContainsRune("YmdHMS", rune(text[i])) {
			c.badFormat("knows %Y %m %d %H %M %S alone")
			return
		}
		codes += text[i : i+1]
	}
	for _, need := range "YmdHM" {
		if !strings.ContainsRune(codes, need) {
			c.badFormat("lacks %" + string(need) + ": two snapshots could have one name")
			return
		}
	}
	if err := component("x" + plain); err != nil {
		c.badFormat(err.Error())
	}
}

func (c cursor) badFormat(why string) {
	p := c.bad("the format %s: %s", quote(c.text()), why)
	p.Expected, p.Example = "text with %Y %m %d %H %M %S", "GMT-%Y.%m.%d-%H.%M.%S"
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
