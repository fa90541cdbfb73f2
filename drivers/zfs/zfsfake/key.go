package zfsfake

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
)

// KeyFile is a small file that the machine is told to have, with what is in it.
type KeyFile struct {
	Text        string
	Mode, Owner string
}

// encryptionRoot is the dataset whose key unlocks this one, "" for a plain one.
func (p *Pool) encryptionRoot(name string) string {
	if v := p.Datasets[name].Fixed["encryption"]; v == "" || v == "off" {
		return ""
	}
	for at := name; at != ""; at = parent(at) {
		if p.Datasets[at].Key != "" {
			return at
		}
		for other, d := range p.Datasets {
			if d.GUID == p.Datasets[at].KeyOf && d.Key != "" {
				return other
			}
		}
	}
	return name
}

// promoted is what becomes of keys: where the origin was an encryption root, the clone is now, also of all that were below
// that, wherever they are; and its key is not loaded any more (2.3.9).
func (p *Pool) promoted(name, origin string) {
	d, of := p.Datasets[name], p.Datasets[origin]
	if of.Key == "" {
		return
	}
	for n, x := range p.Datasets {
		if p.encryptionRoot(n) == origin {
			defer func() { x.KeyOf = d.GUID }()
		}
	}
	d.Key, d.Unloaded, d.Local["keylocation"] = of.Key, true, of.Local["keylocation"]
	d.Fixed["keyformat"], d.Fixed["pbkdf2iters"] = of.Fixed["keyformat"], of.Fixed["pbkdf2iters"]
	delete(of.Local, "keylocation")
	of.Key = ""
}

// locked tells whether the key of a dataset is not loaded.
func (p *Pool) locked(name string) bool {
	root := p.encryptionRoot(name)
	return root != "" && p.Datasets[root].Unloaded
}

// secret reads the key material of a location, as get_key_material_raw in lib/libzfs/libzfs_crypto.c does.
func (k *call) secret(format, location string) (string, *refusal) {
	file, isFile := strings.CutPrefix(location, "file://")
	text := ""
	switch {
	case !isFile:
		text = k.readStdin()
		if text == "" {
			return "", refuse(255, "encryption failure")
		}
	case k.Keys[file] == nil:
		return "", refuse(255, "Failed to open key material file: No such file or directory")
	default:
		text = k.Keys[file].Text
	}
	if format != "raw" {
		text, _, _ = strings.Cut(text, "\n")
	}
	return checkSecret(format, text)
}

func checkSecret(format, text string) (string, *refusal) {
	bounds := map[string]struct {
		least, most  int
		short, large string
	}{
		"raw":        {32, 32, "Raw key too short (expected 32).", "Raw key too long (expected 32)."},
		"hex":        {64, 64, "Hex key too short (expected 64).", "Hex key too long (expected 64)."},
		"passphrase": {8, 512, "Passphrase too short (min 8).", "Passphrase too long (max 512)."},
	}[format]
	switch {
	case len(text) < bounds.least:
		return "", refuse(255, "%s", bounds.short)
	case len(text) > bounds.most:
		return "", refuse(255, "%s", bounds.large)
	case format == "hex" && strings.Trim(strings.ToLower(text), "0123456789abcdef") != "":
		return "", refuse(255, "Invalid hex character detected.")
	}
	return format + ":" + text, nil
}

// keyProperties parts the three properties of a key from the others.
func keyProperties(all []assignment) (key map[string]string, rest []assignment) {
	key = map[string]string{}
	for _, a := range all {
		switch a.name {
		case "encryption", "keyformat", "keylocation", "pbkdf2iters":
			key[a.name] = a.value
		default:
			rest = append(rest, a)
		}
	}
	return key, rest
}

// encrypt makes a new dataset encrypted as its create command and its parent say (zfs_crypto_create).
func (k *call) encrypt(d, up *Dataset, key map[string]string) *refusal {
	under := up != nil && up.Fixed["encryption"] != "" && up.Fixed["encryption"] != "off"
	on := key["encryption"] != "" && key["encryption"] != "off"
	if key["encryption"] == "off" && !under {
		return nil
	}
	format, location := key["keyformat"], key["keylocation"]
	switch {
	case key["encryption"] == "off": // a plain one below an encrypted one
		for _, n := range []string{"encryption", "keyformat", "pbkdf2iters"} {
			delete(d.Fixed, n)
		}
		return nil
	case !on && !under && (format != "" || location != "" || key["pbkdf2iters"] != ""):
		return refuse(1, "Encryption must be turned on to set encryption properties.")
	case !on && !under, format == "" && location == "" && under:
		return nil // plain, or with its parent's key
	case format == "":
		return refuse(1, "Keyformat required for new encryption root.")
	}
	if location == "" {
		location = "prompt"
	}
	secret, r := k.secret(format, location)
	if r != nil {
		return refuse(1, "%s", r.text)
	}
	if key["pbkdf2iters"] != "" && format != "passphrase" {
		return refuse(1, "Cannot specify pbkdf2iters with a non-passphrase keyformat.")
	}
	d.Fixed["encryption"] = "aes-256-gcm"
	if v := key["encryption"]; on && v != "on" {
		d.Fixed["encryption"] = v
	}
	d.rekey(secret, format, location, key["pbkdf2iters"])
	return nil
}

