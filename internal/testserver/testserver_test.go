package testserver_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sideman-go/sideman/internal/testserver"
)

// recorder notes what it is told instead of ending the test.
type recorder struct {
	testing.TB

	fatal, skip string
}

func (*recorder) Helper()                             {}
func (r *recorder) Fatalf(format string, args ...any) { r.fatal = fmt.Sprintf(format, args...) }
func (r *recorder) Skipf(format string, args ...any)  { r.skip = fmt.Sprintf(format, args...) }

func TestURL(t *testing.T) {
	for _, c := range []struct {
		url, require string
		fatal, skip  bool
	}{
		{url: "redis://h", require: "redis"},
		{url: "redis://h"},
		{skip: true},
		{require: "postgres", skip: true},
		{require: "postgres,redis", fatal: true},
		{require: "postgres, redis", fatal: true},
	} {
		t.Setenv("TASKS_TEST_REDIS_URL", c.url)
		t.Setenv("TASKS_TEST_REQUIRE", c.require)
		r := &recorder{TB: t}
		got := testserver.URL(r, testserver.Redis)
		if got != c.url || (r.fatal != "") != c.fatal || c.skip && !c.fatal && !strings.HasPrefix(r.skip, "NOT TESTED: TASKS_TEST_REDIS_URL ") {
			t.Errorf("%+v: URL %q, fatal %q, skip %q", c, got, r.fatal, r.skip)
		}
	}
}
