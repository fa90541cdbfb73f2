package spec

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"unicode"
)

func (l *loader) ha(c cursor) *HA {
	h := &HA{
		Pos:         c.key,
		Active:      c.get("active").text(),
		ActivePos:   c.get("active").key,
		Hooks:       c.get("hooks").haHooks(),
		MaxLag:      Lag{Time: c.get("maxLag").get("time").duration(0, second), Bytes: c.get("maxLag").get("bytes").size()},
		Peers:       decodeMap[string](c.get("peers"), l.peer),
		Heartbeat:   Heartbeat{Every: c.get("heartbeat").get("every").duration(defaultBeat, second), Misses: c.get("heartbeat").get("misses").number(defaultMisses)},
		Fencing:     c.get("fencing").fencing(),
		StartAlone:  c.get("startAlone").duration(0, second),
		Consistency: c.get("consistency").text(),
		Failover:    c.get("failover").failover(),
	}
	for _, d := range c.get("datasets").list() {
		h.Datasets = append(h.Datasets, d.datasetName())
	}
	if v := c.get("virtualAddress"); v.there() {
		h.VirtualAddress = v.virtualAddress()
	}
	if w := c.get("watchdog"); w.there() {
		h.Watchdog = &Watchdog{Device: w.get("device").textOr(defaultWatchdog), Required: w.get("required").flag(false)}
	}
	return h
}

func (c cursor) haHooks() []HAHook {
	var all []HAHook
	for _, h := range c.list() {
		h.exactlyOne(words("unit run"))
		h.get("run").checkArgv()
		all = append(all, HAHook{Unit: h.get("unit").text(), Run: h.get("run").texts(), Timeout: h.get("timeout").duration(defaultHook, second)})
	}
	return all
}

func (c cursor) virtualAddress() *VirtualAddress {
	a := c.get("address")
	if a.there() {
		if _, err := netip.ParsePrefix(a.text()); err != nil {
			a.bad("%s is no address with its prefix length", quote(a.text())).Example = "10.0.0.10/24"
		}
	}
	return &VirtualAddress{Address: a.text(), Interface: c.get("interface").text()}
}

func (l *loader) peer(name string, c cursor) *Peer {
	c.checkName("peer", name)
	p := &Peer{Name: name, Pos: c.key, Address: c.get("address").text(), Identity: c.get("identity").text(), Remote: c.get("remote").text()}
	if a := c.get("address"); a.there() && !validURL(p.Address) {
		a.bad("%s is no URL with a host and a port", quote(p.Address)).Example = "https://10.0.0.1:9443"
	}
	if id := c.get("identity"); id.there() {
		if _, ok := decodeHash(p.Identity); !ok {
			id.doubt("%s is no hash of a key: this peer is never recognised", quote(p.Identity)).want(wantIdentity, "sha256/47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=")
		}
	}
	return p
}

const wantIdentity = "sha256/ and 44 characters of base64: `dplane ha id` on that node prints it"

func validURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Hostname() != "" && validPort(u.Port()) && u.User == nil
}

// decodeHash takes the 32 bytes of SHA-256 in base64, with or without its padding, or in hex.
func decodeHash(identity string) (hash []byte, ok bool) {
	s, ok := strings.CutPrefix(identity, "sha256/")
	if !ok {
		return nil, false
	}
	for _, decode := range []func(string) ([]byte, error){
		base64.StdEncoding.DecodeString, base64.RawStdEncoding.DecodeString,
		base64.URLEncoding.DecodeString, base64.RawURLEncoding.DecodeString, hex.DecodeString,
	} {
		if b, err := decode(s); err == nil && len(b) == 32 {
			return b, true
		}
	}
	return nil, false
}

func (c cursor) fencing() map[string][]FenceLevel {
	if !c.there() || c.n.kind != mapNode {
		return nil
	}
	m := map[string][]FenceLevel{}
	names, values := c.entries()
	for i, peer := range names {
		m[peer] = []FenceLevel{}
		for _, level := range values[i].list() {
			m[peer] = append(m[peer], level.fenceLevel())
		}
	}
	return m
}

func (c cursor) fenceLevel() FenceLevel {
	if c.n.kind == mapNode {
		return FenceLevel{c.fenceDevice()}
	}
	if len(c.n.items) == 0 {
		c.bad("a level with no fence agent").Example = "{agent: fence_ipmilan}"
	}
	level := FenceLevel{}
	for _, d := range c.list() {
		level = append(level, d.fenceDevice())
	}
	return level
}

func (c cursor) fenceDevice() FenceDevice {
	d := FenceDevice{Agent: c.get("agent").text(), SecretFile: c.get("secretFile").text(), Timeout: c.get("timeout").duration(defaultFence, second)}
	names, values := c.get("parameters").entries()
	for i, name := range names {
		if d.Parameters == nil {
			d.Parameters = map[string]string{}
		}
		d.Parameters[name] = values[i].text()
		if err := CheckFenceParameter(name, values[i].text()); err != nil {
			values[i].badKey("%v", err).want("a name, and a value of one line", "ip: 10.0.1.2")
		}
		if SecretParameter(name) && values[i].text() != "" { // the files go into dplane's database, as they are
			values[i].badKey("a secret in the files would be in git, and in dplane's history").want("it in secretFile, as a line "+name+"=...", "secretFile: /etc/dplaneos-keys/ipmi")
		}
	}
	return d
}

var secretParameter = regexp.MustCompile(`(?i)passw|passphrase|secret|token|community|pwd|api_?key`)

// SecretParameter tells by the name of a fence agent's parameter whether it holds a secret. A path to one, or to a program
// that prints one, is none.
func SecretParameter(name string) bool {
	lower := strings.ToLower(name)
	return secretParameter.MatchString(name) && !strings.HasSuffix(lower, "script") && !strings.HasSuffix(lower, "file")
}

// CheckFenceParameter tells why an agent would take a parameter for something else: it reads lines of key=value, and its
// line may end where ours does not (Python takes a carriage return for the end of one).
func CheckFenceParameter(name, value string) error {
	strange := func(r rune) bool { return unicode.IsControl(r) && r != '\t' || r == '\u2028' || r == '\u2029' }
	switch {
	case name == "" || strings.ContainsAny(name, "= \t") || strings.HasPrefix(name, "#") || strings.IndexFunc(name, strange) >= 0:
		return fmt.Errorf("%s is no name of a parameter: it is empty, or has a blank, = or # in it", quote(name))
	case strings.IndexFunc(value, strange) >= 0:
		return fmt.Errorf("the parameter %s has a line break or a control character", quote(name))
	case name == "action" || name == "option":
		return errors.New("the action is chosen by dplane")
	}
	return nil
}

func (c cursor) failover() Failover {
	f := Failover{
		Mode:     c.get("mode").textOr(defaultMode),
		TTL:      c.get("ttl").duration(defaultTTL, second),
		Failsafe: c.get("failsafe").flag(false),
		Block:    c.get("block").duration(defaultBlock, 0),
	}
	etcd := c.get("etcd")
	if !etcd.there() {
		return f
	}
	tls := etcd.get("tls")
	f.Etcd = &Etcd{Endpoints: etcd.get("endpoints").texts(), CA: tls.get("ca").text(), Cert: tls.get("cert").text(), Key: tls.get("key").text()}
	for _, e := range etcd.get("endpoints").list() {
		if !validURL(e.text()) {
			e.bad("%s is no URL with a host and a port", quote(e.text())).Example = "https://10.0.0.1:2379"
		}
	}
	return f
}
