package database_test

import (
	"testing"

	"github.com/sideman-go/sideman/conformance/containers"
	"github.com/sideman-go/sideman/conformance/containers/internal/crew"
)

// TestCrew works on it with processes that are killed, and kills the server under them.
func TestCrew(t *testing.T) {
	s := server.Get(t)
	crew.Test(t, s, containers.Postgres, func(t *testing.T) string { t.Helper(); return s.NewSchema(t) })
}
