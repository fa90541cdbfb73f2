package zfsfake

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/spec"
)

// StateVariable names the file in which fake programs keep their machine.
const StateVariable = "DPLANE_FAKE_STATE"

// Programs are the names under which Main can be called; Control changes the machine itself.
var Programs = []string{"zfs", "zpool", "blkid", "zdb", "lsblk", "wipefs", "losetup", "stat", "find", "readlink", "cat", "head", "ps", "pkill", "getent", "mount", "umount", Control}

// Control is a program that a script uses to say what machine this is:
//
//	zfsfake disk PATH SIZE [SIGNATURE]     a block device, with an ext4 or the like on it, or a table and a partition
//	zfsfake mount PATH [DIRECTORY]         a device is mounted, or no longer
//	zfsfake file PATH SIZE                 a regular file
//	zfsfake dir PATH [NAME...]             a directory, with what is in it
//	zfsfake user NAME...                   users and groups that quotas may name
//	zfsfake key PATH TEXT [MODE [OWNER]]   a key file; the text raw:N is N bytes
//	zfsfake write DATASET SIZE             puts data into a dataset
//	zfsfake log DATASET SIZE               the same, and a crash left it in the log
//	zfsfake busy DATASET                   somebody has a file of it open
//	zfsfake idle DATASET                   nobody has any more
//	zfsfake link PATH PATH                 another name of a device
//	zfsfake gone|back PATH                 a device of a pool can't be opened, or is here again
//	zfsfake finish POOL                    what of them runs ends
//	zfsfake suspend|hang|resume POOL       its devices are gone; not even reads answer; all is well
//	zfsfake module on|off                  the kernel module
//	zfsfake grow PATH SIZE                 a device of a pool became larger, and the kernel told ZFS
//	zfsfake foreign POOL                   it was exported, and used by another machine since
//	zfsfake slow on|off                    scrubs and trims that begin do not end
//	zfsfake cut BYTES...                   after how many bytes each of the next streams breaks; 0: it does not
//	zfsfake power off|on                   the machine loses its power, or boots
//	zfsfake missing PROGRAM...             programs that are not installed
//	zfsfake stall WORD... | nothing        a command that begins with these words has no end until it is told
//	                                       otherwise; while one runs, there is a file with the suffix .stalled
const Control = "zfsfake"

// Main runs one program on the machine in the file of StateVariable, under a lock that keeps programs apart.
// It gives the exit status: 127 for a program that is not installed, as a shell does.
func Main(argv0 string, args []string, stdout, stderr io.Writer) int {
	path := os.Getenv(StateVariable)
	if path == "" {
		fmt.Fprintf(stderr, "%s: %s is not set: it names the file of the pretended machine\n", argv0, StateVariable)
		return 126
	}
	if err := noteReceive(args); err != nil {
		fmt.Fprintf(stderr, "%s: %v\n", argv0, err)
		return 126
	}
	stdin, err := readAhead(args)
	if err != nil {
		fmt.Fprintf(stderr, "%s: %v\n", argv0, err)
		return 126
	}
	k, code, err := onFile(path, append([]string{filepath.Base(argv0)}, args...), stdin)
	for err == nil && k != nil && k.stalled {
		if err = os.WriteFile(path+".stalled", nil, 0o600); err != nil { // for a script to see
			break
		}
		time.Sleep(50 * time.Millisecond) // a real process, which has no clock to fake
		if k, code, err = onFile(path, append([]string{filepath.Base(argv0)}, args...), stdin); k != nil && !k.stalled {
			_ = os.Remove(path + ".stalled")
		}
	}
	switch {
	case errors.Is(err, host.ErrNotFound):
		fmt.Fprintf(stderr, "%s: command not found\n", argv0)
		return 127
	case err != nil:
		fmt.Fprintf(stderr, "%s: %v\n", argv0, err)
		return 126
	case k == nil:
		return code
	case k.hung:
		for { // until somebody kills it
			time.Sleep(time.Hour)
		}
	}
	if err := k.flush(stdout, stderr); err != nil {
		return 126
	}
	return code
}

// readAhead is standard input. What a receive reads is read before the machine is locked, for the sending end of the pipe
// may work on the same one.
func readAhead(args []string) (io.Reader, error) {
	if !receives(args) {
		return os.Stdin, nil
	}
	all, err := io.ReadAll(os.Stdin)
	return bytes.NewReader(all), err
}

func receives(args []string) bool {
	return len(args) > 0 && (args[0] == "receive" || args[0] == "recv") && !slices.Contains(args, "-A")
}

func noteReceive(args []string) error {
	if !receives(args) {
		return nil
	}
	return note(Happened{Mono: Mono(), Event: "recv_begin", Dataset: args[len(args)-1]})
}

// onFile loads the model, runs the command, and saves what changed.
func onFile(path string, argv []string, stdin io.Reader) (*call, int, error) {
	unlock, err := lock(path + ".lock")
	if err != nil {
		return nil, 0, err
	}
	defer unlock()
	f, err := Load(path)
	if err != nil {
		return nil, 0, err
	}
	var before map[string]string
	if os.Getenv(HistoryVariable) != "" {
		before = f.Model.writable()
	}
	if argv[0] == Control {
		if err := f.Model.control(argv[1:]); err != nil {
			return nil, 0, err
		}
		return nil, 0, f.saved(path, before)
	}
	k, code, err := f.call(argv, stdin)
	if err == nil && (k.wrote || k.spent) {
		err = f.saved(path, before)
	}
	return k, code, err
}

