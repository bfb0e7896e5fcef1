// Package testserver finds the servers that tests of the root module run on, and cleans up
// there.
package testserver

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// The kinds of server, as TASKS_TEST_REQUIRE names them.
const (
	Postgres = "postgres"
	Redis    = "redis"
)

// URL returns the server that TASKS_TEST_POSTGRES_URL or TASKS_TEST_REDIS_URL names. Where
// none is named the test is skipped, or fails if TASKS_TEST_REQUIRE has the kind.
func URL(tb testing.TB, kind string) string {
	tb.Helper()
	env := "TASKS_TEST_" + strings.ToUpper(kind) + "_URL"
	if url := os.Getenv(env); url != "" {
		return url
	}
	required := strings.FieldsFunc(os.Getenv("TASKS_TEST_REQUIRE"), func(r rune) bool { return r == ',' || r == ' ' })
	if slices.Contains(required, kind) {
		tb.Fatalf("TASKS_TEST_REQUIRE has %s, but %s isn't set", kind, env)
	}
	tb.Skipf("NOT TESTED: %s isn't set; make test sets it, and docs/testing.md says what else will do", env)
	return ""
}
