//go:build e2e

package e2e

import (
	"strings"
	"testing"
)

// allowed is what zfs allow shows of a dataset itself, in one line.
func (p *place) allowed(below string) string {
	p.Helper()
	_, out, _ := strings.Cut(must(p.T, "zfs", "allow", p.pool+"/"+below), "\n")
	return strings.Join(strings.Fields(out), " ")
}

// TestChangeAllow: delegations and quotas of users, and the size of volumes.
func TestChangeAllow(t *testing.T) {
	a := func(allow string) string { return keyed + "  POOL/a: {allow: " + allow + "}\n" }
	rows(t, []row{
		{
			name: "delegate permissions", before: keyed + "  POOL/a: {}\n", after: a(`{"user:nobody": [send, hold], everyone: [mount]}`),
			verb: "update", risk: "safe", plan: []string{"zfs allow -u nobody hold,send POOL/a", "zfs allow -e mount POOL/a"},
			see: func(p *place) {
				p.want("allowed", p.allowed("a"), "Local+Descendent permissions: user nobody hold,send everyone mount")
			},
			twin: twin{
				after: a(`{"user:nobody": [send, hold], everyone: [mount], "group:nosuch": [send]}`),
				verb:  "blocked", risk: "safe", plan: []string{"this machine knows no group nosuch"},
				unchanged: func(p *place) {
					p.want("allowed", p.allowed("a"), "Local+Descendent permissions: user nobody hold,send everyone mount")
				},
			},
		},
		{
			name: "take permissions back", before: a(`{"user:nobody": [send, hold], everyone: [mount]}`), after: a(`{"user:nobody": [send]}`),
			hand: func(p *place) { must(p.T, "zfs", "allow", "-u", "root", "snapshot", p.pool+"/a") }, // somebody's own stays
			verb: "update", risk: "disruptive", plan: []string{"zfs unallow -u nobody hold POOL/a", "zfs unallow -e mount POOL/a"},
			see: func(p *place) {
				p.want("allowed", p.allowed("a"), "Local+Descendent permissions: user root snapshot user nobody send")
			},
			twin: twin{
				after: a(`{"user:nobody": [send], "user:nosuch": [send]}`), verb: "blocked", risk: "safe", plan: []string{"this machine knows no user nosuch"},
				unchanged: func(p *place) {
					p.want("allowed", p.allowed("a"), "Local+Descendent permissions: user root snapshot user nobody send")
				},
			},
		},
		{
			name: "set a user's quota", before: keyed + "  POOL/a: {}\n", after: keyed + "  POOL/a: {properties: {\"userquota@nobody\": 20M}}\n",
			verb: "update", risk: "disruptive", plan: []string{"userquota@nobody=20971520"},
			see: func(p *place) { p.want("quota", p.get("userquota@nobody", "a"), "20971520") },
			twin: twin{
				after: keyed + "  POOL/a: {properties: {\"userquota@nobody\": 20M, \"userquota@nosuch\": 20M}}\n",
				verb:  "blocked", risk: "safe", plan: []string{"knows no such user"},
				unchanged: func(p *place) { p.want("quota", p.get("userquota@nobody", "a"), "20971520") },
			},
		},
		{
			name: "grow a volume", before: keyed + "  POOL/v: {volume: {size: 16M}}\n", after: keyed + "  POOL/v: {volume: {size: 32M}}\n",
			verb: "update", risk: "irreversible", plan: []string{"zfs set volsize=33554432 POOL/v"},
			see: func(p *place) { p.want("size", p.get("volsize", "v"), "33554432") },
			twin: twin{
				after: keyed + "  POOL/v: {volume: {size: 8M}}\n", verb: "update", risk: "destructive", plan: []string{"volsize=8388608"},
				unchanged: func(p *place) { p.want("size", p.get("volsize", "v"), "33554432") },
				applied:   func(p *place) { p.want("size", p.get("volsize", "v"), "8388608") },
			},
		},
	})
}
