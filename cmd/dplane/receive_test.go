package main

import (
	"io"
	"reflect"
	"testing"

	"github.com/spf13/pflag"

	"github.com/dplaneos/dplane/drivers/replication/receive"
)

// What may be done beside is of the dataset that was named last, and before the first one of all. A line that an earlier
// setup printed, with all of it at the end, gives no more than it did.
func TestReceiveFlags(t *testing.T) {
	type set = map[string]string
	for _, c := range []struct {
		args []string
		want receive.Rules
	}{
		{[]string{"--target", "backup/a", "--prune", "--set", "quota=1G", "--source", "tank/x", "--target", "backup/b", "--repair", "--source", "tank/y", "--plain"}, receive.Rules{
			Targets: []receive.Target{{Dataset: "backup/a", Prune: true, Set: set{"quota": "1G"}}, {Dataset: "backup/b", Repair: true, Set: set{}}},
			Sources: []receive.Source{{Dataset: "tank/x"}, {Dataset: "tank/y", Plain: true}},
		}},
		{[]string{"--prune", "--plain", "--set", "a:b=c=d", "--target", "backup/a", "--target", "backup/b", "--set", "a:b=", "--source", "tank/x"}, receive.Rules{
			Targets: []receive.Target{{Dataset: "backup/a", Prune: true, Set: set{"a:b": "c=d"}}, {Dataset: "backup/b", Prune: true, Set: set{"a:b": ""}}},
			Sources: []receive.Source{{Dataset: "tank/x", Plain: true}},
		}},
		{[]string{"--target", "backup/a", "--target", "backup/b", "--source", "tank/x", "--prune"}, receive.Rules{
			Targets: []receive.Target{{Dataset: "backup/a", Set: set{}}, {Dataset: "backup/b", Prune: true, Set: set{}}},
			Sources: []receive.Source{{Dataset: "tank/x"}},
		}},
	} {
		f := &received{}
		flags := pflag.NewFlagSet("receive", pflag.ContinueOnError)
		flags.SetOutput(io.Discard)
		f.bind(flags)
		if err := flags.Parse(c.args); err != nil {
			t.Fatal(err)
		}
		if got, err := f.parsed(); err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%q:\n%+v, %v, want\n%+v", c.args, got, err, c.want)
		}
	}
	for _, bad := range [][]string{{"--target", "a b/../c"}, {"--source", "/etc"}, {"--set", "quota"}, {"--prune=perhaps"}} {
		flags := pflag.NewFlagSet("receive", pflag.ContinueOnError)
		flags.SetOutput(io.Discard)
		(&received{}).bind(flags)
		if err := flags.Parse(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}
