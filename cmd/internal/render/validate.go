package render

import (
	"errors"
	"io"

	"github.com/hashicorp/go-multierror"

	"github.com/dplaneos/dplane/spec"
)

type validateDocument struct {
	Version  int       `json:"version"`
	Valid    bool      `json:"valid"`
	Errors   []problem `json:"errors"`
	Warnings []problem `json:"warnings"`
}

type problem struct {
	File     string `json:"file"`
	Line     int    `json:"line"`
	Column   int    `json:"column"`
	Path     string `json:"path"`
	Message  string `json:"message"`
	Expected string `json:"expected"`
	Example  string `json:"example"`
}

// ValidateJSON is the document of a validation: the configuration (nil where it is invalid), and the
// loader's error.
func ValidateJSON(s *spec.Spec, err error) ([]byte, error) {
	return document(newValidate(s, err))
}

// InvalidJSON is what a command that found the configuration invalid prints: an error's document, and in it
// what a validation says.
func InvalidJSON(err error) ([]byte, error) {
	return document(struct {
		errorDocument
		validateDocument
	}{errorDocument{errorBody{"the configuration is invalid: " + err.Error(), "dplane validate shows every error with its place"}}, newValidate(nil, err)})
}

func newValidate(s *spec.Spec, err error) validateDocument {
	d := validateDocument{Version: 1, Valid: err == nil, Errors: []problem{}, Warnings: []problem{}}
	for _, e := range problems(err) {
		d.Errors = append(d.Errors, newProblem(e))
	}
	if s != nil {
		for i := range s.Warnings {
			d.Warnings = append(d.Warnings, newProblem(&s.Warnings[i]))
		}
	}
	return d
}

func newProblem(p *spec.Problem) problem {
	return problem{p.Pos.File, p.Pos.Line, p.Pos.Column, p.Path, p.Message, p.Expected, p.Example}
}

// problems takes a loader's error apart; an error of another kind is a problem without a place.
func problems(err error) []*spec.Problem {
	if err == nil {
		return nil
	}
	var all []*spec.Problem
	var many *multierror.Error
	if !errors.As(err, &many) {
		many = &multierror.Error{Errors: []error{err}}
	}
	for _, e := range many.Errors {
		var p *spec.Problem
		if !errors.As(e, &p) {
			p = &spec.Problem{Message: e.Error()}
		}
		all = append(all, p)
	}
	return all
}

// ValidateText writes a validation for people: each problem with its place, what is expected and an
// example, or what was found valid.
func ValidateText(w io.Writer, s *spec.Spec, err error) error {
	t := &text{}
	found := problems(err)
	for _, p := range found {
		t.problem("", p)
	}
	warnings := 0
	if s != nil {
		warnings = len(s.Warnings)
		for i := range s.Warnings {
			t.problem("warning: ", &s.Warnings[i])
		}
	}
	verdict := ""
	if len(found) > 0 {
		verdict = "Invalid: " + count(len(found), "error")
	} else if s != nil {
		verdict = "Valid: " + count(len(s.Files), "file") + ", " + count(len(s.Pools), "pool") + ", " + count(len(s.Datasets), "dataset") + ", generation " + short(s.Generation)
	}
	if verdict == "" {
		return t.writeTo(w)
	}
	if warnings > 0 {
		verdict += ", " + count(warnings, "warning")
	}
	t.printf("%s.\n", verdict)
	return t.writeTo(w)
}

func (t *text) problem(prefix string, p *spec.Problem) {
	place := ""
	if p.Pos.File != "" {
		place = clean(p.Pos.String()) + ": "
	}
	if p.Path != "" {
		place += clean(p.Path) + ": "
	}
	for i, line := range splitLines(p.Message) {
		if i == 0 {
			line = place + prefix + line
		} else {
			line = "    " + line
		}
		t.printf("%s\n", line)
	}
	if p.Expected != "" {
		t.lines("    ", "expected:", p.Expected)
	}
	if p.Example != "" {
		t.lines("    ", "example: ", p.Example)
	}
}
