package modeltest

import (
	"flag"
	"os"
	"testing"
)

// TestMain makes the sequences longer than rapid's 30 steps, which are too few for a
// record to come round: enqueued, lost, tried again, finished, pruned. With its 100
// sequences for each test that takes some seconds; -rapid.checks=10000 looks harder.
func TestMain(m *testing.M) {
	if os.Getenv("RAPID_STEPS") == "" {
		if err := flag.Set("rapid.steps", "40"); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run()) // which reads the command line, so -rapid.steps counts
}