// saved saves what was changed, and notes it where there is a history.
func (f *Fake) saved(path string, before map[string]string) error {
	at := Mono()
	if err := f.Save(path); err != nil || before == nil {
		return err
	}
	return note(changed(before, f.Model.writable(), at)...)
}

func lock(path string) (unlock func(), err error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock model: %w", err)
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX); err != nil {
		_ = file.Close() // nothing was written
		return nil, fmt.Errorf("lock model: %w", err)
	}
	return func() { _ = file.Close() }, nil // closing unlocks
}

// control carries out one command of the program Control.
func (m *Model) control(args []string) error {
	bad := fmt.Errorf("bad arguments: %s", strings.Join(args, " "))
	if len(args) < 2 {
		return bad
	}
	name, rest := args[1], args[2:]
	switch args[0] {
	case "disk", "file":
		return m.device(args[0] == "file", name, rest)
	case "dir":
		m.Dirs[name] = append([]string{}, rest...)
	case "mount":
		if d := m.Devices[name]; d != nil {
			d.Mounted = strings.Join(rest, "")
		}
	case "user":
		m.Users = append(m.Users, args[1:]...)
	case "key":
		return m.keyFile(name, rest)
	case "cut":
		return m.cut(args[1:])
	case "missing":
		m.Missing = args[1:]
	case "module":
		m.NoModule = name == "off"
	case "slow":
		m.Slow = name == "on"
	case "power":
		m.power(name == "on")
	case "stall":
		m.Stalled = strings.TrimPrefix(strings.Join(args[1:], " "), "nothing")
	case "foreign":
		for _, p := range m.Away {
			p.Foreign = p.Foreign || p.Name == name
		}
	case "suspend", "hang", "resume":
		p := m.Pools[name]
		if p == nil {
			return fmt.Errorf("no pool %s", name)
		}
		p.Suspended, p.Hung = args[0] == "suspend", args[0] == "hang"
	case "grow":
		return m.grow(name, rest)
	case "write", "log", "busy", "idle":
		return m.use(args[0], name, rest)
	case "link", "gone", "back", "finish", "checkpoint":
		return m.hardware(args[0], name, rest)
	default:
		return bad
	}
	return nil
}

// cut says where the next streams break.
func (m *Model) cut(words []string) error {
	m.Cuts = nil
	for _, w := range words {
		n, err := strconv.ParseUint(w, 10, 64)
		if err != nil {
			return err
		}
		m.Cuts = append(m.Cuts, n)
	}
	return nil
}

// hardware does what happens to devices, and lets time go by.
func (m *Model) hardware(what, name string, rest []string) error {
	switch {
	case what == "link" && len(rest) == 1:
		if m.Links == nil {
			m.Links = map[string]string{}
		}
		m.Links[name] = rest[0]
		m.Devices[name] = m.Devices[rest[0]]
	case what == "finish" && m.Pools[name] != nil:
		m.finish(m.Pools[name])
	case what == "checkpoint" && m.Pools[name] != nil:
		m.Pools[name].Checkpoint = true
	case what == "gone", what == "back":
		for _, p := range m.Pools {
			if d, ok := p.lookup(name); ok && what == "gone" {
				d.at.State = "UNAVAIL"
			}
		}
		if what == "gone" {
			m.Lost[name] = m.Devices[name]
			delete(m.Devices, name)
		} else if d := m.Lost[name]; d != nil {
			m.Devices[name] = d
		}
	default:
		return fmt.Errorf("bad arguments: %s %s %v", what, name, rest)
	}
	return nil
}

func (m *Model) device(file bool, path string, rest []string) error {
	if len(rest) == 0 {
		return fmt.Errorf("device %s has no size", path)
	}
	size, err := spec.ParseSize(rest[0])
	if err != nil {
		return err
	}
	d := &Device{Size: uint64(size), File: file}
	if len(rest) > 1 {
		d.Signature, d.Table = rest[1], rest[1] == "dos" || rest[1] == "gpt"
	}
	if d.Table && !file {
		m.Devices[partition(path, "1")] = &Device{Size: d.Size, Signature: "ext4", Of: path}
	}
	m.Devices[path] = d
	return nil
}

func (m *Model) use(how, name string, rest []string) error {
	_, d := m.dataset(name)
	if d == nil {
		return fmt.Errorf("no dataset %s", name)
	}
	if how == "busy" || how == "idle" {
		d.Busy = how == "busy"
		return nil
	}
	if len(rest) != 1 {
		return fmt.Errorf("write how much into %s?", name)
	}
	size, err := spec.ParseSize(rest[0])
	if how == "log" {
		d.Log += uint64(size)
	} else {
		d.Written += uint64(size)
	}
	return err
}

// AddFile tells the machine of a blank regular file, AddDisk of a blank disk, and AddDir of a directory.
func (f *Fake) AddFile(path string, size uint64) { f.add(path, &Device{Size: size, File: true}) }

// AddDisk tells the machine of a blank block device.
func (f *Fake) AddDisk(path string, size uint64) { f.add(path, &Device{Size: size}) }

func (f *Fake) add(path string, d *Device) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.Model.Devices[path] = d
}

// AddDir tells the machine of a directory and the names in it.
func (f *Fake) AddDir(path string, names ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.Model.Dirs[path] = append([]string{}, names...)
}

// SetBusy says whether somebody has a file of the dataset open.
func (f *Fake) SetBusy(name string, busy bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, d := f.Model.dataset(name); d != nil {
		d.Busy = busy
	}
}

// Control runs a line of the program Control.
func (f *Fake) Control(line string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.Model.control(split(line))
}

// SetClock sets the time on the machine.
func (f *Fake) SetClock(at time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.Model.Clock = at.Unix()
}
