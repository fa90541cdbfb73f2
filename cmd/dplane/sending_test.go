package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/dplaneos/dplane/drivers/replication"
)

// Where no terminal is, a stream is told of now and then, each in lines of its own.
func TestSendingInLines(t *testing.T) {
	var out bytes.Buffer
	a := &app{edges: edges{stderr: &out}}
	for s := range 100 {
		for _, source := range []string{"tank/a", "tank/b"} {
			a.sending(replication.Progress{Replication: "off", Source: source, Bytes: int64(s) << 20, Size: 100 << 20, Took: time.Duration(s) * time.Second})
		}
	}
	a.sending(replication.Progress{Replication: "off", Source: "tank/a", Bytes: 1, Took: 31 * time.Second}) // the next stream
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 7 || lines[0] != "off: tank/a: 30M of about 100M, 1M/s, 1m10s left" || !strings.HasPrefix(lines[6], "off: tank/a: 1,") {
		t.Errorf("%d lines: %s", len(lines), out.String())
	}
}
