package dataset

import (
	"testing"

	"github.com/dplaneos/dplane/drivers/drivertest"
)

func TestGolden(t *testing.T) { drivertest.Golden(t, new(Driver).Diff) }
