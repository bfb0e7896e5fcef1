package cli_test

import (
	"os"
	"strings"
	"testing"

	"github.com/sideman-go/sideman/cli"
)

func TestUnreachable(t *testing.T) {
	t.Parallel()
	for _, server := range []string{"postgres://u:sesame@" + noServer(t) + "/d", "redis://:sesame@" + noServer(t)} {
		for _, args := range [][]string{
			{"worker", "--no-startup-delay"},
			{"worker", "list"},
			{"enqueue", "tick"},
			{"enqueue", "tick", "--wait"},
			{"result", "x"},
			{"result", "x", "--wait"},
			{"stats"},
			{"stats", "--watch"},
		} {
			if r := fails(t, server, cli.ExitUnreachable, []string{"unavailable", "refused"}, args...); strings.Contains(r.err, "sesame") {
				t.Errorf("%q: the password is told: %s", args, r.err)
			}
		}
	}
}

// A file that another process has is no use, and that process is named.
func TestBoltInUse(t *testing.T) {
	t.Parallel()
	store := boltStore(t)
	w := start(t, "", "worker", "--url", store, "--no-startup-delay")
	w.await("Starting worker")
	for _, args := range [][]string{{"worker", "--no-startup-delay"}, {"worker", "list"}, {"enqueue", "tick"}, {"result", "x", "--wait"}, {"stats", "--watch"}} {
		fails(t, store, cli.ExitUnreachable, []string{"is locked", "pid", "PostgreSQL or Redis"}, args...)
	}
	w.signal(os.Interrupt)
	w.ends(cli.ExitOK)
}
