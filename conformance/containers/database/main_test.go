package database_test

import (
	"os"
	"testing"

	"github.com/sideman-go/sideman/conformance/containers"
	"github.com/sideman-go/sideman/conformance/containers/internal/crew"
)

var server = containers.Shared(containers.Postgres)

func TestMain(m *testing.M) {
	crew.Main() // does not return in a worker process
	os.Exit(server.Main(m))
}