// rekey makes a dataset an encryption root with this key.
func (d *Dataset) rekey(secret, format, location, iterations string) {
	if iterations == "" {
		iterations = map[bool]string{true: "350000", false: "0"}[format == "passphrase"]
	}
	d.Key, d.Unloaded = secret, false
	d.Fixed["keyformat"], d.Fixed["pbkdf2iters"] = format, iterations
	d.Local["keylocation"] = location
}

// zfsLoadKey is `zfs load-key [-n] [-L LOCATION] NAME`.
func (k *call) zfsLoadKey(args []string) int {
	opts, operands, ok := getopt(args, "nL:")
	if !ok || len(operands) != 1 {
		return k.usage()
	}
	name := operands[0]
	p, d, code := k.open(name)
	if d == nil {
		return code
	}
	noop := opts.has('n')
	r := k.loadable(p, name, noop)
	if r == nil {
		secret, bad := k.secret(d.Fixed["keyformat"], opts.last('L', d.Local["keylocation"]))
		r = bad
		if bad == nil && secret != d.Key {
			r = refuse(255, "Incorrect key provided for '%s'.", name)
		}
	}
	if noop {
		k.printf("%d / 1 key(s) successfully verified\n", map[bool]int{true: 1}[r == nil])
	}
	if r != nil {
		return k.fail(255, "Key load error: %s", r.text)
	}
	if !noop && k.write(p) {
		d.Unloaded = false
	}
	return 0
}

func (k *call) loadable(p *Pool, name string, noop bool) *refusal {
	switch root := p.encryptionRoot(name); {
	case root == "":
		return refuse(255, "'%s' is not encrypted.", name)
	case root != name:
		return refuse(255, "Keys must be loaded for encryption root of '%s' (%s).", name, root)
	case !noop && !p.Datasets[name].Unloaded:
		return refuse(255, "Key already loaded for '%s'.", name)
	}
	return nil
}

func (k *call) zfsUnloadKey(args []string) int {
	if len(args) != 1 {
		return k.usage()
	}
	name := args[0]
	p, d, code := k.open(name)
	if d == nil {
		return code
	}
	var r *refusal
	switch root := p.encryptionRoot(name); {
	case root == "":
		r = refuse(255, "'%s' is not encrypted.", name)
	case root != name:
		r = refuse(255, "Keys must be unloaded for encryption root of '%s' (%s).", name, root)
	case d.Unloaded:
		r = refuse(255, "Key already unloaded for '%s'.", name)
	}
	for _, n := range p.below(name) {
		if r == nil && p.Datasets[n].Mounted && p.encryptionRoot(n) == name {
			r = refuse(255, "'%s' is busy.", name)
		}
	}
	if r != nil {
		return k.fail(255, "Key unload error: %s", r.text)
	}
	if k.write(p) {
		d.Unloaded = true
	}
	return 0
}

// zfsChangeKey is `zfs change-key [-i] [-o keyformat=F] [-o keylocation=L] [-o pbkdf2iters=N] NAME`.
func (k *call) zfsChangeKey(args []string) int {
	opts, operands, ok := getopt(args, "io:")
	if !ok || len(operands) != 1 {
		return k.usage()
	}
	all, r := assignments(opts['o'])
	if r != nil {
		return k.refused(r)
	}
	p, d, code := k.open(operands[0])
	if d == nil {
		return code
	}
	if r := k.changeKey(p, d, operands[0], all, opts.has('i')); r != nil {
		return k.fail(255, "Key change error: %s", r.text)
	}
	return 0
}

func (k *call) changeKey(p *Pool, d *Dataset, name string, all []assignment, give bool) *refusal {
	key, _ := keyProperties(all)
	root := p.encryptionRoot(name)
	switch {
	case root == "":
		return refuse(255, "Dataset not encrypted.")
	case p.locked(name):
		return refuse(255, "Key must be loaded.")
	case give && (root != name || p.encryptionRoot(parent(name)) == ""):
		return refuse(255, "Key inheritting can only be performed on encryption roots.")
	case give:
		if k.write(p) {
			d.Key = ""
			delete(d.Local, "keylocation")
		}
		return nil
	case root != name && key["keyformat"] == "":
		return refuse(255, "Keyformat required for new encryption root.")
	}
	format, location := d.Fixed["keyformat"], d.Local["keylocation"]
	if f := key["keyformat"]; f != "" {
		format = f
	}
	if l := key["keylocation"]; l != "" {
		location = l
	} else if location == "" {
		location = "prompt"
	}
	secret, r := k.secret(format, location)
	if r == nil && k.write(p) {
		d.rekey(secret, format, location, key["pbkdf2iters"])
		for _, n := range p.below(name) {
			if p.encryptionRoot(n) == name { // what takes it over shows its form
				p.Datasets[n].Fixed["keyformat"], p.Datasets[n].Fixed["pbkdf2iters"] = d.Fixed["keyformat"], d.Fixed["pbkdf2iters"]
			}
		}
	}
	return r
}

