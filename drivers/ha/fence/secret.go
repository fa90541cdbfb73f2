package fence

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"net/url"
	"slices"
	"strings"
	"unicode"

	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/spec"
)

// secrets are what an agent was told and nobody else is to read, in the forms in which agents print it.
type secrets struct{ forms []string }

// harmless are values that a file of secrets may hold beside them: without them gone, no sentence is left whole.
var harmless = strings.Fields("0 1 yes no on off true false")

// newSecrets takes all of the file of secrets, and of the parameters those whose names tell.
func newSecrets(parameters, hidden map[string]string) *secrets {
	var values []string
	for _, v := range hidden {
		values = append(values, v)
	}
	for k, v := range parameters {
		if spec.SecretParameter(k) {
			values = append(values, v)
		}
	}
	s := &secrets{}
	for _, v := range values {
		if slices.Contains(harmless, v) {
			continue
		}
		for _, user := range []string{"username", "login"} {
			for _, m := range []map[string]string{parameters, hidden} {
				if name := m[user]; name != "" { // as HTTP has it
					s.add(base64.StdEncoding.EncodeToString([]byte(name + ":" + v)))
				}
			}
		}
		for _, v := range []string{v, strings.TrimSpace(v), strings.Trim(strings.TrimSpace(v), `"`)} { // as agents read it
			quoted, _ := json.Marshal(v)
			s.add(v, url.QueryEscape(v), url.PathEscape(v), html.EscapeString(v), strings.Trim(string(quoted), `"`),
				strings.ReplaceAll(v, `'`, `\'`), strings.ReplaceAll(v, `'`, `'"'"'`), base64.StdEncoding.EncodeToString([]byte(v)))
		}
	}
	slices.SortFunc(s.forms, func(a, b string) int { // one that is part of another must not break that up
		return cmp.Or(cmp.Compare(len(b), len(a)), strings.Compare(a, b))
	})
	return s
}

func (s *secrets) add(forms ...string) {
	for _, f := range forms {
		if strings.TrimSpace(f) != "" && !slices.Contains(s.forms, f) {
			s.forms = append(s.forms, f)
		}
	}
}

// Of what an agent printed the end is told; much of it was cut off already, and that might be in the middle of a secret.
const (
	shownAtMost = 300 // bytes
	readAtMost  = 1 << 18
)

// shown is the end of what an agent said, on one line, without the secrets: they are taken out before anything is cut off or
// joined, for half of one is one too.
func (s *secrets) shown(res host.Result) string {
	text := string(res.Stderr)
	if strings.TrimSpace(text) == "" {
		text = string(res.Stdout)
	}
	if len(text) > readAtMost {
		return fmt.Sprintf("it printed %d bytes", len(text))
	}
	for _, form := range s.forms {
		text = strings.ReplaceAll(text, form, "***")
	}
	text = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, strings.ToValidUTF8(text, " "))
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > shownAtMost { // the cause stands last
		text = "..." + strings.ToValidUTF8(text[len(text)-shownAtMost:], "")
	}
	return cmp.Or(text, "no message")
}
