package modeltest

import (
	"flag"
	"os"
	"testing"
)

// TestMain makes the sequences longer than rapid's 30 steps, which are too few for a
// record to come round: enqueued, lost, tried again, finished, pruned. The 100 sequences
// of each test are some 3,300 operations. With the race detector they take about five
// seconds on bolt and a quarter of a minute on a server; -rapid.checks=10000 looks harder.
func TestMain(m *testing.M) {
	if os.Getenv("RAPID_STEPS") == "" {
		if err := flag.Set("rapid.steps", "40"); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run()) // which reads the command line, so -rapid.steps counts
}