// keyLocation is what `zfs set keylocation` refuses.
func (p *Pool) keyLocation(name, value string) *refusal {
	switch root := p.encryptionRoot(name); {
	case value != "prompt" && value != "none" && !strings.HasPrefix(value, "file:///") && !strings.HasPrefix(value, "https://"):
		return refuse(255, "invalid keylocation")
	case root == "" && value != "none":
		return refuse(255, "keylocation must be 'none' for unencrypted datasets")
	case root != name && root != "":
		return refuse(255, "keylocation may only be set on encryption roots")
	}
	return nil
}

// readStdin is what is typed.
func (k *call) readStdin() string {
	var b strings.Builder
	if k.stdin != nil {
		if _, err := fmt.Fscanln(k.stdin, &b); err != nil {
			buf := make([]byte, 1024)
			n, _ := k.stdin.Read(buf)
			b.Write(buf[:n])
		}
	}
	return b.String()
}

// statKey is a line of `stat -L -c %F|%u|%a|%s|%n FILE`.
func (m *Model) statKey(file string) (string, bool) {
	if f := m.Keys[file]; f != nil {
		kind := "regular file"
		if f.Text == "" {
			kind = "regular empty file"
		}
		return fmt.Sprintf("%s|%s|%s|%d|%s\n", kind, f.Owner, f.Mode, len(f.Text), file), true
	}
	if _, dir := m.Dirs[file]; dir {
		return fmt.Sprintf("directory|0|755|4096|%s\n", file), true
	}
	return "", false
}

// stats is stat with that format, for many files.
func (k *call) stats(files []string) int {
	code := 0
	for _, file := range files {
		line, ok := k.statKey(file)
		if !ok {
			code = k.fail(1, "stat: cannot statx '%s': No such file or directory", file)
			continue
		}
		k.printf("%s", line)
	}
	return code
}

// grep is `grep -E -x -a -v -c -H -e PATTERN -- FILES` with one of two patterns.
func (k *call) grep() int {
	args := k.argv[1:]
	if slices.Contains(args, "--include=backing_file") {
		return k.serving()
	}
	at := slices.Index(args, "--")
	if at < 2 || args[at-2] != "-e" {
		return k.fail(2, "grep: this model knows -c -H -e PATTERN -- FILE alone")
	}
	code := 1
	for _, file := range args[at+1:] {
		f := k.Keys[file]
		if f == nil {
			code = k.fail(2, "grep: %s: No such file or directory", file)
			continue
		}
		n := 0
		for line := range strings.Lines(f.Text) {
			if _, r := checkSecret(map[bool]string{true: "hex", false: "passphrase"}[strings.Contains(args[at-1], "{64}")], strings.TrimSuffix(line, "\n")); r != nil {
				n++
			}
		}
		k.printf("%s:%d\n", file, n)
		if n > 0 && code == 1 {
			code = 0
		}
	}
	return code
}

// keyFile adds a file: PATH TEXT [MODE [OWNER]]. The text raw:N is N bytes.
func (m *Model) keyFile(file string, rest []string) error {
	if !path.IsAbs(file) || len(rest) == 0 {
		return fmt.Errorf("key file %s has no text", file)
	}
	f := &KeyFile{Text: rest[0], Mode: "600", Owner: "0"}
	if n, ok := strings.CutPrefix(f.Text, "raw:"); ok {
		size, err := strconv.Atoi(n)
		if err != nil {
			return err
		}
		f.Text = strings.Repeat("k", size)
	}
	if len(rest) > 1 {
		f.Mode = rest[1]
	}
	if len(rest) > 2 {
		f.Owner = rest[2]
	}
	if m.Keys == nil {
		m.Keys = map[string]*KeyFile{}
	}
	m.Keys[file] = f
	return nil
}

// AddKey tells the machine of a key file of root's, 0600.
func (f *Fake) AddKey(file, text string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.Model.Keys == nil {
		f.Model.Keys = map[string]*KeyFile{}
	}
	f.Model.Keys[file] = &KeyFile{Text: text, Mode: "600", Owner: "0"}
}

// lock is what an export does to keys: none is loaded when the pool comes back.
func (p *Pool) lock() {
	for _, d := range p.Datasets {
		d.Unloaded = d.Key != ""
	}
}
