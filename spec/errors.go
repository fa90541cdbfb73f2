package spec

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/go-multierror"
)

// Problem is one thing that is wrong with the files (or, as a warning, doubtful), with its place.
type Problem struct {
	Pos      Pos
	Path     string // pools.tank.vdevs[1]; "" for a whole file
	Message  string
	Expected string // what would be right, in words
	Example  string // what could stand there
}

// Error is file:line:column: path: message, then what is expected.
func (p *Problem) Error() string {
	s := p.Pos.String() + ": "
	if p.Path != "" {
		s += p.Path + ": "
	}
	s += p.Message
	if p.Expected != "" {
		s += fmt.Sprintf("; expected %s", p.Expected)
	}
	if p.Example != "" {
		s += fmt.Sprintf(", such as: %s", p.Example)
	}
	return s
}

// want completes the message with what is expected and an example.
func (p *Problem) want(expected, example string) { p.Expected, p.Example = expected, example }

// Problems are all problems of all files; as an error it lists them in the order of file and line.
type Problems []*Problem

// Err joins the problems, nil where there are none.
func (ps Problems) Err() error {
	if len(ps) == 0 {
		return nil
	}
	ps.Sort()
	all := &multierror.Error{ErrorFormat: oneLineEach}
	for i, p := range ps {
		if i > 0 && p.Pos == ps[i-1].Pos && p.Message == ps[i-1].Message {
			continue // behind an anchor that is used in several places
		}
		all.Errors = append(all.Errors, p)
	}
	return all
}

// Sort orders by file, line, column and message.
func (ps Problems) Sort() {
	slices.SortStableFunc(ps, (*Problem).compare)
}

func (p *Problem) compare(q *Problem) int {
	return cmp.Or(cmp.Compare(p.Pos.File, q.Pos.File), cmp.Compare(p.Pos.Line, q.Pos.Line),
		cmp.Compare(p.Pos.Column, q.Pos.Column), cmp.Compare(p.Message, q.Message))
}

// oneLineEach is how many problems read in a log.
func oneLineEach(errs []error) string {
	lines := make([]string, len(errs))
	for i, e := range errs {
		lines[i] = e.Error()
	}
	return strings.Join(lines, "\n")
}
