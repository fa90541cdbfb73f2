package zfs

import (
	"errors"
	"strings"

	"github.com/dplaneos/dplane/drivers/host"
)

// The kinds of refusal that a caller may want to tell apart; Classify finds them.
var (
	ErrNoModule    = errors.New("zfs kernel module is not loaded")
	ErrNoTools     = errors.New("zfs tools are not installed")
	ErrPermission  = errors.New("permission denied")
	ErrNotExist    = errors.New("does not exist")
	ErrExists      = errors.New("exists already")
	ErrBusy        = errors.New("busy")
	ErrHasChildren = errors.New("has children")
	ErrNoSpace     = errors.New("no space")
	ErrBelowUsed   = errors.New("below what is used or reserved")
	ErrReadOnly    = errors.New("read-only property")
	ErrBadProperty = errors.New("no such property")
	ErrBadValue    = errors.New("bad property value")
	ErrWrongType   = errors.New("does not apply to this type of dataset")
	ErrNoParent    = errors.New("parent does not exist")
	ErrBadName     = errors.New("bad name")
	ErrInUse       = errors.New("device is in use")
	ErrBadVdev     = errors.New("bad vdev specification")
	ErrNotEmpty    = errors.New("mountpoint is not empty")
	ErrKey         = errors.New("not the key")
	ErrLocked      = errors.New("key is not loaded")
	ErrLastCopy    = errors.New("no other device holds the data")
	ErrCheckpoint  = errors.New("the pool has a checkpoint")
	ErrInProgress  = errors.New("data is being copied")
	ErrSuspended   = errors.New("the pool is suspended")
	ErrNoHostID    = errors.New("the machine has no host id")
)

// The kinds of refusal of a replication.
var (
	ErrModified     = errors.New("the target was written to since its newest snapshot")
	ErrNoBase       = errors.New("the two ends have not the base in common")
	ErrTargetExists = errors.New("the target exists, and a first stream makes a new one")
	ErrPartial      = errors.New("the target holds what an interrupted receive left")
	ErrNotPartial   = errors.New("no interrupted receive left anything")
	ErrToken        = errors.New("the resume token is damaged")
	ErrTokenGone    = errors.New("what the resume token is of is gone")
	ErrCrypt        = errors.New("the encryption of the stream and of the target do not go together")
	ErrLargeBlocks  = errors.New("the target was received with large blocks")
	ErrBadStream    = errors.New("the stream is none that can be received here")
	ErrSender       = errors.New("no stream came from the sending end")
	ErrIncomplete   = errors.New("the stream is damaged or ends early")
	ErrHeld         = errors.New("held by this tag already")
	ErrNotHeld      = errors.New("not held by this tag")
)

// A refusal is one way in which zfs or zpool says no, under LC_ALL=C.
type refusal struct {
	text  string // part of standard error
	err   error
	proof string // the capture in testdata that holds the text, RELEASE/NAME.err
}

