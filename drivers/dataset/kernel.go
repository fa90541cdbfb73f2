package dataset

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/drivers/zfs"
)

// served are the uses that the kernel itself makes of the volumes, and of files below the places.
func (d *Driver) served(ctx context.Context, places []string, devices map[string]string) (busy []string, err error) {
	res, err := d.Runner.Run(ctx, zfs.Served)
	var exit *host.ExitError
	if err != nil && !(errors.As(err, &exit) && exit.Code <= 2) {
		return nil, err
	}
	for _, s := range zfs.ParseServed(res.Stdout) {
		if name, ok := zfs.VolumeOf(s.What, devices); ok {
			busy = append(busy, fmt.Sprintf("%s serves %s (%s)", s.Name, name, s.What))
		} else if slices.ContainsFunc(places, func(p string) bool { return strings.HasPrefix(s.What, strings.TrimSuffix(p, "/")+"/") }) {
			busy = append(busy, fmt.Sprintf("%s serves %s", s.Name, s.What))
		}
	}
	return busy, nil
}
