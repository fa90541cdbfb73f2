package dataset

import (
	"flag"
	"os"
	"testing"
)

// TestMain has the laws look at the same cases each time, unless it is told how many or which. What is new is looked for by
// `make laws`: what that finds is mended there, and stops nobody whose change has nothing to do with it.
func TestMain(m *testing.M) {
	flag.Parse()
	told := false
	flag.Visit(func(f *flag.Flag) {
		told = told || f.Name == "rapid.seed" || f.Name == "rapid.checks" || f.Name == "rapid.failfile"
	})
	if !told {
		if err := flag.Set("rapid.seed", "20261124"); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}