// refusals are tried in order: the narrow before the wide.
var refusals = []refusal{
	{"The ZFS modules cannot be auto-loaded", ErrNoModule, "2.3.9/no_module_zfs_list"},
	{"The ZFS modules are not loaded", ErrNoModule, "2.1.11/zfs_list_no_module"},
	{"/dev/zfs and /proc/self/mounts are required", ErrNoModule, "2.3.9/no_dev_zfs_list"},
	{"the ZFS utilities must be run as root", ErrPermission, "2.3.9/as_nobody_no_dev"},
	{"permission denied", ErrPermission, "2.3.9/as_nobody_zfs_set"},

	{"pool I/O is currently suspended", ErrSuspended, "2.3.9/zfs_get_suspended"},

	{"has been modified\nsince most recent snapshot", ErrModified, "2.3.9/zfs_receive_modified"},
	{"match incremental source", ErrNoBase, "2.3.9/zfs_receive_no_base"},
	{"not an earlier snapshot from the same fs", ErrNoBase, "2.3.9/zfs_send_not_earlier"},
	{"must specify -F to overwrite it", ErrTargetExists, "2.3.9/zfs_receive_target_exists"},
	{"destination already exists", ErrExists, "2.3.9/zfs_receive_snapshot_exists"}, // a snapshot of that name
	{"contains partially-complete state", ErrPartial, "2.3.9/zfs_receive_partial"},
	{"Contains partially-completed state", ErrPartial, "2.3.9/zfs_mount_partial"},
	{"does not have any resumable receive state", ErrNotPartial, "2.3.9/zfs_receive_-A_nothing"},
	{"resume token is corrupt", ErrToken, "2.3.9/zfs_send_token_corrupt"},
	{"cannot resume send: incremental source ", ErrTokenGone, "2.3.9/zfs_send_token_from_gone"},
	{"cannot resume send: Invalid cross-device link", ErrTokenGone, "2.3.9/zfs_send_token_from_elsewhere"}, // another dataset of the pool has it
	{"used in the initial send no longer exists", ErrTokenGone, "2.3.9/zfs_send_token_to_gone"},
	{"no longer the same snapshot used in the initial send", ErrTokenGone, "2.3.9/zfs_send_token_other"},
	{"inherited key must be loaded", ErrLocked, "2.3.9/zfs_receive_locked"},
	{"dataset key must be loaded", ErrLocked, "2.3.9/zfs_send_locked"},
	{"cannot perform raw receive on top of existing unencrypted dataset", ErrCrypt, "2.3.9/zfs_receive_raw_on_plain"},
	{"may not be sent with properties without the raw flag", ErrCrypt, "2.3.9/zfs_send_-p_encrypted"},
	{"embedded data stream feature with encrypted receive", ErrCrypt, "2.3.9/zfs_receive_embedded"},
	{"IV set guid mismatch", ErrCrypt, "2.3.9/zfs_receive_iv_set"},
	{"cannot be set or excluded for raw streams", ErrCrypt, "2.3.9/zfs_receive_raw_encryption"},
	{"requires -L", ErrLargeBlocks, "2.3.9/zfs_receive_large_blocks"},
	{"multiple snapshots cannot be sent from a bookmark", ErrNoBase, "2.3.9/zfs_send_-I_bookmark"},
	{"': No such process", ErrNotExist, "2.3.9/zfs_send_bookmark_gone"},
	{"': Invalid cross-device link", ErrNoBase, "2.3.9/zfs_send_bookmark_later"},
	{"dataset does not exist\ncannot receive new", ErrNoParent, "2.3.9/zfs_receive_no_parent"},
	{"tag already exists on this dataset", ErrHeld, "2.3.9/zfs_hold_again"},
	{"no such tag on this dataset", ErrNotHeld, "2.3.9/zfs_release_no_tag"},
	{"bookmark exists", ErrExists, "2.3.9/zfs_bookmark_exists"},

	{"parent does not exist", ErrNoParent, "2.3.9/zfs_create_tank_no_parent"},
	{"' is not a filesystem", ErrNoParent, "2.3.9/zfs_receive_below_volume"},
	{"parent is not a filesystem", ErrNoParent, "2.3.9/zfs_create_parent_volume"},
	{"no such pool", ErrNotExist, "2.3.9/zfs_create_nosuch_x"},
	{"is not a pool", ErrNotExist, "2.3.9/zpool_set_nosuch"},
	{"dataset does not exist", ErrNotExist, "2.3.9/zfs_list_tank_nosuch"},
	{"cannot resolve path", ErrNotExist, "2.3.9/zpool_create_missing_device"},
	{"no such device in pool", ErrNotExist, "2.3.9/zpool_detach_nosuch"},
	{"couldn't find device", ErrNotExist, "2.3.9/zpool_online_nosuch"},
	{"could not find any snapshots to destroy", ErrNotExist, "2.3.9/zfs_destroy_tank_data@nosuch"},
	{"dataset already exists", ErrExists, "2.3.9/zfs_create_tank_data"},
	{"pool already exists", ErrExists, "2.3.9/zpool_create_exists"},

	{"has dependent clones", ErrHasChildren, "2.3.9/zfs_destroy_-r_tank_data_db"},
	{"has children", ErrHasChildren, "2.3.9/zfs_destroy_tank_data"},
	{"it's being held", ErrBusy, "2.3.9/zfs_destroy_tank_data@s1"},
	{"dataset is busy", ErrBusy, "2.1.11/zfs_destroy_held"},
	{"pool or dataset is busy", ErrBusy, "2.3.9/zfs_unmount_tank_data"},
	{"property may be set but unable to remount", ErrBusy, "2.3.9/zfs_set_readonly_busy"}, // and it is set

	{"size is less than current used or reserved space", ErrBelowUsed, "2.3.9/zfs_set_quota=1K_tank_data"},
	{"size is greater than available space", ErrNoSpace, "2.3.9/zfs_set_reservation"},
	{"out of space", ErrNoSpace, "2.3.9/zfs_create_outofspace"},
	{"space quota exceeded", ErrNoSpace, "2.3.9/zfs_recv_quota"},

	{"can only be set at import time", ErrReadOnly, "2.3.9/zpool_set_import"},
	{"is readonly", ErrReadOnly, "2.3.9/zfs_set_used=1_tank"},
	{"property is read-only", ErrReadOnly, "2.3.9/zfs_inherit_used"},
	{"property cannot be inherited", ErrReadOnly, "2.3.9/zfs_inherit_quota"},
	{"does not apply to datasets of this type", ErrWrongType, "2.3.9/zfs_create_type"},
	{"invalid property value", ErrBadValue, "2.3.9/zfs_receive_bad_value"},
	{"invalid property", ErrBadProperty, "2.3.9/zfs_create_-o_nosuch=1_tank_x"},
	{"is not a valid pool or vdev property", ErrBadProperty, "2.3.9/zpool_create_bad_prop"},
	{"is not a valid filesystem property", ErrBadProperty, "2.3.9/zpool_create_bad_fs_prop"},
	{"is not a valid pool property", ErrBadProperty, "2.1.11/zpool_create_bad_prop"},
	{"must be one of", ErrBadValue, "2.3.9/zfs_set_compression=bogus_tank"},
	{"must be power of 2", ErrBadValue, "2.3.9/zfs_create_-o_recordsize=3K_tank_x"},
	{"must be a multiple of volume block size", ErrBadValue, "2.3.9/zfs_set_volsize=1_tank_vol"},
	{"use 'none' to disable", ErrBadValue, "2.3.9/zfs_set_quota_zero"},
	{"must be an absolute path", ErrBadValue, "2.3.9/zfs_set_mountpoint_relative"},
	{"cannot be zero", ErrBadValue, "2.3.9/zfs_set_volsize_zero"},
	{"property value too long", ErrBadValue, "2.3.9/zfs_set_too_long"},
	{"requires a non-zero system hostid", ErrNoHostID, "2.3.9/zpool_set_multihost"},
	{"could not read/parse feature file", ErrBadValue, "2.3.9/zpool_create_compatibility"},
	{"only values between", ErrBadValue, "2.3.9/zpool_create_ashift"},
	{"has an invalid user/group name", ErrBadValue, "2.3.9/zfs_set_user_unknown"},

	{"invalid character", ErrBadName, "2.3.9/zfs_create_tank_bad_name"},
	{"name is reserved", ErrBadName, "2.3.9/zpool_create_bad_name"},

	{"no valid replicas", ErrLastCopy, "2.3.9/zpool_offline_last"},
	{"checkpoint exists", ErrCheckpoint, "2.3.9/zpool_detach_checkpoint"},
	{"device removal in progress", ErrInProgress, "2.3.9/zpool_attach_removing"},
	{"raidz expansion in progress", ErrInProgress, "2.3.9/zpool_attach_expanding"},
	{"Pool busy; removal may already be in progress", ErrBusy, "2.3.9/zpool_remove_spare_in_use"},
	{"only applicable to mirror and replacing vdevs", ErrBadVdev, "2.3.9/zpool_detach_single"},
	{"can only attach to mirrors and top-level disks", ErrBadVdev, "2.3.9/zpool_attach_raidz_device"},
	{"device is too small", ErrBadVdev, "2.3.9/zpool_attach_too_small"},
	{"contains devices of different sizes", ErrBadVdev, "2.3.9/zpool_add_sizes"},

	{"is part of active pool", ErrInUse, "2.3.9/zpool_create_device_in_use"},
	{"is part of exported pool", ErrInUse, "2.3.9/zpool_create_exported"},
	{"Offline the disk first to clear its label", ErrInUse, "2.3.9/zpool_labelclear_member"},
	{"is a member of exported pool", ErrInUse, "2.3.9/zpool_labelclear_exported"},
	{"is reserved as a hot spare", ErrInUse, "2.3.9/zpool_create_spare_in_use"},
	{"only allowed on volumes", ErrWrongType, "2.3.9/zfs_set_auto_filesystem"},
	{"mismatched replication level", ErrBadVdev, "2.3.9/zpool_create_mismatched"},
	{"less than the minimum size", ErrBadVdev, "2.3.9/zpool_create_too_small"},
	{"exists and is not empty", ErrNotEmpty, "2.3.9/zpool_create_mountpoint"},

	{"Incorrect key provided", ErrKey, "2.3.9/zfs_load_key_wrong"},
	{"Failed to open key material file", ErrKey, "2.3.9/zfs_load_key_nofile"},
	{"encryption key not loaded", ErrLocked, "2.3.9/zfs_mount_key_unloaded"},

	{"' does not exist", ErrNotExist, "2.3.9/zfs_receive_target_gone"},
	{"kernel modules must be upgraded to receive", ErrBadStream, "2.3.9/zfs_receive_unsupported"}, // also of a bad name
	{"stream has unsupported feature", ErrBadStream, "2.1.11/zfs_receive_newer"},                  // which no flag of receive gets round
	{"pool must be upgraded to receive", ErrBadStream, "2.3.9/zfs_receive_pool_features"},
	{"invalid stream", ErrBadStream, "2.3.9/zfs_receive_garbage"},

	// Last, for where both ends of a pipe say something the cause is what the other end says.
	{"failed to read from stream", ErrSender, "2.3.9/zfs_receive_nothing"},
	{"incomplete stream", ErrIncomplete, "2.3.9/zfs_receive_damaged"},
}

