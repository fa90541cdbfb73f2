package spec

import "time"

// DefaultRuntime is where the daemon's socket and locks are where the files say nothing.
const DefaultRuntime = "/run/dplaneos"

// What holds where the files are silent (PRODUCT.md section 2). The schema names the same values for
// people and editors, as @dplane(default=...); TestDefaults compares.
const (
	defaultTimezone  = "UTC"
	defaultInterval  = Duration(60 * time.Second)
	defaultApply     = Safe
	defaultChanges   = 50
	defaultTrash     = Duration(7 * 24 * time.Hour)
	defaultListen    = "127.0.0.1:9000"
	defaultDatabase  = "/var/lib/dplaneos/dplaneos.db"
	defaultWarn      = 80
	defaultCritical  = 90
	defaultFrequent  = Duration(15 * time.Minute)
	defaultAt        = "00:00"
	defaultWeekday   = "sunday"
	defaultMonthday  = 1
	defaultMonth     = "january"
	defaultMaxPrune  = 50
	defaultHook      = Duration(30 * time.Second)
	defaultOnFailure = "skip"
	defaultPort      = 22
	defaultRaw       = "auto"
	defaultFence     = Duration(60 * time.Second)
	defaultBeat      = Duration(15 * time.Second)
	defaultMisses    = 2
	defaultWatchdog  = "/dev/watchdog"
	defaultMode      = "manual"
	defaultTTL       = Duration(30 * time.Second)
	defaultBlock     = Duration(time.Hour)

	noSchedule = "none"    // stops an inherited schedule
	standby    = "standby" // a replication's target: every other HA peer
)
