package spec

import (
	"encoding/json"
	"fmt"
	"time"
)

// Cover is the schedule that covers a dataset, and where that is declared.
type Cover struct {
	Schedule  *Schedule
	At        DatasetName // whose `snapshots` it is
	Snapshots *Snapshots
}

// Covering is what covers a dataset: the nearest `snapshots` at it or above, whole. Schedule is nil where nothing
// does, or the nearest is `none`.
func (s *Spec) Covering(name DatasetName) Cover {
	for n := name; n != ""; n = n.Parent() {
		if d := s.Datasets[n]; d != nil && d.Snapshots != nil {
			return Cover{s.Schedules[d.Snapshots.Schedule], n, d.Snapshots}
		}
	}
	return Cover{}
}

// defaultFormat is the form of a snapshot's name: it sorts by time, and has no character that a shell, or SMB's
// previous versions, dislikes.
const defaultFormat = "dplane-%Y%m%dT%H%M%SZ"

// SnapshotName is the name of a snapshot that is taken now.
func (s *Schedule) SnapshotName(now time.Time) string {
	format, now := s.Format, now.UTC()
	if format == "" {
		format = defaultFormat
	}
	out := make([]byte, 0, len(format)+8)
	for i := 0; i < len(format); i++ {
		if format[i] != '%' || i+1 == len(format) {
			out = append(out, format[i])
			continue
		}
		i++
		if layout, ok := formatCodes[format[i]]; ok {
			out = now.AppendFormat(out, layout)
		} else {
			out = append(out, '%', format[i])
		}
	}
	return string(out)
}

// formatCodes are the codes of strftime(3) that a format may have, as layouts.
var formatCodes = map[byte]string{'Y': "2006", 'm': "01", 'd': "02", 'H': "15", 'M': "04", 'S': "05"}

// kept is what decides which snapshots a schedule keeps.
type kept struct {
	Keep           map[string]int
	FrequentPeriod Duration
	At             string
	Weekday        string
	Monthday       int
	Month          string
	Timezone       string
}

// Retention is what decides which snapshots the schedule keeps, in a form that two of them can be compared by; zone
// holds where the schedule names none.
func (s *Schedule) Retention(zone string) string {
	k := kept{map[string]int{}, s.FrequentPeriod, s.At, s.Weekday, s.Monthday, s.Month, s.Timezone}
	for _, name := range s.Counted() {
		k.Keep[name] = s.Keep[name]
	}
	if k.Timezone == "" {
		k.Timezone = zone
	}
	doc, err := json.Marshal(k)
	if err != nil {
		panic(err) // plain data always marshals
	}
	return string(doc)
}

// ParseRetention is the schedule, as far as it decides what is kept, of which Retention is the text.
func ParseRetention(text string) (*Schedule, error) {
	var k kept
	if err := json.Unmarshal([]byte(text), &k); err != nil {
		return nil, fmt.Errorf("retention %q: %w", text, err)
	}
	return &Schedule{Keep: k.Keep, FrequentPeriod: k.FrequentPeriod, At: k.At, Weekday: k.Weekday, Monthday: k.Monthday, Month: k.Month, Timezone: k.Timezone}, nil
}
