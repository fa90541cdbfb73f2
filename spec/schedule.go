package spec

// Schedule says when snapshots are taken and which are kept.
type Schedule struct {
	Name string
	Pos  Pos

	Keep           map[string]int // period -> count: frequently hourly daily weekly monthly yearly
	FrequentPeriod Duration
	At             string // HH:MM
	Weekday        string
	Monthday       int
	Month          string
	Timezone       string
	SkipEmpty      bool
	Format         string // strftime-like pattern of the name; "": dplane-20261124T070300Z
	MaxPrune       int    // percent
}

// Recur is the one grammar of what recurs: exactly one of the first five is set.
type Recur struct {
	Every    Duration
	Daily    string // 02:00
	Weekly   string // sun 02:00
	Monthly  string // 1 03:00
	Cron     string
	Timezone string
	Window   string // 22:00-06:00
	Pos      Pos
}