// hints say what an operator can do about each kind.
var hints = map[error]string{
	ErrNoModule:    "load it with `modprobe zfs`; if that fails, install the module for this kernel (zfs-dkms or zfs-modules) and see `dkms status`",
	ErrNoTools:     "install the package zfsutils-linux",
	ErrPermission:  "run dplane as root",
	ErrNotExist:    "it was destroyed, exported or renamed meanwhile: plan again",
	ErrExists:      "it was created meanwhile: plan again",
	ErrBusy:        "see what uses it with `fuser -vm MOUNTPOINT` and `zfs holds`, end that, and apply again",
	ErrHasChildren: "children, snapshots or clones stand below it: see `zfs list -r -t all NAME`",
	ErrNoSpace:     "free space or raise the quota above it: see `zfs list -o space` and `zfs get -r quota,reservation`",
	ErrBelowUsed:   "free space in it first, or choose a value above what is used: see `zfs list -o space NAME`",
	ErrReadOnly:    "ZFS does not let this property be changed here: remove it from the files, or create the dataset anew",
	ErrBadProperty: "this release of ZFS does not know the property: see `zfs version`, and zfsprops(7)",
	ErrBadValue:    "this release of ZFS does not take the value: see zfsprops(7)",
	ErrWrongType:   "remove the property from this dataset: it is one of file systems or of volumes only",
	ErrNoParent:    "declare the parent file system as well: dplane makes no parents unasked",
	ErrBadName:     "names hold letters, digits and _ . : - and spaces; a pool's name begins with a letter",
	ErrInUse:       "the device belongs to another pool: see `zpool status` and `zdb -l DEVICE`, and choose another one",
	ErrBadVdev:     "see zpoolconcepts(7): the vdevs of a pool have the same redundancy, and a device has 64 MiB at least",
	ErrLastCopy:    "bring the other devices of the vdev online, or attach one and let it resilver: see `zpool status`",
	ErrCheckpoint:  "`zpool checkpoint -d POOL` discards it; until then no device is attached, detached, removed or replaced",
	ErrInProgress:  "wait until it is over: see `zpool status`",
	ErrSuspended:   "bring its devices back, then `zpool clear POOL`: see `zpool status`",
	ErrNoHostID:    "make one with zgenhostid, another one on each machine",
	ErrKey:         "the key file is another one than the dataset was made with, or cannot be read: `zfs load-key -n -L file:///PATH NAME` tries one",
	ErrLocked:      "load it first: `zfs load-key NAME`",
	ErrNotEmpty:    "empty the directory, or choose another mountpoint",

	ErrModified:     "keep it read-only; `zfs rollback` to its newest snapshot gives up what was written, a clone of a new snapshot keeps it",
	ErrNoBase:       "the base was destroyed on one end: plan again, another snapshot or bookmark may be common to both",
	ErrTargetExists: "choose another target, or rename what stands there: dplane receives over nothing that exists",
	ErrPartial:      "it is resumed with its token; `zfs receive -A TARGET` gives it up",
	ErrNotPartial:   "it was resumed or given up meanwhile: plan again",
	ErrToken:        "`zfs receive -A TARGET` gives up what came; plan again",
	ErrTokenGone:    "`zfs receive -A TARGET` gives up what came; plan again",
	ErrCrypt:        "a target goes on as it began, raw or not: declare it so, or begin a new one",
	ErrLargeBlocks:  "send with large blocks (-L), as before, or begin a new target",
	ErrBadStream:    "what is sent needs a newer ZFS there, or a feature that the pool there has not enabled: dplane replication test NAME names it; see `zfs version` and `zpool get all` there",
	ErrSender:       "see what the sending end and the connection said",
	ErrIncomplete:   "see what the sending end and the connection said; what came is kept and resumed",
	ErrHeld:         "nothing is to be done: it is kept",
	ErrNotHeld:      "nothing is to be done: it was released",
}

// Refused is an error of zfs or zpool with the kind found for it.
type Refused struct {
	Kind error
	Err  error
}

func (r *Refused) Error() string   { return r.Err.Error() }
func (r *Refused) Unwrap() []error { return []error{r.Kind, r.Err} }

// Classify wraps err so that errors.Is finds its kind. What is not known stays as it is.
func Classify(err error) error {
	if errors.Is(err, host.ErrNotFound) {
		return &Refused{Kind: ErrNoTools, Err: err}
	}
	var exit *host.ExitError
	if !errors.As(err, &exit) {
		return err
	}
	for _, r := range refusals {
		if strings.Contains(exit.Stderr, r.text) {
			return &Refused{Kind: r.err, Err: err}
		}
	}
	return err
}

// Hint says what an operator can do about an error, "" where nothing is known.
func Hint(err error) string {
	var refused *Refused
	if !errors.As(Classify(err), &refused) {
		if errors.Is(err, host.ErrTimeout) || errors.Is(err, host.ErrStuck) {
			return "zfs did not answer in time: the pool may be suspended or a device hang; see `zpool status` and the kernel log"
		}
		return ""
	}
	return hints[refused.Kind]
}
