package state

import (
	"reflect"
	"testing"
	"time"

	"github.com/dplaneos/dplane/spec"
)

func TestDeclare(t *testing.T) {
	got := Declare(&spec.Spec{
		Daemon:   spec.Daemon{Interval: spec.Duration(time.Minute)},
		Pools:    map[spec.PoolName]*spec.Pool{"usb": {Removable: true, Capacity: spec.Capacity{Warn: 80, Critical: 90}}},
		Datasets: map[spec.DatasetName]*spec.Dataset{"usb/b": {}, "usb/a": {}, "usb/old": {Absent: true}},
	})
	want := &Declared{
		Interval: time.Minute, Datasets: []string{"usb/a", "usb/b"},
		Pools: map[string]DeclaredPool{"usb": {Warn: 80, Critical: 90, Removable: true}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got)
	}
}
