package spec

import (
	"os"
	"strings"
)

// policyPath is where the body of a lone schedule stands while the rules look at it.
const policyPath = "schedules.policy"

// LoadScheduleFile reads a file that holds the body of one schedule and nothing else: what stands below its name in
// the configuration. The file is found from the working directory. Errors as Load's.
func LoadScheduleFile(path string) (*Schedule, error) {
	l := &loader{spec: &Spec{}, taken: map[Pos]bool{}}
	l.loadSchedule(path)
	for _, p := range l.problems {
		p.Path = strings.TrimPrefix(strings.TrimPrefix(p.Path, policyPath), ".")
	}
	if err := l.problems.Err(); err != nil {
		return nil, err
	}
	return l.spec.Schedules["policy"], nil
}

func (l *loader) loadSchedule(path string) {
	var err error
	if l.shape, err = l.opts.Cache.shape(); err != nil {
		l.problem(Pos{}, "", "the built-in schema is broken: %v", err)
		return
	}
	top := Pos{path, 1, 1}
	data, err := readAny(path)
	if err != nil {
		l.problem(top, "", "%v", cause(err)).want("a readable file with the body of one schedule", "keep: {hourly: 24, daily: 30}")
		return
	}
	docs, problems, _ := parseFile(path, data)
	l.problems = append(l.problems, problems...)
	if len(docs) != 1 {
		if len(problems) == 0 {
			l.problem(top, "", "holds %d schedules", len(docs)).want("the body of one", "keep: {hourly: 24, daily: 30}")
		}
		return
	}
	body := docs[0]
	policies := &node{kind: mapNode, pos: body.pos, keys: []entry{{"policy", body.pos, body}}}
	l.root = &node{kind: mapNode, keys: []entry{{"schedules", body.pos, policies}}}
	l.settle()
	l.check(l.shape, l.root, spot{})
	l.settle()
	l.spec.Schedules = decodeMap[string](cursor{l: l, n: l.root}.get("schedules"), l.schedule)
	for _, p := range l.problems {
		l.complete(p)
	}
}

// readAny reads a file that a person named: a pipe will do.
func readAny(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readAll(f)
}
